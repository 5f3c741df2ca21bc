"""Blobs in memory: the contract without a disk, for tests."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

from axis.blobs.rules import CHUNK_BYTES, GRACE_MS, SMALL_BYTES
from axis.ports import BlobMismatch, BlobMissing, StorageFull

__all__ = ["MemoryBlobs"]


class MemoryBlobs:
    """ports.Blobs in dictionaries. `full` makes every put raise StorageFull while it is set."""

    def __init__(self) -> None:
        self.full = False
        self._blobs: dict[bytes, bytes] = {}
        self._pins: dict[bytes, dict[str, int]] = {}
        self._uploading: Counter[bytes] = Counter()

    async def put(
        self,
        sha256: bytes,
        size: int,
        chunks: AsyncIterator[bytes],
        *,
        owner: str,
        now: int,
        pin_until: int,
    ) -> None:
        """Store and pin; see ports.Blobs."""
        self._uploading[sha256] += 1
        try:
            body = bytearray()
            async for chunk in chunks:
                if len(body) + len(chunk) > size:
                    raise BlobMismatch(f"over {size} bytes came")
                body += chunk
            if len(body) != size or hashlib.sha256(body).digest() != sha256:
                raise BlobMismatch(f"{len(body)} of {size} bytes came, or others than named")
            self._store(sha256, bytes(body), owner, pin_until)
        finally:
            self._uploading[sha256] -= 1

    async def put_small(self, contents: Sequence[bytes], *, owner: str, now: int, pin_until: int) -> None:
        """Store and pin several; see ports.Blobs."""
        if any(len(content) > SMALL_BYTES for content in contents):
            raise ValueError(f"a small blob has at most {SMALL_BYTES} bytes")
        for content in contents:
            self._store(hashlib.sha256(content).digest(), content, owner, pin_until)

    def _store(self, sha256: bytes, body: bytes, owner: str, pin_until: int) -> None:
        if self.full:
            raise StorageFull("the blobs in memory are set to be full")
        self._blobs.setdefault(sha256, body)
        owners = self._pins.setdefault(sha256, {})
        owners[owner] = max(pin_until, owners.get(owner, pin_until))

    def pinned(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end of the pin) of this owner's blob."""
        until = self._pins.get(sha256, {}).get(owner)
        return None if until is None else (len(self._blobs[sha256]), until)

    @asynccontextmanager
    async def open(self, sha256: bytes, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset`."""
        if sha256 not in self._blobs:
            raise BlobMissing(sha256.hex())
        yield _chunks(self._blobs[sha256], offset)

    def size(self, sha256: bytes) -> int | None:
        """The size of a stored blob."""
        body = self._blobs.get(sha256)
        return None if body is None else len(body)

    async def collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> int:
        """Delete what nobody pins or names; see ports.Blobs."""
        stored = list(self._blobs)
        if confirm is not None and not await confirm():
            return 0
        gone = [
            sha256
            for sha256 in stored
            if not self._uploading[sha256]
            and all(until < now - GRACE_MS for until in self._pins.get(sha256, {}).values())
            and not is_named(sha256)
        ]
        for sha256 in gone:
            del self._blobs[sha256]
            self._pins.pop(sha256, None)
        return len(gone)

    def hashes(self) -> Iterator[bytes]:
        """Every stored blob's SHA-256."""
        return iter(list(self._blobs))

    async def close(self) -> None:
        """Nothing to release."""


async def _chunks(body: bytes, offset: int) -> AsyncIterator[bytes]:
    for start in range(offset, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
