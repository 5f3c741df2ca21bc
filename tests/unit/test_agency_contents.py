"""Contents: small ones in the store, large ones as files, one port in front of both."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agencies.store.contents import SMALL_BYTES, Contents
from agencies.store.database import Store
from axis.blobs.memory import MemoryBlobs
from axis.ports import BlobMismatch, BlobMissing, StorageFull

HOUR = 3_600_000
NOW = 1_795_000_000_000
SMALL, LARGE = b"s" * SMALL_BYTES, b"l" * (SMALL_BYTES + 1)


@pytest.fixture
async def contents(tmp_path: Path) -> AsyncIterator[Contents]:
    store = Store(tmp_path / "agency.sqlite")
    made = Contents(store, MemoryBlobs())
    yield made
    await made.close()
    store.close()


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


async def put(
    contents: Contents, content: bytes, named: bytes | None = None, size: int | None = None
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    size = len(content) if size is None else size
    await contents.put(named or sha(content), size, chunks(), owner="node", now=NOW, pin_until=NOW + HOUR)


async def read(contents: Contents, content: bytes, offset: int = 0) -> bytes:
    async with contents.open(sha(content), offset) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("content", [b"", b"x", SMALL, LARGE])
async def test_what_is_put_is_read(contents: Contents, content: bytes) -> None:
    await put(contents, content)
    await put(contents, content)
    assert await read(contents, content) == content
    assert await read(contents, content, 10) == content[10:]
    assert contents.size(sha(content)) == len(content)
    assert contents.pinned(sha(content), "node") == (len(content), NOW + HOUR)
    assert contents.pinned(sha(content), "other") is None
    assert list(contents.hashes()) == [sha(content)]


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_other_bytes_are_not_kept(contents: Contents, content: bytes) -> None:
    for size in (len(content) - 1, len(content) + 1 if content is LARGE else len(content) - 2):
        with pytest.raises(BlobMismatch):
            await put(contents, content, size=size)
    with pytest.raises(BlobMismatch):
        await put(contents, content, named=sha(b"other"))
    assert list(contents.hashes()) == []
    with pytest.raises(BlobMissing):
        await read(contents, content)


@pytest.mark.parametrize("page", [1, 2, 1000])
async def test_only_what_nobody_names_is_collected(
    contents: Contents, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agencies.store.contents._PAGE", page)
    for content in (b"named", b"forgotten", LARGE):
        await put(contents, content)
    assert await contents.collect(NOW + HOUR, lambda _: False) == 0
    assert await contents.collect(NOW + 3 * HOUR, lambda sha256: sha256 == sha(b"named")) == 2
    assert list(contents.hashes()) == [sha(b"named")]


async def test_a_full_store_is_a_full_storage(contents: Contents) -> None:
    store = contents._store
    pages = await store.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await store.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 1}"))
    with pytest.raises(StorageFull):
        await put(contents, SMALL)
