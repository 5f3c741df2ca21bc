"""Attachments of received documents: streamed from the axis into the blobs, verified, resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from agencies.attachments import AttachmentRow
from agencies.axis_client import AxisClient
from agencies.small_contents import SMALL_BYTES, SmallContents
from agencies.tasks import all_of
from agencies.times import DAY_MS
from axis.core.errors import Refusal
from axis.ports import BlobMismatch, Blobs, Clock, StorageFull

__all__ = ["OWNER", "Fetcher"]

#: Whose blobs these are: there is one owner at an agency node.
OWNER: Final = "node"
_RESUMES: Final = 3
_MARGIN_MS: Final = 60 * 60 * 1000


class Fetcher:
    """Downloads: small ones together, the others at most so many at the same time."""

    def __init__(self, client: AxisClient, blobs: Blobs, clock: Clock, at_once: int) -> None:
        self._client = client
        self._small = SmallContents(client)
        self._blobs = blobs
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)

    async def fetch(self, document_id: str, attachments: tuple[AttachmentRow, ...]) -> None:
        """Have every attachment in the blobs, durably.

        Refusal `attachment_mismatch` when the axis gives other bytes than the header names, `storage_full`,
        or the axis's own.
        """
        await all_of(self._one(document_id, number, one) for number, one in enumerate(attachments))

    async def _one(self, document_id: str, number: int, attachment: AttachmentRow) -> None:
        now = self._clock.now()
        pinned = self._blobs.pinned(attachment.sha256, OWNER)
        if pinned is not None and pinned[0] == attachment.size and pinned[1] > now + _MARGIN_MS:
            return  # here already: its hash is its name, and nobody collects it before it is stored
        if attachment.size <= SMALL_BYTES:
            content = await self._small.get(document_id, number)
            if content is not None:
                await self._store(number, attachment, _whole(content))
                return
        async with self._slots:
            await self._store(number, attachment, self._remote(document_id, number))

    async def _store(self, number: int, attachment: AttachmentRow, content: AsyncIterator[bytes]) -> None:
        now = self._clock.now()
        try:
            await self._blobs.put(
                attachment.sha256, attachment.size, content, owner=OWNER, now=now, pin_until=now + DAY_MS
            )
        except BlobMismatch as error:
            raise Refusal("attachment_mismatch", f"attachment {number} is not what it is named") from error
        except StorageFull as error:
            raise Refusal("storage_full", "no room for an attachment", retry_after=30) from error

    async def _remote(self, document_id: str, number: int) -> AsyncIterator[bytes]:
        """The stream from the axis; where it breaks off it goes on at the same offset, a few times."""
        offset = 0
        for left in reversed(range(_RESUMES)):
            try:
                async for chunk in self._client.attachment(document_id, number, offset):
                    offset += len(chunk)
                    yield chunk
            except Refusal as refusal:
                if not left or refusal.name != "unavailable" or not offset:
                    raise
            else:
                return


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
