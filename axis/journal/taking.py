"""Taking the stream's frames into a node's own file, in order, each checked against its predecessor.

What does not follow is a fork: the stream and this node hold two different journals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from axis.core.facts import Changes
from axis.core.frame import Frame, FrameInvalid, Head, decode
from axis.jetstream import NotAnswered
from axis.journal.sqlite import SqliteJournal
from axis.journal.standing import NodeStanding
from axis.journal.stream import JournalStream, Standing
from axis.journal.waiting import Wakeup
from axis.logs import get_logger
from axis.ports import KeyTaken, OutcomeUnknown, Reduce, StorageFull

__all__ = ["ANSWER_SECONDS", "Taking"]

#: How long one answer may take.
ANSWER_SECONDS: Final = 2.0
#: Frames read at a time when this node is behind: at most 8 MiB.
_READ_AHEAD: Final = 16
_PROGRESS_SECONDS: Final = 5.0


class Taking:
    """One node's file and the stream that it follows. `turn` is held by whoever changes the file."""

    def __init__(
        self,
        file: SqliteJournal,
        stream: JournalStream,
        reduce: Reduce,
        standing: NodeStanding,
        timer: Callable[[], float],
    ) -> None:
        self.turn = asyncio.Lock()
        self.others = Wakeup()  # another node's frame was stored
        self.foreign = timer() - 1.0  # when that was last
        self.forked_at = 0  # the frame that contradicts this node
        self._file = file
        self._stream = stream
        self._reduce = reduce
        self._standing = standing
        self._timer = timer
        self._compared = ""  # when the stream was made that was last found to hold this node's frames

    async def compare(self, state: Standing) -> None:
        """The newest frame that the stream and this node both have must be the same; once for each stream.

        Raises JournalBroken, Refused, NotAnswered.
        """
        number = min(self._file.head().number, state.last)
        if state.created == self._compared or number < max(state.first, 1):
            return
        there = await self._stream.read(number, ANSWER_SECONDS)
        mine = self._file.frames(number - 1, 1)[0].raw
        if there is not None and there != mine:
            self.forked_at = number
            raise self._standing.fork(f"the stream holds another frame {number} than this node")
        self._compared = state.created

    def forget_compared(self) -> None:
        """The stream lost frames: what it will hold in their place must be looked at again."""
        self._compared = ""

    async def catch_up(self, last: int) -> None:
        """Apply the stream's frames up to `last`. Bounded in memory; shown while it takes long.

        Raises JournalBroken, OutcomeUnknown (no room here), Refused, NotAnswered.
        """
        shown = self._timer()
        while (number := self._file.head().number) < last:
            upto = min(last, number + _READ_AHEAD)
            places = range(number + 1, upto + 1)
            found = await asyncio.gather(*(self._stream.read(each, ANSWER_SECONDS) for each in places))
            async with self.turn:
                for each, raw in zip(places, found, strict=True):
                    if raw is None:
                        raise NotAnswered(f"frame {each} could not be read")
                    if each == self._file.head().number + 1:  # else an append has applied it meanwhile
                        await self.store(self.follows(raw))
            if self._timer() - shown > _PROGRESS_SECONDS:
                shown = self._timer()
                get_logger().info("journal_catching_up", frame=upto, of=last)

    def follows(self, raw: bytes) -> Frame:
        """A frame of the stream that must follow this node's head. JournalBroken if it does not."""
        head = self._file.head()
        try:
            return decode(raw, head)
        except FrameInvalid as error:
            self.forked_at = head.number
            raise self._standing.fork(f"the stream does not continue this node's journal: {error}") from error

    async def store(self, frame: Frame, changes: Changes | None = None) -> Head:
        """Store a frame that is in the stream; without `changes`, another node's."""
        try:
            if changes is None:
                changes = self._changes(frame)
            return await self._file.append(self._file.head(), frame, changes)
        except StorageFull as error:
            raise OutcomeUnknown(f"this node has no room for the frame: {error}", full=True) from error
        except OSError as error:
            # What this node's file holds is looked at again: it is taken once more, or was taken.
            raise OutcomeUnknown(f"this node's disk did not confirm the frame: {error}") from error
        except KeyTaken as error:
            self.forked_at = frame.head.number
            raise self._standing.fork(f"frame {frame.head.number} takes a key again: {error}") from error

    def _changes(self, frame: Frame) -> Changes:
        """What another node's frame changes; a fork where its records make no sense here."""
        self.foreign = self._timer()
        self.others.wake()
        try:
            return self._reduce(frame, self._file)
        except (ValueError, LookupError, DecodeError) as error:
            number = self.forked_at = frame.head.number
            raise self._standing.fork(f"frame {number} cannot be applied: {error!r}") from error
