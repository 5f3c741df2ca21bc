"""The journal of several axis nodes: one NATS JetStream stream, and each node's own complete file.

One frame is one message, and a frame's number is its place in the stream. The stream decides who comes
first (`Nats-Expected-Last-Sequence`: compare-and-set); it is never trusted as the only copy. Every node keeps
all frames with their index in its own `journal.sqlite`, applied in order, each checked against its
predecessor, so what a node has handed out it can prove, whatever becomes of the cluster.

What the cluster answers to an append is not believed unless it is the frame's own place: a refusal, a
time-out and a lost connection all mean *unknown*, and only the frame that is read at head + 1 decides. Where
none is there the same bytes are sent again; at most one frame can land at a place.

Stops for good (`JournalBroken`, until `axis journal reseed`): a frame in the stream that does not follow this
node's own, and a stream that stays shorter than this node's head.

Not handled here: making the stream and filling it from a file (`axis.journal.seeding`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from google.protobuf.message import DecodeError

from axis.core.facts import Changes
from axis.core.frame import Frame, FrameInvalid, Head, decode
from axis.jetstream import JetStream, NotAnswered, Refused, StreamState
from axis.journal.reading import ReadsFile
from axis.journal.sqlite import SqliteJournal
from axis.journal.waiting import Wakeup, check_follows, same_place
from axis.logs import get_logger
from axis.ports import (
    Conflict,
    JournalBroken,
    KeyTaken,
    OutcomeUnknown,
    Reduce,
    StorageFull,
)

__all__ = ["JetStreamJournal", "stream_name", "subject_of"]

#: How long an append is tried before its outcome counts as unknown.
_APPEND_SECONDS: Final = 8.0
#: How long one answer may take.
_ANSWER_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.05
#: How often the stream is looked at when nobody tells of a frame.
_LOOK_SECONDS: Final = 0.5
#: A head that was not confirmed for so long is not told of any more.
_CONFIRMED_SECONDS: Final = 2.0
#: So long may the stream be shorter than this node's head: a leader that was paused may briefly answer so.
_SHORT_SECONDS: Final = 15.0
#: Frames read at a time when this node is behind: at most 8 MiB.
_READ_AHEAD: Final = 16
#: While others append too, a node lets them go first after each frame of its own.
_BUSY_SECONDS: Final = 0.1
_GIVE_WAY_SECONDS: Final = 0.05
_PROGRESS_SECONDS: Final = 5.0


def stream_name(journal_id: str) -> str:
    """The stream that holds a journal."""
    return f"journal-{journal_id}"


def subject_of(stream: str) -> str:
    """The one subject of a journal's stream."""
    return f"axis.{stream}"


