"""The chunks of blobs in a JetStream stream: one subject each, the newest alone, read by subject.

Each chunk's header says how large the blob is and when its upload began, so that a reader knows where it
ends, and a collector leaves alone what is being published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from axis.jetstream import JetStream, Message, NotAnswered, Refused
from axis.ports import BlobMissing, OutcomeUnknown

__all__ = ["Chunks", "store"]

#: Of one message. Larger ones hold up the journal's appends on the same servers.
_PIECE_BYTES: Final = 128 * 1024
#: Messages under way at once, of one upload; and blobs of one chunk, of one batch.
_WINDOW: Final = 4
_SMALL_WINDOW: Final = 16
_TRIES: Final = 8
_RETRY_SECONDS: Final = 0.25
#: Publishing ends well before a first chunk may be collected.
_PUBLISH_SECONDS: Final = 30 * 60.0
_YOUNG_MS: Final = 45 * 60 * 1000


async def store(
    cluster: JetStream, subject: str, data: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Publish until it is stored; the same message twice does no harm. OutcomeUnknown after some tries."""
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            await cluster.publish(subject, data, headers)
        except Refused as refused:
            if refused.no_room:
                raise OutcomeUnknown(f"the cluster has no room: {refused}", full=True) from refused
            error = refused
        except NotAnswered as silent:
            error = silent
        else:
            return
        await asyncio.sleep(_RETRY_SECONDS)
    raise OutcomeUnknown(f"the cluster did not take the attachment: {error}") from error


class Chunks:
    """The stream of one axis's chunks."""

    def __init__(self, cluster: JetStream, stream: str) -> None:
        self.stream = stream
        self._cluster = cluster

    @property
    def subjects(self) -> list[str]:
        """What the stream keeps."""
        return [f"{self.stream}.*.*"]

    async def publish(self, sha256: bytes, size: int, now: int, data: AsyncIterator[bytes]) -> None:
        """Publish a blob. OutcomeUnknown."""
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await self._publish(sha256, data, _headers(size, now))
        except TimeoutError as error:
            raise OutcomeUnknown("the cluster is too slow for this attachment") from error

    async def publish_small(self, blobs: Sequence[tuple[bytes, bytes]], now: int) -> None:
        """Publish blobs of one chunk each, given by (SHA-256, content). OutcomeUnknown."""
        gate = asyncio.Semaphore(_SMALL_WINDOW)

        async def one(sha256: bytes, content: bytes) -> None:
            async with gate:
                await store(self._cluster, self._subject(sha256, 0), content, _headers(len(content), now))

        await asyncio.gather(*(one(*blob) for blob in blobs))

    async def read(self, sha256: bytes, offset: int) -> AsyncIterator[bytes]:
        """The bytes from `offset`. BlobMissing when the blob is not there; OutcomeUnknown."""
        number, skip = divmod(offset, _PIECE_BYTES)
        first = await self.piece(sha256, number)
        if first is None:
            if await self.piece(sha256, 0) is None:
                raise BlobMissing(sha256.hex())
            return _nothing()
        return self._rest(sha256, number, skip, first)

    async def piece(self, sha256: bytes, number: int) -> Message | None:
        """One chunk. OutcomeUnknown after some tries."""
        error: Exception | None = None
        for _ in range(_TRIES):
            try:
                return await self._cluster.newest(self.stream, self._subject(sha256, number))
            except (Refused, NotAnswered) as failed:
                error = failed
            await asyncio.sleep(_RETRY_SECONDS)
        raise OutcomeUnknown(f"the cluster did not give the attachment: {error}") from error

    async def may_go(self, sha256: bytes, now: int) -> bool:
        """Whether it is there, and no upload of it can be under way."""
        first = await self.piece(sha256, 0)
        return first is not None and _header(first, "axis-at") < now - _YOUNG_MS

    async def stored(self) -> list[bytes]:
        """Of every blob in the stream. The servers list subjects in pages. Refused, NotAnswered."""
        subjects: dict[str, Any] = {}
        while True:
            asked = {"subjects_filter": f"{self.stream}.*.0", "offset": len(subjects)}
            answer = await self._cluster.ask(f"STREAM.INFO.{self.stream}", asked, 10.0)
            page = answer["state"].get("subjects") or {}
            subjects |= page
            if not page or len(subjects) >= int(answer.get("total") or 0):
                return [bytes.fromhex(subject.split(".")[1]) for subject in subjects]

    async def purge(self, sha256: bytes, upto: int) -> bool:
        """Remove a blob's chunks up to a place of the stream. Refused, NotAnswered."""
        asked = {"filter": f"{self.stream}.{sha256.hex()}.*", "seq": upto + 1}
        return bool((await self._cluster.ask(f"STREAM.PURGE.{self.stream}", asked, 10.0)).get("purged"))

    def _subject(self, sha256: bytes, number: int) -> str:
        return f"{self.stream}.{sha256.hex()}.{number}"

    async def _publish(self, sha256: bytes, data: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        # The first by itself: it is the one whose age says that an upload is under way.
        number, pieces = 0, _pieces(data)
        batch = [await anext(pieces, b"")]
        while batch:
            await asyncio.gather(
                *(
                    store(self._cluster, self._subject(sha256, each), piece, headers)
                    for each, piece in enumerate(batch, number)
                )
            )
            number += len(batch)
            batch = [piece for _ in range(_WINDOW) if (piece := await anext(pieces, b""))]

    async def _rest(self, sha256: bytes, number: int, skip: int, first: Message) -> AsyncIterator[bytes]:
        count = -(-_header(first, "axis-size") // _PIECE_BYTES)
        piece: Message | None = first
        while piece is not None:
            if piece.data[skip:]:
                yield piece.data[skip:]
            skip, number = 0, number + 1
            if number >= count:
                return
            piece = await self.piece(sha256, number)
        raise BlobMissing(f"{sha256.hex()}: chunk {number} is gone")


def _headers(size: int, now: int) -> dict[str, str]:
    return {"Axis-Size": str(size), "Axis-At": str(now)}


def _header(message: Message, wanted: str) -> int:
    """A number in a chunk's header; 0 where there is none."""
    for line in message.headers.decode("ascii", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted and value.strip().isdigit():
            return int(value)
    return 0


async def _pieces(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of 128 KiB."""
    held = bytearray()
    async for chunk in data:
        held += chunk
        while len(held) >= _PIECE_BYTES:
            yield bytes(held[:_PIECE_BYTES])
            del held[:_PIECE_BYTES]
    if held:
        yield bytes(held)


async def _nothing() -> AsyncIterator[bytes]:
    """Read from beyond the end."""
    yield b""
