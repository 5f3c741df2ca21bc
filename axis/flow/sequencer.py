"""The one place where the journal grows: commands become records, in the order in which they came.

Each turn takes what is waiting, decides every command against the state at the head *and* the records that
earlier commands of the turn add, and appends all records as one frame (group commit). Nobody is answered
before that frame is durable: a refusal may rest on a record of the same frame, and would be a lie if the
frame did not land.

When somebody else appended first (Conflict) nothing of the turn was stored: the head has moved, so
everything is decided again. A journal that contradicts itself stops all appends until a person has looked.

While the clock is not to be believed nothing is appended either (`axis.flow.timekeeper`).

Not handled here: signatures, blobs and limits. Commands arrive verified.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from axispb.v1 import journal_pb2

from axis.core import state
from axis.core.decide import AcceptanceAnswer, Command, Decision, ReceiptAnswer, decide
from axis.core.errors import Refusal
from axis.core.facts import Changes, Facts, Overlay
from axis.core.frame import MAX_FRAME_BYTES, MAX_RECORD_BYTES, MAX_RECORDS, Head, encode
from axis.flow.metrics import Metrics, NoMetrics
from axis.flow.timekeeper import Timekeeper
from axis.logs import get_logger
from axis.ports import (
    Clock,
    Conflict,
    Journal,
    JournalBroken,
    JournalHalted,
    KeyTaken,
    OutcomeUnknown,
    StorageFull,
)

__all__ = ["Sequencer"]

_QUEUE_LIMIT: Final = 4096
#: Room that a frame's own fields and each record's length take, generously.
_FRAME_OVERHEAD: Final = 256
_RECORD_OVERHEAD: Final = 8
_FULL_RETRY_SECONDS: Final = 30


class _AtHead:
    """The facts at the head, each read once: within a turn the head does not move unnoticed."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._read: dict[str, bytes | None] = {}

    def get(self, key: str) -> bytes | None:
        try:
            return self._read[key]
        except KeyError:
            value = self._read[key] = self._facts.get(key)
            return value


@dataclass(slots=True)
class _Waiting:
    """One command and who waits for its answer."""

    command: Command
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Turn:
    """What one turn has decided so far, on top of `head`."""

    head: Head
    at: int
    overlay: Overlay
    records: list[bytes] = field(default_factory=list)
    size: int = _FRAME_OVERHEAD
    #: Each with its answer: a value, or an exception to raise.
    decided: list[tuple[_Waiting, object]] = field(default_factory=list)

    @property
    def next_sequence(self) -> int:
        return self.head.sequence + len(self.records) + 1


