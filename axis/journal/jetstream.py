"""The journal of several axis nodes: one NATS JetStream stream, and each node's own complete file.

One frame is one message, and a frame's number is its place in the stream. The stream decides who comes
first (`Nats-Expected-Last-Sequence`: compare-and-set); it is never trusted as the only copy. Every node keeps
all frames with their index in its own `journal.sqlite`, applied in order, each checked against its
predecessor, so what a node has handed out it can prove, whatever becomes of the cluster.

What the cluster answers to an append is not believed unless it is the frame's own place: a refusal, a
time-out and a lost connection all mean *unknown*, and only the frame that is read at head + 1 decides. Where
none is there the same bytes are sent again; at most one frame can land at a place.

Stops appends (`axis.journal.standing`): for good a frame in the stream that does not follow this node's own;
until it is mended a stream that stays shorter than this node's head, or that is not live.

Not handled here: making the stream and filling it from a file (`axis.journal.seeding`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.jetstream import JetStream, NotAnswered, Refused
from axis.journal import standing as standings
from axis.journal.nodes import NodeAnswer, answering, ask_nodes, sides
from axis.journal.reading import ReadsFile
from axis.journal.sqlite import SqliteJournal
from axis.journal.standing import NodeStanding
from axis.journal.stream import JournalStream, Phase, Standing, stream_name
from axis.journal.taking import ANSWER_SECONDS, Taking
from axis.journal.waiting import Wakeup, check_follows, same_place
from axis.logs import get_logger
from axis.ports import Conflict, JournalBroken, KeyTaken, OutcomeUnknown, Reduce

__all__ = ["JetStreamJournal"]

#: How long an append is tried before its outcome counts as unknown.
_APPEND_SECONDS: Final = 8.0
_RETRY_SECONDS: Final = 0.05
#: How often the stream is looked at when nobody tells of a frame.
_LOOK_SECONDS: Final = 0.5
#: While others append too, a node lets them go first after each frame of its own.
_BUSY_SECONDS: Final = 0.1
_GIVE_WAY_SECONDS: Final = 0.05
#: How long a node that opens its journal waits for others to say where they stand.
_ASK_SECONDS: Final = 0.25
_LONGEST: Final = "on the node that has the longest"
#: What an operator does about a stream that is gone or too short, is being filled, or is closed.
_REMEDY: Final = {
    None: f"run axis journal reseed {_LONGEST}",
    Phase.LIVE: f"run axis journal reseed {_LONGEST}",
    Phase.FILLING: f"wait; if who fills it is lost, run axis journal reseed --reopen {_LONGEST}",
    Phase.CLOSED: f"start that home; if it is lost, run axis journal reseed --reopen {_LONGEST}",
}


class JetStreamJournal(ReadsFile):
    """ports.Journal over a stream and this node's file. Make one with `open`."""

    shared: Final = True

    def __init__(
        self,
        file: SqliteJournal,
        stream: JournalStream,
        reduce: Reduce,
        *,
        node: str,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(file)
        self.node = node
        self._stream = stream
        self._timer = timer
        self._standing = NodeStanding(stream.name, timer)
        self._taking = Taking(file, stream, reduce, self._standing, timer)
        self._hint = Wakeup()
        self._own = 0  # the newest frame that this node appended
        self._beyond = 0  # the newest frame that other nodes had when this one opened its journal
        self._closed = False
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
        node: str = "",
        timer: Callable[[], float] = monotonic,
    ) -> JetStreamJournal:
        """Compare this node's file with the stream, read what it lacks, and follow the stream from then on.

        `node`: what the other nodes call it. Takes over the file: `close` closes it, not the connection. A
        stream that is gone, not live, or shorter than a node's journal is waited for, 15 s. Raises
        JournalBroken (also for a stream that does not continue this file), NotAnswered, Refused.
        """
        head = file.head()
        opened = JournalStream(cluster, stream or stream_name(head.journal_id))
        journal = cls(file, opened, reduce, node=node or "node", timer=timer)
        try:
            await journal._join()
        except JournalBroken as error:
            await journal._say_sides()
            raise JournalBroken(journal.doubt if journal._standing.forked else str(error)) from error
        await opened.listen(journal._told)
        await opened.answer(answering(file, journal.node, lambda: journal.doubt))
        journal._following = asyncio.create_task(journal._follow(), name="journal")
        return journal

    @property
    def doubt(self) -> str:
        """Why nothing may be told of this journal now; empty while the cluster has confirmed its head."""
        return self._standing.doubt

    @property
    def stream(self) -> JournalStream:
        """The stream that it follows."""
        return self._stream

    @property
    def file(self) -> SqliteJournal:
        """This node's own file."""
        return self._file

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
        async with self._taking.turn:
            self._standing.check()
            head = self._file.head()
            if not same_place(expected, head):
                raise Conflict(head)
            check_follows(head, frame)
            taken = sorted(key for key in changes.keys if self._file.key(key) is not None)
            if taken:
                raise KeyTaken(", ".join(taken))
            await self._land(frame)
            stored = await self._taking.store(frame, changes)
            self._own = stored.number
        await self._stream.tell(stored.number)
        return stored

    async def _give_way(self) -> None:
        """A moment for other nodes after a frame of this one: who just won is always the first again."""
        busy = self._timer() - self._taking.foreign < _BUSY_SECONDS
        if busy and self._own == self._file.head().number:
            await self._taking.others.wait(_GIVE_WAY_SECONDS)

    async def _land(self, frame: Frame) -> None:
        """Return once `frame` is in the stream. Conflict once another is in its place, which is applied."""
        number, until = frame.head.number, self._timer() + _APPEND_SECONDS
        while True:
            asked = self._timer()
            try:
                if await self._stream.append(frame, ANSWER_SECONDS) == number:
                    self._standing.confirm(asked)
                    return
                why, full = "the stream stored the frame at another place", False
            except (Refused, NotAnswered) as error:
                why, full = str(error), isinstance(error, Refused) and error.no_room
            try:
                there = await self._stream.read(number, ANSWER_SECONDS)
            except (Refused, NotAnswered) as error:
                there, why = None, str(error)
            if there == frame.raw:
                return
            if there is not None:
                await self._taking.store(self._taking.follows(there))
                raise Conflict(self._file.head())
            if full or self._timer() > until:
                raise OutcomeUnknown(f"the cluster did not take the frame: {why}", full=full)
            await asyncio.sleep(_RETRY_SECONDS)

    # --- following

    async def _join(self) -> None:
        """Compare with the stream and read what this node lacks; waits a while for a stream that is whole."""
        until = self._timer() + standings.SHORT_SECONDS
        answers = await ask_nodes(self._stream, self._file.head().journal_id, seconds=_ASK_SECONDS)
        self._beyond = max((answer.frame for answer in answers), default=0)
        while True:
            lacks = await self._joined()
            if not lacks:
                return
            if self._timer() > until:
                raise JournalBroken(lacks)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _joined(self) -> str:
        """What the stream lacks; empty when this node has read it up to its end."""
        asked, head = self._timer(), self._file.head()
        state = await self._stream.standing(10.0)
        if state is None:
            return self._lacking(None)
        if state.first > head.number + 1:
            raise JournalBroken(
                f"the stream begins at frame {state.first}, this home ends at {head.number}:"
                " restore it from a backup of a node that has the frames between"
            )
        await self._taking.compare(state)
        await self._taking.catch_up(state.last)
        if state.phase is not Phase.LIVE or state.last < max(head.number, self._beyond):
            return self._lacking(state)
        if state.led:
            self._standing.confirm(asked)
        return ""

    async def _follow(self) -> None:
        """Apply what others append, and know how the stream stands. Runs until closed."""
        lost = False
        while not self._standing.forked and not self._closed:
            try:
                await self._look()
                lost = False
            except (NotAnswered, Refused, OutcomeUnknown) as error:
                if not lost:
                    get_logger().warning("cluster_silent", stream=self._stream.name, detail=str(error))
                lost = True
                await asyncio.sleep(_RETRY_SECONDS)
            except JournalBroken as error:
                self._standing.fork(str(error))
            except Exception:
                # Nobody else would read on; while it goes on failing, the head is not confirmed.
                get_logger().exception("journal_not_followed")
                await asyncio.sleep(_LOOK_SECONDS)
            await self._hint.wait(_LOOK_SECONDS)
        await self._say_sides()

    async def _look(self) -> None:
        asked, head = self._timer(), self._file.head()
        state = await self._stream.standing(ANSWER_SECONDS)
        if state is not None and not state.led:
            raise NotAnswered("the stream's leader has no majority")
        if state is not None:
            # Also of a stream that is not live: what it holds was appended, whoever opens it again.
            await self._taking.compare(state)
            await self._taking.catch_up(state.last)
        if state is None or state.phase is not Phase.LIVE or state.last < head.number:
            self._taking.forget_compared()
            self._standing.short(asked, self._lacking(state))
            return
        self._standing.confirm(asked)

    def _lacking(self, state: Standing | None) -> str:
        """What is wrong with the stream and what to do."""
        own = max(self._file.head().number, self._beyond)
        what, remedy = ("is gone", _REMEDY[None]) if state is None else (state.words, _REMEDY[state.phase])
        return f"the stream {what}, this axis's journal at frame {own}: {remedy}"

    async def _say_sides(self) -> None:
        """After a fork, name the nodes that hold one frame, and those that hold another."""
        number = self._taking.forked_at
        if not number:
            return
        mine = NodeAnswer.of(self._file, self.node, number)
        try:
            raw = await self._stream.read(number, ANSWER_SECONDS)
            others = await ask_nodes(self._stream, mine.journal_id, number)
        except (NotAnswered, Refused):
            return
        answers = [mine, *(other for other in others if other.node != self.node)]
        self._standing.sides(sides(answers, number, raw))

    async def _told(self, number: bytes) -> None:
        if not number.isdigit() or int(number) > self._file.head().number:
            self._hint.wake()

    async def confirm(self) -> bool:
        """Read what others have appended up to now; whether the cluster's leader has confirmed the head."""
        try:
            await self._look()
        except (NotAnswered, Refused, OutcomeUnknown, JournalBroken):
            return False
        return self._standing.whole

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
