"""The chunks of blobs in a JetStream stream: one subject each, the newest alone, read by subject.

Each chunk's header says how large the blob is and when its upload began, so that a reader knows where it
ends, and a collector leaves alone what is being published.

What other nodes published is untrusted until it is hashed. A reader is given no more than the header says,
each chunk of exactly the length that its place has; whether they are the right bytes, whoever knows the
SHA-256 checks when it has them all (agency nodes do, `agencies.flow.fetch`; here `axis.blobs.taking`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from axis.jetstream import JetStream, Message, NotAnswered, Refused
from axis.ports import BlobMismatch, BlobMissing, OutcomeUnknown

__all__ = ["Chunks", "store"]

T = TypeVar("T")

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
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
#: Of a number in a header.
_DIGITS: Final = 18


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

    def __init__(self, cluster: JetStream, name: str) -> None:
        """`name`: the journal's id."""
        self.stream = f"blobs-{name}"
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
        """The bytes from `offset`, unchecked. BlobMissing when the blob is not there; OutcomeUnknown.

        BlobMismatch, at once or while reading, where the chunks are not of the size that they say.
        """
        number, skip = divmod(offset, _PIECE_BYTES)
        first = await self.piece(sha256, number)
        if first is None:
            if await self.piece(sha256, 0) is None:
                raise BlobMissing(sha256.hex())
            return _nothing()
        size = _header(first, "axis-size")
        return self._rest(sha256, number, skip, size, _checked(first, sha256, number, size))

    async def size(self, sha256: bytes, named: int) -> int:
        """The size of a blob whose every chunk is there; `named` is what it should have. Reads one chunk.

        Raises BlobMissing, BlobMismatch, OutcomeUnknown.
        """
        count = 1
        if named > _PIECE_BYTES:
            numbers = await _tried(lambda: self._subjects(f"{self.stream}.{sha256.hex()}.*"))
            count = len(numbers)
            if {subject.rpartition(".")[2] for subject in numbers} != set(map(str, range(count))):
                raise BlobMissing(f"{sha256.hex()}: not every chunk is there")
        last = await self.piece(sha256, count - 1) if count else None
        if last is None:
            raise BlobMissing(sha256.hex())
        size = _header(last, "axis-size")
        _checked(last, sha256, count - 1, size)
        if size > count * _PIECE_BYTES:
            raise BlobMissing(f"{sha256.hex()}: not every chunk is there")
        return size

    async def piece(self, sha256: bytes, number: int) -> Message | None:
        """One chunk. OutcomeUnknown after some tries."""
        return await _tried(lambda: self._cluster.newest(self.stream, self._subject(sha256, number)))

    async def may_go(self, sha256: bytes, now: int) -> bool:
        """Whether it is there, and no upload of it can be under way."""
        first = await self.piece(sha256, 0)
        return first is not None and _header(first, "axis-at") < now - _YOUNG_MS

    async def stored(self, offset: int) -> list[bytes | None]:
        """A page of the blobs in the stream, in order, as large as the servers make it (100,000 at most).

        Empty behind the last; None for what is under no SHA-256. Refused, NotAnswered.
        """
        asked = {"subjects_filter": f"{self.stream}.*.0", "offset": offset}
        answer = await self._cluster.ask(f"STREAM.INFO.{self.stream}", asked, 10.0)
        names = (subject.split(".")[1] for subject in sorted(answer["state"].get("subjects") or {}))
        return [bytes.fromhex(name) if _SHA256.fullmatch(name) else None for name in names]

    async def purge(self, sha256: bytes, upto: int) -> bool:
        """Remove a blob's chunks up to a place of the stream. Refused, NotAnswered."""
        asked = {"filter": f"{self.stream}.{sha256.hex()}.*", "seq": upto + 1}
        return bool((await self._cluster.ask(f"STREAM.PURGE.{self.stream}", asked, 10.0)).get("purged"))

    async def _subjects(self, wanted: str) -> dict[str, Any]:
        """Which there are. The servers list them in pages."""
        subjects: dict[str, Any] = {}
        while True:
            asked = {"subjects_filter": wanted, "offset": len(subjects)}
            answer = await self._cluster.ask(f"STREAM.INFO.{self.stream}", asked, 10.0)
            page = answer["state"].get("subjects") or {}
            subjects |= page
            if not page or len(subjects) >= int(answer.get("total") or 0):
                return subjects

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

    async def _rest(
        self, sha256: bytes, number: int, skip: int, size: int, data: bytes
    ) -> AsyncIterator[bytes]:
        while True:
            if data[skip:]:
                yield data[skip:]
            skip, number = 0, number + 1
            if number * _PIECE_BYTES >= size:
                return
            piece = await self.piece(sha256, number)
            if piece is None:
                raise BlobMissing(f"{sha256.hex()}: chunk {number} is gone")
            data = _checked(piece, sha256, number, size)


async def _tried(ask: Callable[[], Awaitable[T]]) -> T:
    """What the cluster answers. OutcomeUnknown after some tries."""
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            return await ask()
        except (Refused, NotAnswered) as failed:
            error = failed
        await asyncio.sleep(_RETRY_SECONDS)
    raise OutcomeUnknown(f"the cluster did not give the attachment: {error}") from error


def _headers(size: int, now: int) -> dict[str, str]:
    return {"Axis-Size": str(size), "Axis-At": str(now)}


def _header(message: Message, wanted: str) -> int:
    """A number in a chunk's header; 0 where there is none."""
    for line in message.headers.decode("ascii", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted and value.strip().isdigit():
            return int(value.strip()[:_DIGITS])
    return 0


def _checked(message: Message, sha256: bytes, number: int, size: int) -> bytes:
    """What chunk `number` of a blob of `size` bytes holds; BlobMismatch where it cannot be that chunk."""
    expected = min(_PIECE_BYTES, size - number * _PIECE_BYTES)
    if len(message.data) != expected or _header(message, "axis-size") != size:
        raise BlobMismatch(
            f"{sha256.hex()}: chunk {number} has {len(message.data)} bytes, {expected} of {size} are due"
        )
    return message.data


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