class JetStreamJournal(ReadsFile):
    """ports.Journal over a stream and this node's file. Make one with `open`."""

    shared: Final = True

    def __init__(
        self, file: SqliteJournal, cluster: JetStream, reduce: Reduce, stream: str, timer: Callable[[], float]
    ) -> None:
        super().__init__(file)
        self._cluster = cluster
        self._reduce = reduce
        self._stream = stream
        self._timer = timer
        self._turn = asyncio.Lock()  # one at a time appends, or applies what others appended
        self._hint = Wakeup()
        self._others = Wakeup()  # another node's frame was stored
        self._broken = ""
        self._own = 0  # the newest frame that this node appended
        self._foreign = timer() - _BUSY_SECONDS  # when another node's frame came last
        self._closed = False
        self._confirmed = timer() - _CONFIRMED_SECONDS
        self._short_since: float | None = None
        self._created = ""
        self._following: asyncio.Task[None] | None = None
        self._appends: set[asyncio.Task[Head]] = set()

    @classmethod
    async def open(
        cls,
        file: SqliteJournal,
        cluster: JetStream,
        reduce: Reduce,
        *,
        stream: str | None = None,
        timer: Callable[[], float] = monotonic,
    ) -> JetStreamJournal:
        """Compare this node's file with the stream, read what it lacks, and follow the stream from then on.

        Takes over the file: `close` closes it, not the connection. Raises JournalBroken (no stream, another
        journal's, one that does not continue this file, or one that begins beyond it), NotAnswered,
        StorageFull.
        """
        head = file.head()
        journal = cls(file, cluster, reduce, stream or stream_name(head.journal_id), timer)
        await journal._join()
        await cluster.listen(f"{subject_of(journal._stream)}.landed", journal._told)
        journal._following = asyncio.create_task(journal._follow(), name="journal")
        return journal

    @property
    def doubt(self) -> str:
        """Why nothing may be told of this journal now; empty while the cluster has confirmed its head."""
        if self._broken:
            return self._broken
        age = self._timer() - self._confirmed
        if age > _CONFIRMED_SECONDS:
            return f"the cluster has not confirmed the journal's head for {age:.0f} s"
        return ""

    # --- appending

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        """Add `frame`; see ports.Journal. Cancelled or not, it goes on to its end."""
        task = asyncio.create_task(self._append(expected, frame, changes))
        self._appends.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Head]) -> None:
        self._appends.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a cancelled caller's failure is not logged as unseen

    async def _append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        await self._give_way()
        async with self._turn:
            if self._broken:
                raise JournalBroken(self._broken)
            head = self._file.head()
            if not same_place(expected, head):
                raise Conflict(head)
            check_follows(head, frame)
            taken = sorted(key for key in changes.keys if self._file.key(key) is not None)
            if taken:
                raise KeyTaken(", ".join(taken))
            await self._land(frame)
            stored = await self._store(frame, changes)
            self._own = stored.number
        await self._cluster.tell(f"{subject_of(self._stream)}.landed", b"%d" % stored.number)
        return stored

    async def _give_way(self) -> None:
        """A moment for other nodes after a frame of this one: who just won is always the first again."""
        busy = self._timer() - self._foreign < _BUSY_SECONDS
        if busy and self._own == self._file.head().number:
            await self._others.wait(_GIVE_WAY_SECONDS)

    async def _land(self, frame: Frame) -> None:
        """Return once `frame` is in the stream. Conflict once another is in its place, which is applied."""
        number, until = frame.head.number, self._timer() + _APPEND_SECONDS
        while True:
            asked = self._timer()
            try:
                if await self._publish(frame) == number:
                    self._confirmed = asked
                    return
                why, full = "the stream stored the frame at another place", False
            except (Refused, NotAnswered) as error:
                why, full = str(error), isinstance(error, Refused) and error.no_room
            try:
                there = await self._read(number)
            except (Refused, NotAnswered) as error:
                there, why = None, str(error)
            if there == frame.raw:
                return
            if there is not None:
                await self._store(self._follows(there))
                raise Conflict(self._file.head())
            if full or self._timer() > until:
                raise OutcomeUnknown(f"the cluster did not take the frame: {why}", full=full)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _publish(self, frame: Frame) -> int:
        expected = {"Nats-Expected-Last-Sequence": str(frame.head.number - 1)}
        subject = subject_of(self._stream)
        return await self._cluster.publish(subject, frame.raw, expected, _ANSWER_SECONDS)

    async def _read(self, number: int) -> bytes | None:
        message = await self._cluster.message(self._stream, number, _ANSWER_SECONDS)
        return None if message is None else message.data

    def _follows(self, raw: bytes) -> Frame:
        """A frame of the stream that must follow this node's head; a fork if it does not."""
        try:
            return decode(raw, self._file.head())
        except FrameInvalid as error:
            raise self._fork(f"the stream does not continue this node's journal: {error}") from error

    async def _store(self, frame: Frame, changes: Changes | None = None) -> Head:
        """Store a frame that is in the stream; without `changes`, another node's."""
        try:
            if changes is None:
                changes = self._changes(frame)
            return await self._file.append(self._file.head(), frame, changes)
        except StorageFull as error:
            raise OutcomeUnknown(f"this node has no room for the frame: {error}", full=True) from error
        except KeyTaken as error:
            raise self._fork(f"frame {frame.head.number} takes a key again: {error}") from error

    def _changes(self, frame: Frame) -> Changes:
        """What another node's frame changes; a fork where its records make no sense here."""
        self._foreign = self._timer()
        self._others.wake()
        try:
            return self._reduce(frame, self._file)
        except (ValueError, LookupError, DecodeError) as error:
            raise self._fork(f"frame {frame.head.number} cannot be applied: {error!r}") from error

    def _fork(self, detail: str) -> JournalBroken:
        if not self._broken:
            self._broken = detail
            get_logger().critical("journal_forked", stream=self._stream, detail=detail)
        return JournalBroken(self._broken)

    # --- following

    async def _join(self) -> None:
        """Compare with the stream and read what this node lacks."""
        state = await self._cluster.stream(self._stream, 10.0)
        if state is None:
            raise JournalBroken(
                f"the cluster has no stream {self._stream}: axis journal reseed makes it from this home"
            )
        head = self._file.head()
        if state.first > head.number + 1:
            raise JournalBroken(
                f"the stream begins at frame {state.first}, this home ends at {head.number}:"
                " restore it from a backup of a node that has the frames between"
            )
        await self._compare(state)
        if state.last >= head.number:
            asked = self._timer()
            await self._catch_up(state.last)
            if state.led:
                self._confirmed = asked

    async def _compare(self, state: StreamState) -> None:
        """The stream's frame at this node's head must be this node's, for a stream not seen before."""
        head = self._file.head()
        if state.created == self._created or not max(state.first, 1) <= head.number <= state.last:
            return
        there = await self._read(head.number)
        mine = self._file.frames(head.number - 1, 1)[0].raw
        if there is not None and there != mine:
            raise self._fork(f"the stream holds another frame {head.number} than this node")
        self._created = state.created

    async def _follow(self) -> None:
        """Apply what others append, and know how the stream stands. Runs until closed."""
        lost = False
        while not self._broken and not self._closed:
            try:
                await self._look()
                lost = False
            except (NotAnswered, Refused, OutcomeUnknown) as error:
                if not lost:
                    get_logger().warning("cluster_silent", stream=self._stream, detail=str(error))
                lost = True
                await asyncio.sleep(_RETRY_SECONDS)
            except JournalBroken as error:
                self._fork(str(error))
                return
            except Exception:
                # Nobody else would read on; while it goes on failing, the head is not confirmed.
                get_logger().exception("journal_not_followed")
                await asyncio.sleep(_LOOK_SECONDS)
            await self._hint.wait(_LOOK_SECONDS)

    async def _look(self) -> None:
        asked, head = self._timer(), self._file.head()
        state = await self._cluster.stream(self._stream, _ANSWER_SECONDS)
        if state is not None and not state.led:
            raise NotAnswered("the stream's leader has no majority")
        last = 0 if state is None else state.last
        if last < head.number:
            self._is_short(asked, last, gone=state is None)
            return
        self._short_since = None
        if state is not None:
            await self._compare(state)
        await self._catch_up(last)
        self._confirmed = asked

    def _is_short(self, asked: float, last: int, *, gone: bool) -> None:
        if self._short_since is None:
            self._short_since = asked
            get_logger().error("stream_short", stream=self._stream, last=last, gone=gone)
        if asked - self._short_since >= _SHORT_SECONDS:
            what = "is gone" if gone else f"ends at frame {last}"
            raise JournalBroken(
                f"the stream {what}, this node's journal at frame {self._file.head().number}:"
                " run axis journal reseed on the node that has the longest"
            )

    async def _catch_up(self, last: int) -> None:
        """Apply the stream's frames up to `last`. Bounded in memory; shown while it takes long."""
        shown = self._timer()
        while (number := self._file.head().number) < last:
            upto = min(last, number + _READ_AHEAD)
            found = await asyncio.gather(*(self._read(each) for each in range(number + 1, upto + 1)))
            async with self._turn:
                for each, raw in enumerate(found, number + 1):
                    if raw is None:
                        raise NotAnswered(f"frame {each} could not be read")
                    if each == self._file.head().number + 1:  # else an append has applied it meanwhile
                        await self._store(self._follows(raw))
            if self._timer() - shown > _PROGRESS_SECONDS:
                shown = self._timer()
                get_logger().info("journal_catching_up", frame=upto, of=last)

    async def _told(self, number: bytes) -> None:
        if not number.isdigit() or int(number) > self._file.head().number:
            self._hint.wake()

    async def confirm(self) -> bool:
        """Read what others have appended up to now; whether the cluster's leader has confirmed the head."""
        try:
            await self._look()
        except (NotAnswered, Refused, OutcomeUnknown, JournalBroken):
            return False
        return self._short_since is None and not self._broken

    async def close(self) -> None:
        """Finish the appends under way, stop following, release the file. Idempotent."""
        self._closed = True
        if self._appends:
            await asyncio.wait(self._appends)
        if self._following is not None:
            # Not cancelled: the look under way ends within its own limits, and an apply is never cut in two.
            self._hint.wake()
            await asyncio.wait({self._following})
        await self._file.close()
