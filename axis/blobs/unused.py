"""Which blobs of a cluster nobody pins or names any more, and their removal from its stream of chunks.

Each hour those are looked at whose announced pins have ended since: an hour's uploads. Once a day, and after
each start, the whole stream is looked through, for what no pin tells of: uploads that broke off before they
were announced, announcements that went by while this node was away.

Whoever calls has read the place in the stream, then the announcements, then names up to a confirmed head, in
this order (`axis.blobs.jetstream` says why).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from axis.blobs.announced import Announced
from axis.blobs.chunks import Chunks
from axis.blobs.rules import GRACE_MS

__all__ = ["Unused"]

#: Blobs that are looked at before others may run.
_BATCH: Final = 32
#: Blobs whose pins have ended that are looked up together.
_ENDED_TOGETHER: Final = 1000
_SWEEP_MS: Final = 24 * 60 * 60 * 1000


class Unused:
    """Purges. `is_uploading`: whether this node is taking a blob at the moment."""

    def __init__(self, announced: Announced, chunks: Chunks, is_uploading: Callable[[bytes], bool]) -> None:
        self._announced = announced
        self._chunks = chunks
        self._is_uploading = is_uploading
        self._swept_at: int | None = None

    async def purge(self, now: int, is_named: Callable[[bytes], bool], upto: int) -> int:
        """Remove chunks up to a place of the stream; of how many blobs. Refused, NotAnswered, OutcomeUnknown.

        The pins that ended are forgotten once what they were about was looked at. Broken off, it begins again
        at the next call.
        """
        deleted, after = 0, b""
        while page := self._announced.ended(now - GRACE_MS, after, _ENDED_TOGETHER):
            after = page[-1]
            deleted += await self._purge(page, now, is_named, upto)
        # Before the sweep, which fails where the servers are slow: pins must not pile up meanwhile.
        self._announced.forget(now - GRACE_MS)
        if self._swept_at is None or now - self._swept_at >= _SWEEP_MS:
            deleted += await self._sweep(now, is_named, upto)
            self._swept_at = now
        return deleted

    async def _sweep(self, now: int, is_named: Callable[[bytes], bool], upto: int) -> int:
        """Look at everything. Seldom, because the servers do so for each page."""
        deleted = offset = 0
        while page := await self._chunks.stored(offset):
            gone = await self._purge([each for each in page if each is not None], now, is_named, upto)
            # What has gone has moved the rest up.
            deleted, offset = deleted + gone, offset + len(page) - gone
        return deleted

    async def _purge(
        self, hashes: Iterable[bytes], now: int, is_named: Callable[[bytes], bool], upto: int
    ) -> int:
        deleted = 0
        for looked_at, sha256 in enumerate(hashes, 1):
            if looked_at % _BATCH == 0:
                await asyncio.sleep(0)
            newest = self._announced.newest(sha256)
            if self._is_uploading(sha256):
                continue
            if (newest is not None and newest[1] >= now - GRACE_MS) or is_named(sha256):
                continue
            if await self._chunks.may_go(sha256, now):
                deleted += await self._chunks.purge(sha256, upto)
        return deleted
