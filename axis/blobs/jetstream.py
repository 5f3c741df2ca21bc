"""Blobs of several axis nodes: each whole at the node that took it, and in NATS JetStream for the others.

An upload is checked and stored in the node's own folder first, then published in chunks of 128 KiB, then
announced with its owner's pin; only then it counts. Two streams: `blobs-…` holds the chunks, one subject
each, the newest alone; `pins-…` the announcements of the last 26 hours, which every node follows into a file
of its own. So what one node has taken another may accept, a moment later.

Collecting is safe against uploads at other nodes: publishing takes half an hour at most, a first chunk
younger than 45 minutes is left alone, and nothing is removed beyond the place where the stream stood before
the pins were looked at. It is safe against documents that other nodes accept, because names are asked for at
a head of the journal that was confirmed after that place was read.

Not handled here: object storage (another engine behind the same port could keep the chunks there).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256 as digest_of
from pathlib import Path
from time import monotonic
from typing import Any, Final

from axis.blobs.announced import Announced, Pin
from axis.blobs.announcement import PINS_TOGETHER, Announcement, read_announcement
from axis.blobs.chunks import Chunks, store
from axis.blobs.files import FileBlobs
from axis.blobs.unused import Unused
from axis.jetstream import JetStream, Message, NotAnswered, Refused, StreamState
from axis.logs import get_logger
from axis.ports import BlobMismatch, BlobMissing, OutcomeUnknown

__all__ = ["JetStreamBlobs"]

_FOLLOW_SECONDS: Final = 0.5
_PINS_AGE_NS: Final = 26 * 3600 * 1_000_000_000
#: A blob that others uploaded counts as there while its pin lasts so much longer.
_LASTS_MS: Final = 2 * 60 * 60 * 1000
_PAGE: Final = 64
_LOCAL: Final = ""  # owner of this node's own copies


class JetStreamBlobs:
    """ports.Blobs over a cluster and this node's folder. Make one with `open_root`."""

    def __init__(
        self, local: FileBlobs, announced: Announced, cluster: JetStream, name: str, replicas: int = 3
    ) -> None:
        self._local = local
        self._announced = announced
        self._cluster = cluster
        self._chunks, self._pins = Chunks(cluster, name), f"pins-{name}"
        self._replicas = replicas
        self._following: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._chunks_made = ""  # when the stream of chunks was made, which tells it from an earlier one
        self._uploading: Counter[bytes] = Counter()
        self._unused = Unused(announced, self._chunks, self._uploading.__contains__)
        self._closed = False

    @classmethod
    async def open_root(
        cls, root: Path, cluster: JetStream, name: str, *, replicas: int = 3
    ) -> JetStreamBlobs:
        """Open the folder, make the streams where they are missing, and follow the announcements.

        `name`: the journal's id. Raises NotAnswered, StorageFull.
        """
        local = FileBlobs.open_root(root)
        blobs = cls(local, Announced(root / "announced.sqlite"), cluster, name, replicas)
        try:
            await blobs._make_streams()
            await blobs._look()
        except BaseException:
            await blobs.close()
            raise
        await cluster.listen(f"{blobs._pins}.told", blobs._hear)
        blobs._following = asyncio.create_task(blobs._follow(), name="blobs")
        return blobs

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
        """Store and pin; see ports.Blobs. OutcomeUnknown when the cluster does not take it."""
        began = monotonic()
        with self._marked([sha256]):
            await self._local.put(sha256, size, chunks, owner=_LOCAL, now=now, pin_until=pin_until)
            now += round((monotonic() - began) * 1000)
            made = self._chunks_made
            if not self._lasts(sha256, now):
                await self._publish(sha256, size, now)
            await self._announce([Pin(sha256, owner, size, pin_until)], made)

    async def put_small(self, contents: Sequence[bytes], *, owner: str, now: int, pin_until: int) -> None:
        """Store and pin several; see ports.Blobs. OutcomeUnknown when the cluster does not take them."""
        pins = [Pin(digest_of(content).digest(), owner, len(content), pin_until) for content in contents]
        with self._marked([pin.sha256 for pin in pins]):
            await self._local.put_small(contents, owner=_LOCAL, now=now, pin_until=pin_until)
            made = self._chunks_made
            wanted = {
                pin.sha256: content
                for pin, content in zip(pins, contents, strict=True)
                if not self._lasts(pin.sha256, now)
            }
            await self._chunks.publish_small(list(wanted.items()), now)
            for start in range(0, len(pins), PINS_TOGETHER):
                await self._announce(pins[start : start + PINS_TOGETHER], made)

    @contextmanager
    def _marked(self, hashes: Sequence[bytes]) -> Iterator[None]:
        """From before the first await of an upload here: `collect` leaves these alone."""
        self._uploading.update(hashes)
        try:
            yield
        finally:
            self._uploading.subtract(hashes)
            self._uploading += Counter()  # drops those that came to nought

    def pinned(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end of the pin) of this owner's blob, whichever node took it."""
        return self._announced.pin(sha256, owner)

    @asynccontextmanager
    async def open(self, sha256: bytes, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset`: this node's copy, else the cluster's."""
        if self._local.size(sha256) is not None:
            async with self._local.open(sha256, offset) as data:
                yield data
            return
        yield await self._chunks.read(sha256, offset)

    def size(self, sha256: bytes) -> int | None:
        """The size of a blob that this node holds, or that was announced in the last day."""
        size = self._local.size(sha256)
        if size is None and (newest := self._announced.newest(sha256)) is not None:
            return newest[0]
        return size

    async def collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> int:
        """Delete what nobody pins or names, here and in the cluster; see ports.Blobs.

        OutcomeUnknown when the cluster does not answer: what was not deleted now is another time.
        """
        try:
            return await self._collect(now, is_named, confirm)
        except (NotAnswered, Refused) as error:
            raise OutcomeUnknown(f"attachments were not collected: {error}") from error

    async def _collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None,
    ) -> int:
        before = await self._state(self._chunks.stream)
        if not before.led:
            raise NotAnswered("the leader of the stream of chunks has no majority")
        await self._look()  # every pin that was announced before the place in `before`
        # Only now: a frame that names a chunk up to that place, by a pin that has ended over an hour ago, is
        # below a head confirmed after it. Names are never taken back, so a later head says no less.
        if confirm is not None and not await confirm():
            return 0
        deleted = await self._unused.purge(now, is_named, before.last)
        here = await self._local.collect(now, is_named)
        return max(deleted, here)  # the same blobs, but for what only one of both still had

    def hashes(self) -> Iterator[bytes]:
        """Of every blob that this node holds itself."""
        return self._local.hashes()

    async def seed(self, now: int) -> int:
        """Publish every blob that this node holds, whatever was announced of it; how many.

        For a home that founds a cluster, or mends it: also where the streams themselves are gone.
        """
        await self._make_streams()
        await self._look()
        made, count = self._chunks_made, 0
        async for sha256 in self._local.each():
            if (size := self._local.size(sha256)) is not None:
                await self._publish(sha256, size, now)
                count += 1
        self._announced.has_published(made)
        return count

    async def publish_lost(self, now: int, is_named: Callable[[bytes], bool]) -> int:
        """Publish what this node holds, `is_named` affirms, and the stream of chunks lacks; how many.

        Once for each stream of chunks: one that somebody has made again holds nothing of what the other nodes
        took. Named blobs alone: nobody collects those meanwhile, and the others must be uploaded again, as
        their pins are void. OutcomeUnknown when the cluster does not answer: then it begins again next time.
        """
        made, count = self._chunks_made, 0
        if self._announced.published(made):
            return 0
        async for sha256 in self._local.each():
            size = self._local.size(sha256) if is_named(sha256) else None
            if size is None or await self._is_whole(sha256, size):
                continue
            await self._publish(sha256, size, now)
            count += 1
        if self._chunks_made == made:  # else another has come meanwhile, to be filled next time
            self._announced.has_published(made)
        return count

    async def _is_whole(self, sha256: bytes, size: int) -> bool:
        """Whether every chunk is in the cluster."""
        try:
            return await self._chunks.size(sha256, size) == size
        except (BlobMissing, BlobMismatch):
            return False

    async def _make_streams(self) -> None:
        """Where they are missing."""
        for config in (
            _chunks_config(self._chunks, self._replicas),
            _pins_config(self._pins, self._replicas),
        ):
            await _made(self._cluster, config)

    async def close(self) -> None:
        """Stop following and release the files. Idempotent."""
        self._closed = True
        self._told.set()
        if self._following is not None:
            await asyncio.wait({self._following})
        await self._local.close()
        self._announced.close()

    # --- the cluster

    def _lasts(self, sha256: bytes, now: int) -> bool:
        """Whether somebody announced it, so that it is complete, and it is not about to be collected."""
        newest = self._announced.newest(sha256)
        return newest is not None and newest[1] > now + _LASTS_MS

    async def _publish(self, sha256: bytes, size: int, now: int) -> None:
        """Publish this node's copy."""
        async with self._local.open(sha256) as data:
            await self._chunks.publish(sha256, size, now, data)

    async def _announce(self, pins: Sequence[Pin], made: str) -> None:
        """Announce blobs whose chunks are in the stream made at `made`. OutcomeUnknown: it is gone."""
        if not pins:
            return
        if made != self._chunks_made:
            raise OutcomeUnknown("the stream of attachments was made anew while this one was published")
        said = Announcement(made, tuple(pins))
        await store(self._cluster, f"{self._pins}.pin", said.as_bytes())
        self._announced.take(pins)
        await self._cluster.tell(f"{self._pins}.told", b"")

    async def _state(self, stream: str) -> StreamState:
        state = await self._cluster.stream(stream, 5.0)
        if state is None:
            raise NotAnswered(f"the stream {stream} is gone")
        return state

    # --- following the announcements

    async def _hear(self, _: bytes) -> None:
        self._told.set()

    async def _follow(self) -> None:
        while not self._closed:
            try:
                await self._look()
            except (NotAnswered, Refused) as error:
                get_logger().debug("announcements_silent", detail=str(error))
            except Exception:
                # A full disk, say: without announcements no other node's upload could be accepted any more.
                get_logger().exception("announcements_failed")
            self._told.clear()
            try:
                async with asyncio.timeout(_FOLLOW_SECONDS):
                    await self._told.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        """Take in what was announced since the last look."""
        state = await self._state(self._pins)
        # Announcements speak of one stream of chunks; of those in another, made later, they say nothing.
        self._chunks_made = (await self._state(self._chunks.stream)).created
        created = f"{self._chunks_made} {state.created}"
        place = max(self._announced.place(created), state.first - 1)
        while place < state.last:
            upto = min(state.last, place + _PAGE)
            found = await asyncio.gather(
                *(self._cluster.message(self._pins, number) for number in range(place + 1, upto + 1))
            )
            pins = [
                pin
                for message in found
                if message is not None
                for pin in _pins_in(message, self._chunks_made)
            ]
            self._announced.take(pins, created, upto)
            place = upto


def _chunks_config(chunks: Chunks, replicas: int) -> dict[str, Any]:
    return _config(chunks.stream, chunks.subjects, replicas) | {"max_msgs_per_subject": 1}


def _pins_config(name: str, replicas: int) -> dict[str, Any]:
    return _config(name, [f"{name}.pin"], replicas) | {"max_age": _PINS_AGE_NS}


def _config(name: str, subjects: Iterable[str], replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": list(subjects),
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "allow_direct": False,
        "max_consumers": -1,
    }


async def _made(cluster: JetStream, config: dict[str, Any]) -> None:
    try:
        if await cluster.stream(config["name"], 10.0) is None:
            await cluster.make_stream(config)
    except Refused as refused:
        raise NotAnswered(f"the cluster does not make the stream {config['name']}: {refused}") from refused


def _pins_in(message: Message, chunks_made: str) -> list[Pin]:
    """The pins that an announcement gives blobs of this stream of chunks; one that is none gives none."""
    try:
        said = read_announcement(message.data)
    except ValueError as error:
        get_logger().warning("announcement_odd", sequence=message.sequence, detail=str(error))
        return []
    return list(said.pins) if said.chunks == chunks_made else []
