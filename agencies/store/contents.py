"""Where this node keeps content: small ones in its store, so that many share one durable commit, large ones
as files. One `ports.Blobs` in front of both.

A small content is a row, written by the store's group commit: a page of twenty documents costs one fsync for
all their attachments instead of two or three for each.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

from agencies.store.database import Store
from axis.blobs.rules import SMALL_BYTES
from axis.core.errors import Refusal
from axis.ports import BlobMismatch, Blobs, StorageFull

__all__ = ["Contents", "insert_contents"]

_GRACE_MS: Final = 60 * 60 * 1000
#: Rows that `collect` looks up together.
_PAGE: Final = 1000


class Contents:
    """ports.Blobs: rows up to SMALL_BYTES, `files` beyond."""

    def __init__(self, store: Store, files: Blobs) -> None:
        self._store = store
        self._files = files

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
        """Store durably; see ports.Blobs."""
        if size > SMALL_BYTES:
            await self._files.put(sha256, size, chunks, owner=owner, now=now, pin_until=pin_until)
            return
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > size:
                raise BlobMismatch(f"over {size} bytes came")
        content = bytes(body)
        if len(content) != size or hashlib.sha256(content).digest() != sha256:
            raise BlobMismatch(f"{len(content)} of {size} bytes came, or other ones")
        await self._write(lambda c: insert_contents(c, {sha256: content}, owner, pin_until))

    async def put_small(self, contents: Sequence[bytes], *, owner: str, now: int, pin_until: int) -> None:
        """Store several in one commit; see ports.Blobs."""
        if any(len(content) > SMALL_BYTES for content in contents):
            raise ValueError(f"a small blob has at most {SMALL_BYTES} bytes")
        named = {hashlib.sha256(content).digest(): content for content in contents}
        await self._write(lambda c: insert_contents(c, named, owner, pin_until))

    async def _write(self, change: Callable[[sqlite3.Connection], None]) -> None:
        try:
            await self._store.write(change)
        except Refusal as refusal:
            if refusal.name == "storage_full":
                raise StorageFull(refusal.detail) from refusal
            raise

    def pinned(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end of the pin) of what this owner stored."""
        row = self._store.row(
            "SELECT length(content) AS size, pinned_until FROM content WHERE sha256 = ? AND owner = ?",
            sha256,
            owner,
        )
        return (row["size"], row["pinned_until"]) if row is not None else self._files.pinned(sha256, owner)

    def open(self, sha256: bytes, offset: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream from `offset`; BlobMissing on entering."""
        row = self._store.row("SELECT content FROM content WHERE sha256 = ?", sha256)
        return self._files.open(sha256, offset) if row is None else _in_memory(row["content"][offset:])

    def size(self, sha256: bytes) -> int | None:
        """The size of what is stored."""
        row = self._store.row("SELECT length(content) AS size FROM content WHERE sha256 = ?", sha256)
        return row["size"] if row is not None else self._files.size(sha256)

    async def collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> int:
        """Delete what nobody names and whose pin ended over an hour ago."""
        if confirm is not None and not await confirm():
            return 0
        ended_before, deleted, after = now - _GRACE_MS, 0, b""
        while page := self._store.rows(
            "SELECT sha256 FROM content WHERE pinned_until < ? AND sha256 > ? ORDER BY sha256 LIMIT ?",
            ended_before,
            after,
            _PAGE,
        ):
            after = page[-1]["sha256"]
            doomed = []
            for row in page:
                if not is_named(row["sha256"]):
                    doomed.append((row["sha256"], ended_before))
                await asyncio.sleep(0)
            if doomed:
                deleted += await self._store.write(partial(_delete, doomed))
        return deleted + await self._files.collect(now, is_named)

    def hashes(self) -> Iterator[bytes]:
        """Every stored content's SHA-256."""
        for row in self._store.rows("SELECT sha256 FROM content"):
            yield row["sha256"]
        yield from self._files.hashes()

    async def close(self) -> None:
        """Release the files; the store is the caller's."""
        await self._files.close()


def _delete(doomed: Sequence[tuple[bytes, int]], connection: sqlite3.Connection) -> int:
    # Looked at again where it counts: a document may have come to name it meanwhile.
    return connection.executemany(
        "DELETE FROM content WHERE sha256 = ? AND pinned_until < ?"
        " AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.sha256 = content.sha256)",
        doomed,
    ).rowcount


def insert_contents(
    connection: sqlite3.Connection, contents: Mapping[bytes, bytes], owner: str, pin_until: int
) -> None:
    """Small contents by their SHA-256, within a transaction: beside what comes to name them."""
    connection.executemany(
        "INSERT INTO content (sha256, content, owner, pinned_until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (sha256) DO UPDATE SET pinned_until = max(pinned_until, excluded.pinned_until)",
        [(sha256, content, owner, pin_until) for sha256, content in contents.items()],
    )


@asynccontextmanager
async def _in_memory(content: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        if content:
            yield content

    yield chunks()
