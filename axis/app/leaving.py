"""A home leaves its cluster and goes on alone, with the whole journal and every attachment.

The stream is closed first, so that nobody appends any more; other nodes then say so and promise nothing. Only
when this home is verified to be whole do its settings say that it is alone. Broken off anywhere, it is either
taken up again or undone by serving in the cluster as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Final

from axis import config
from axis.app.clustered import connect, node_name, refused
from axis.app.home import Home, SystemClock
from axis.app.marks import Marks
from axis.app.named import named_blobs
from axis.app.whole import NotWhole, whole
from axis.blobs.chunks import Chunks
from axis.blobs.files import FileBlobs
from axis.blobs.taking import take
from axis.core import state
from axis.core.errors import Refusal
from axis.core.frame import Head
from axis.jetstream import JetStream
from axis.journal.sqlite import SqliteJournal
from axis.journal.standing import NodeStanding
from axis.journal.stream import JournalStream, Phase, Standing, stream_name
from axis.journal.taking import Taking
from axis.logs import get_logger
from axis.ports import BlobMismatch, BlobMissing, JournalBroken

__all__ = ["leave"]

_STATE_SECONDS: Final = 10.0


async def leave(home: Home, show: Callable[[str, int], None] = lambda _what, _bytes: None) -> Head:
    """Take all that the cluster has, close its stream, and have the settings say that the home is alone.

    The caller holds the home's lock. Raises JournalBroken, StorageFull, ConfigError; Refusal `unavailable`
    (the cluster does not answer), `journal_forked` (another home closed the stream), `attachment_missing`.
    """
    marks = Marks(home.path)
    async with AsyncExitStack() as opened:
        file = SqliteJournal.open(home.journal_path)
        opened.push_async_callback(file.close)
        local = FileBlobs.open_root(home.blobs_path)
        opened.push_async_callback(local.close)
        with refused():
            cluster = await connect(home)
            opened.push_async_callback(cluster.close)
            leaving = _Leaving(home, file, local, cluster)
            await leaving.take(await leaving.standing(marks.token))  # most of it, while others still append
            last = await leaving.close(marks.leaves())
            await leaving.take(last)
        try:
            head, root = await asyncio.to_thread(whole, home, show)
        except NotWhole as error:
            raise JournalBroken(str(error)) from error
        with refused():
            await leaving.confirm(last)  # verifying takes long
    marks.has_left()
    config.save(home.path, home.settings.model_copy(update={"journal": ""}))
    get_logger().info("cluster_left", head=str(head), root_hash=root)
    return head


class _Leaving:
    """One home that takes what the cluster has."""

    def __init__(self, home: Home, file: SqliteJournal, local: FileBlobs, cluster: JetStream) -> None:
        journal_id = file.head().journal_id
        self._file, self._local = file, local
        self._stream = JournalStream(cluster, stream_name(journal_id))
        self._chunks = Chunks(cluster, journal_id)
        told = NodeStanding(self._stream.name, monotonic)
        self._frames = Taking(file, self._stream, state.reduce, told, monotonic)
        self._name = node_name(home)

    async def standing(self, token: str) -> Standing:
        """A stream that is live, or that this home has closed."""
        standing = await self._stream.standing(_STATE_SECONDS)
        if standing is None or standing.last < self._file.head().number:
            raise Refusal("journal_forked", "the stream is not whole: axis journal reseed first")
        ours = standing.phase is Phase.CLOSED and token and standing.closed_by == token
        if standing.phase is not Phase.LIVE and not ours:
            raise Refusal("journal_forked", f"the stream {standing.words}")
        if not standing.led:
            raise Refusal("unavailable", "the stream's leader has no majority", retry_after=1)
        return standing

    async def close(self, token: str) -> Standing:
        """Close the stream in this home's name, and wait until it rests."""
        standing = await self.standing(token)
        await self._stream.turn(Phase.CLOSED, standing.last, token, was=standing)
        while True:
            rest = await self._stream.at_rest()
            _still_closed(rest, token)
            if rest.until == rest.last:
                return rest
            await self._stream.turn(Phase.CLOSED, rest.last, token, was=rest)

    async def confirm(self, last: Standing) -> None:
        """Refuse to go on alone where somebody has opened the stream since it rested: others append."""
        standing = await self.standing(last.closed_by)
        _still_closed(standing, last.closed_by)
        if standing.last != last.last:
            raise Refusal("journal_forked", f"the stream was opened meanwhile: it {standing.words}")

    async def take(self, standing: Standing) -> None:
        """Every frame of the stream, and every attachment that they name."""
        await self._frames.compare(standing)
        await self._frames.catch_up(standing.last)
        try:
            await take(
                self._local,
                self._chunks,
                named_blobs(self._file),
                SystemClock().now(),
                lambda blobs, size: get_logger().info("attachments_taken", blobs=blobs, bytes=size),
            )
        except BlobMissing as error:
            raise Refusal("attachment_missing", f"neither this home nor the cluster has {error}") from error
        except BlobMismatch as error:
            raise Refusal("attachment_mismatch", str(error)) from error


def _still_closed(standing: Standing, token: str) -> None:
    if standing.closed_by != token or standing.phase is not Phase.CLOSED:
        raise Refusal("journal_forked", f"somebody else mends the stream: it {standing.words}")
