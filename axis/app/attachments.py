"""The attachments in the cluster, for commands that are no coroutines: what a home's own folder lacks.

A connection of the command's own, with the home's keys, on a loop in a thread of its own: so it is kept up
while the command writes or hashes something else. It is made when something is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from axis.app.home import Home
from axis.audit.contents import Found, Unreachable
from axis.config import ConfigError
from axis.core.errors import Refusal
from axis.ports import BlobMismatch, BlobMissing, OutcomeUnknown
from axis.readonly import open_readonly

if TYPE_CHECKING:
    from axis.blobs.chunks import Chunks
    from axis.jetstream import JetStream

__all__ = ["SharedAttachments", "shared_attachments"]

P = ParamSpec("P")
T = TypeVar("T")
_TOGETHER: Final = 16  # small ones read at once
_LOOKED_AT: Final = 4  # those that an audit reads at once, large or small
_BUSY_SECONDS: Final = 10.0


@contextmanager
def shared_attachments(home: Home) -> Iterator[SharedAttachments]:
    """Those of a home that is in a cluster; the connection is closed at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cluster", daemon=True)
    thread.start()
    shared = SharedAttachments(home, loop)
    try:
        yield shared
    finally:
        shared.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class SharedAttachments:
    """Reads from the cluster on `loop`, for one other thread. Make one with `shared_attachments`.

    Raises Refusal `unavailable` when the cluster does not answer; ConfigError when it cannot be asked.
    """

    def __init__(self, home: Home, loop: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._loop = loop
        self._cluster: JetStream | None = None
        self._chunks: Chunks | None = None

    def read(self, sha256: bytes, size: int) -> Iterator[bytes]:
        """One attachment in pieces of at most 128 KiB, never wholly in memory.

        Raises BlobMissing; BlobMismatch, at its end at the latest, for other bytes than named.
        """
        from axis.blobs.taking import verified

        pieces = verified(self._opened(), sha256, size)
        try:
            while (piece := self._run(_following, pieces)) is not None:
                yield piece
        finally:
            self._run(pieces.aclose)

    def read_small(self, wanted: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, bytes]]:
        """(SHA-256, content) of many small attachments, given by SHA-256 and size. As `read`."""
        from axis.blobs.taking import read_small

        for some in _in_portions(wanted, _TOGETHER):
            contents = self._run(read_small, self._opened(), some)
            yield from zip((sha256 for sha256, _ in some), contents, strict=True)

    def look(self, wanted: Iterable[tuple[bytes, int]], *, quick: bool) -> Iterator[tuple[bytes, Found]]:
        """What the cluster has under each SHA-256, and its real one; `quick`: whether it has all of it.

        For an audit: raises nothing but axis.audit's Unreachable.
        """
        for some in _in_portions(wanted, _LOOKED_AT):
            try:
                looked_at = self._run(_look, self._opened(), some, quick)
            except (Refusal, ConfigError) as error:
                raise Unreachable(str(error)) from error
            yield from zip((sha256 for sha256, _ in some), looked_at, strict=True)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._cluster is not None:
            self._run(self._cluster.close)

    def _opened(self) -> Chunks:
        if self._chunks is None:
            self._chunks = self._run(self._open)
        return self._chunks

    async def _open(self) -> Chunks:
        try:
            # Only now: a home that lacks nothing needs no NATS.
            from axis.app.clustered import connect
            from axis.blobs.chunks import Chunks
            from axis.jetstream import NotAnswered, Refused
        except ModuleNotFoundError as error:
            raise ConfigError(f"attachments in a cluster need document-axis[cluster]: {error}") from error
        with closing(open_readonly(self._home.journal_path, timeout=_BUSY_SECONDS)) as journal:
            (journal_id,) = journal.execute("SELECT journal_id FROM journal").fetchone()
        try:
            self._cluster = await connect(self._home)
            chunks = Chunks(self._cluster, journal_id)
            if await self._cluster.stream(chunks.stream, _BUSY_SECONDS) is None:
                raise Refusal(
                    "unavailable", f"the cluster has no stream {chunks.stream}: axis journal reseed"
                )
        except (NotAnswered, Refused) as error:
            raise Refusal("unavailable", str(error)) from error
        return chunks

    def _run(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        future = asyncio.run_coroutine_threadsafe(work(*args, **kwargs), self._loop)
        try:
            return future.result()
        except OutcomeUnknown as error:
            raise Refusal("unavailable", str(error)) from error
        finally:
            future.cancel()  # interrupted from the keyboard; else it has ended


async def _following(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _look(chunks: Chunks, some: Sequence[tuple[bytes, int]], quick: bool) -> list[Found]:
    from axis.blobs.taking import all_of

    return await all_of(_found(chunks, sha256, size, quick) for sha256, size in some)


async def _found(chunks: Chunks, sha256: bytes, size: int, quick: bool) -> Found:
    try:
        if quick:
            return Found(await chunks.size(sha256, size), None)
        digest, came = hashlib.sha256(), 0
        async for piece in await chunks.read(sha256, 0):
            digest.update(piece)
            came += len(piece)
            if came > size:
                break
        return Found(came, digest.digest())
    except BlobMissing as error:
        return Found(None, None, str(error))
    except BlobMismatch as error:
        return Found(None, None, str(error), damaged=True)


def _in_portions(wanted: Iterable[tuple[bytes, int]], most: int) -> Iterator[list[tuple[bytes, int]]]:
    each = iter(wanted)
    while some := list(islice(each, most)):
        yield some