class Sequencer:
    """Appends to one journal. One per node, run by one task (`run`)."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        sign: Callable[[bytes], bytes],
        *,
        metrics: Metrics | None = None,
        timer: Callable[[], float] | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._sign = sign
        self._metrics = metrics or NoMetrics()
        self._timer = timer or (lambda: clock.now() / 1000)
        self._time = Timekeeper(clock, timer)
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._broken = ""

    @property
    def broken(self) -> str:
        """Why nothing is appended any more; empty while all is well."""
        return self._broken

    @property
    def clock_doubt(self) -> str:
        """Why the clock is not believed, and nothing appended by it; empty while all is well."""
        return self._time.doubt

    def check_clock(self) -> None:
        """Raise Refusal `unavailable` while the clock is not believed: nothing may be judged by it then."""
        self._time.check()

    async def submit(self, command: Command) -> Any:
        """Decide a command and return its answer once the frame that it rests on is durable.

        Raises the Refusal that was decided; `unavailable` when too much is waiting or the clock is wrong;
        `shutting_down`; `storage_full` (nothing was stored); `journal_forked` once the journal has
        contradicted itself, or while its copies are not whole. Cancellation does not take a command back: it
        may have been decided already.
        """
        if self._broken:
            raise Refusal("journal_forked", self._broken)
        if self._closing:
            raise Refusal("shutting_down")
        self.check_clock()
        if len(self._queue) >= _QUEUE_LIMIT:
            raise Refusal("unavailable", "too much is waiting to be journalled", retry_after=1)
        waiting = _Waiting(command, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        """Append until `drain` was called and nothing is waiting. Must not be cancelled while it is used."""
        while True:
            while self._queue:
                await self._turn()
            if self._closing:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def drain(self) -> None:
        """Take no more commands; `run` returns when what is waiting has been answered."""
        self._closing = True
        self._arrived.set()

    async def _turn(self) -> None:
        """Decide what is waiting, up to one frame's worth, and append it."""
        try:
            turn = self._decide_waiting()
        except (JournalBroken, StorageFull) as error:  # the head itself cannot be read
            self._stop([], error)
            return
        if turn.records:
            try:
                self.check_clock()
            except Refusal as refusal:
                _refuse([waiting for waiting, _ in turn.decided], refusal)
                return
            if not await self._append(turn):
                return
        for waiting, answer in turn.decided:
            if not waiting.answer.done():
                if isinstance(answer, BaseException):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    def _decide_waiting(self) -> _Turn:
        head = self._journal.head()
        self._time.appended(head.at)
        turn = _Turn(head, max(self._clock.now(), head.at), Overlay(_AtHead(self._journal)))
        while self._queue and len(turn.records) < MAX_RECORDS:
            waiting = self._queue[0]
            if not waiting.answer.cancelled() and not self._decide_one(turn, waiting):
                break
            self._queue.popleft()
        return turn

    def _decide_one(self, turn: _Turn, waiting: _Waiting) -> bool:
        """Add one command to the turn; False if its records do not fit into this frame any more."""
        try:
            decision = decide(waiting.command, turn.overlay, turn.at, self._sign)
            raw = [record.SerializeToString(deterministic=True) for record in decision.records]
            size = sum(len(record) + _RECORD_OVERHEAD for record in raw)
            fits = turn.size + size <= MAX_FRAME_BYTES and len(turn.records) + len(raw) <= MAX_RECORDS
            fits = fits and all(len(record) <= MAX_RECORD_BYTES for record in raw)
            if not fits:
                if turn.records:
                    return False
                raise Refusal("header_too_large", "this does not fit into one frame of the journal")
            changes = _changes(decision.records, turn.next_sequence, turn.at, turn.overlay)
        except Refusal as refusal:
            turn.decided.append((waiting, refusal))
            return True
        except Exception as error:
            # A defect met by one command must not stop the others.
            get_logger().exception("decision_failed", command=type(waiting.command).__name__)
            turn.decided.append((waiting, Refusal("unavailable", f"decision failed: {type(error).__name__}")))
            return True
        turn.decided.append((waiting, _placed(decision, turn.next_sequence)))
        turn.records.extend(raw)
        turn.size += size
        turn.overlay.apply(changes)
        return True

    async def _append(self, turn: _Turn) -> bool:
        """Whether the turn's frame has landed. If not, everybody in it is answered or waits again."""
        frame = encode(turn.head, turn.at, turn.records)
        began = self._timer()
        try:
            await self._journal.append(turn.head, frame, turn.overlay.changes)
        except Conflict:
            self._queue.extendleft(waiting for waiting, _ in reversed(turn.decided))
            return False
        except StorageFull as error:
            get_logger().error("journal_full", detail=str(error))
            refusal = Refusal("storage_full", "the journal has no room", retry_after=_FULL_RETRY_SECONDS)
            _refuse([waiting for waiting, _ in turn.decided], refusal)
            return False
        except (KeyTaken, JournalBroken) as error:
            self._stop([waiting for waiting, _ in turn.decided], error)
            return False
        except JournalHalted as error:
            # Until the cluster's copies are whole again: then the next turn lands.
            _refuse([waiting for waiting, _ in turn.decided], Refusal("journal_forked", str(error)))
            return False
        except OutcomeUnknown as error:
            get_logger().warning("append_unknown", frame=frame.head.number, detail=str(error))
            refusal = Refusal("unavailable", str(error), retry_after=1)
            if error.full:
                refusal = Refusal("storage_full", str(error), retry_after=_FULL_RETRY_SECONDS)
            _refuse([waiting for waiting, _ in turn.decided], refusal)
            return False
        except Exception:
            # Whether the frame is there is unknown: repeats of the same bytes will find out.
            get_logger().exception("append_failed", frame=frame.head.number)
            refusal = Refusal("unavailable", "the journal did not answer", retry_after=1)
            _refuse([waiting for waiting, _ in turn.decided], refusal)
            return False
        self._time.appended(frame.at)
        self._metrics.appended(self._timer() - began, len(turn.records), frame.head.sequence)
        return True

    def _stop(self, undone: list[_Waiting], error: Exception) -> None:
        """Append nothing any more: two truths about one place must not grow into two journals."""
        self._broken = f"{type(error).__name__}: {error}"
        get_logger().critical("journal_forked", detail=self._broken)
        undone += self._queue
        self._queue.clear()
        _refuse(undone, Refusal("journal_forked", self._broken))


def _refuse(waiting: list[_Waiting], refusal: Refusal) -> None:
    """Answer each with a refusal of its own: an exception is raised once."""
    for each in waiting:
        if not each.answer.done():
            each.answer.set_exception(Refusal(refusal.name, refusal.detail, retry_after=refusal.retry_after))


def _changes(records: tuple[journal_pb2.Record, ...], first: int, at: int, facts: Facts) -> Changes:
    """What a decision's records change together, each applied on top of the one before."""
    if len(records) == 1:
        return state.apply(records[0], first, at, facts)
    overlay = Overlay(facts)
    for offset, record in enumerate(records):
        overlay.apply(state.apply(record, first + offset, at, overlay))
    return overlay.changes


def _placed(decision: Decision, first_sequence: int) -> object:
    """The decision's answer, with the place that its first record gets."""
    answer = decision.answer
    if isinstance(answer, AcceptanceAnswer | ReceiptAnswer) and answer.sequence is None:
        return replace(answer, sequence=first_sequence)
    return answer
