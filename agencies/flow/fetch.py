"""Attachments of received documents: small ones of a whole page together, large ones streamed and resumed.

What came is verified against its name here. Small contents are handed back, to be stored in the same
transaction as the documents that name them; large ones are in the blobs, durably, when this returns.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from agencies.attachments import AttachmentRow
from agencies.link.axis_client import AxisClient
from agencies.tasks import all_of
from agencies.times import DAY_MS
from axis.blobs.rules import SMALL_BYTES
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import BlobMismatch, Blobs, Clock, StorageFull

__all__ = ["OWNER", "Contents", "Fetched", "Fetcher"]

#: Whose blobs these are: there is one owner at an agency node.
OWNER: Final = "node"
_RESUMES: Final = 3
_MARGIN_MS: Final = 60 * 60 * 1000
#: Of one request: contents, and bytes of them. The axis gives 4 MiB at most.
_KEYS: Final = 100
_TOGETHER_BYTES: Final = 4 * 1024 * 1024

#: (document, number of the attachment).
_Key = tuple[str, int]
#: A document's attachments.
Wanted = tuple[str, tuple[AttachmentRow, ...]]
#: Small contents by document and number, as the axis gave them.
Contents = Mapping[_Key, bytes]
#: Small contents by SHA-256, still to be stored; or why not everything is here.
Fetched = Mapping[bytes, bytes] | Refusal


class Fetcher:
    """Downloads: small contents together, the others at most so many at the same time."""

    def __init__(self, client: AxisClient, blobs: Blobs, clock: Clock, at_once: int) -> None:
        self._client = client
        self._blobs = blobs
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)

    async def fetch(self, documents: Sequence[Wanted], came: Contents) -> list[Fetched]:
        """Get every attachment of these documents that is not here yet; what came of each document.

        `came`: what the axis has given already, unchecked. A document's Refusal is `attachment_mismatch` when
        the axis gave other bytes than the header names, `storage_full`, or the axis's own.
        """
        missing = [
            {
                (document_id, number): attachment
                for number, attachment in enumerate(attachments)
                if not self._is_here(attachment)
            }
            for document_id, attachments in documents
        ]
        small = [
            (key, attachment)
            for wanted in missing
            for key, attachment in wanted.items()
            if attachment.size <= SMALL_BYTES and key not in came
        ]
        given = dict(came)
        for batch in _batches(small):
            given |= await self._together(batch)
        if all(key in given and one.size <= SMALL_BYTES for wanted in missing for key, one in wanted.items()):
            return [await self._one(wanted, given) for wanted in missing]
        return await all_of(self._one(wanted, given) for wanted in missing)

    def _is_here(self, attachment: AttachmentRow) -> bool:
        """Its hash is its name; and nobody collects it before the document is stored."""
        pinned = self._blobs.pinned(attachment.sha256, OWNER)
        return (
            pinned is not None and pinned[0] == attachment.size and pinned[1] > self._clock.now() + _MARGIN_MS
        )

    async def _together(self, keys: Sequence[_Key]) -> dict[_Key, bytes]:
        try:
            return await self._client.contents(keys)
        except Refusal as refusal:
            # Each is then asked for by itself, and gets an answer of its own.
            get_logger().info("contents_not_given_together", code=refusal.name, detail=refusal.detail)
            return {}

    async def _one(self, wanted: Mapping[_Key, AttachmentRow], given: Contents) -> Fetched:
        """What came of one document."""
        contents: dict[bytes, bytes] = {}
        try:
            for (document_id, number), attachment in wanted.items():
                content = given.get((document_id, number)) if attachment.size <= SMALL_BYTES else None
                if content is None:
                    async with self._slots:
                        await self._stream(document_id, number, attachment)
                elif not _is(content, attachment):
                    raise _mismatch(number)
                else:
                    contents[attachment.sha256] = content
        except Refusal as refusal:
            return refusal
        except Exception as error:
            # A disk that fails for one content must not keep the others of the page from their documents.
            get_logger().exception("attachment_not_stored")
            return Refusal("unavailable", repr(error))
        return contents

    async def _stream(self, document_id: str, number: int, attachment: AttachmentRow) -> None:
        now, sha256, size = self._clock.now(), attachment.sha256, attachment.size
        try:
            # Closed whatever happens: a stream that nobody reads on would keep its connection.
            async with aclosing(self._remote(document_id, number)) as content:
                await self._blobs.put(sha256, size, content, owner=OWNER, now=now, pin_until=now + DAY_MS)
        except BlobMismatch as error:
            raise _mismatch(number) from error
        except StorageFull as error:
            raise Refusal("storage_full", "no room for an attachment", retry_after=30) from error

    async def _remote(self, document_id: str, number: int) -> AsyncGenerator[bytes, None]:
        """The stream from the axis; where it breaks off it goes on at the same offset, a few times."""
        offset = 0
        for left in reversed(range(_RESUMES)):
            try:
                async with aclosing(self._client.attachment(document_id, number, offset)) as chunks:
                    async for chunk in chunks:
                        offset += len(chunk)
                        yield chunk
            except Refusal as refusal:
                if not left or refusal.name != "unavailable" or not offset:
                    raise
            else:
                return


def _is(content: bytes, attachment: AttachmentRow) -> bool:
    """Whether these are the bytes that the signed header names."""
    return len(content) == attachment.size and hashlib.sha256(content).digest() == attachment.sha256


def _batches(small: Iterable[tuple[_Key, AttachmentRow]]) -> list[list[_Key]]:
    """Keys in portions that fit into one answer each."""
    batches: list[list[_Key]] = []
    room = 0
    for key, attachment in small:
        if not batches or len(batches[-1]) >= _KEYS or attachment.size > room:
            batches.append([])
            room = _TOGETHER_BYTES
        batches[-1].append(key)
        room -= attachment.size
    return batches


def _mismatch(number: int) -> Refusal:
    return Refusal("attachment_mismatch", f"attachment {number} is not what it is named")
