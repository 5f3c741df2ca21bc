"""Filling a journal's stream from a node's file: a home that founds a cluster, or comes back to it, and a
stream that lost frames.

While a stream is filled it takes nothing else (`axis.journal.stream`), and publishing is compare-and-set like
every append, so that two nodes which fill it at once cannot make two journals: where a frame is there already
it must be the same bytes. Nothing that the stream holds is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from axis.core.frame import Frame, Head
from axis.jetstream import JetStream, NotAnswered, Refused
from axis.journal.nodes import NodeAnswer
from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import JournalStream, Phase, Standing, stream_name
from axis.journal.taking import ANSWER_SECONDS
from axis.ports import JournalBroken

__all__ = ["Seeded", "refuse_shorter", "seed"]

_PAGE: Final = 32
_TRIES: Final = 20
_STATE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was done: frames published, and where the stream ends now."""

    published: int
    last: int


def refuse_shorter(head: Head, answers: Sequence[NodeAnswer]) -> None:
    """Raise JournalBroken where another node has more frames than `head`: fill from that one."""
    longer = [answer for answer in answers if answer.frame > head.number]
    if longer:
        most = max(longer, key=lambda answer: answer.frame)
        raise JournalBroken(
            f"node {most.node} has {most.frame} frames, this one {head.number}: run axis journal reseed there"
        )


async def seed(
    file: SqliteJournal,
    cluster: JetStream,
    *,
    stream: str | None = None,
    replicas: int = 3,
    reopen: bool = False,
    show: Callable[[int, int], None] | None = None,
) -> Seeded:
    """Make the stream where there is none, fill in what it lacks of this file's frames, and have it live.

    `reopen`: also a stream that was closed: this is the home that went on alone (or that one is lost).
    `show` hears of (frame, of). Raises JournalBroken where the stream holds another frame than the file, is
    being filled further than this file reaches, or is closed; NotAnswered, Refused.
    """
    head = file.head()
    filled = JournalStream(cluster, stream or stream_name(head.journal_id))
    state = await filled.standing(_STATE_SECONDS)
    if state is None:
        state = await _made(filled, head, replicas)
    elif state.phase is Phase.LIVE and state.last >= head.number:
        await _same(file, filled, state)
        return Seeded(0, state.last)
    else:
        _may_fill(filled, state, head, reopen=reopen)
        await _same(file, filled, state)
        state = await filled.turn(Phase.FILLING, head.number, was=state)
    await _same(file, filled, state)
    published, number = 0, state.last
    while number < head.number:
        for frame in file.frames(number, _PAGE):
            published += await _fill(filled, frame, head.number)
            number = frame.head.number
            if show is not None:
                show(number, head.number)
    await filled.turn(Phase.LIVE, was=state)  # not while somebody else fills it further
    return Seeded(published, number)


async def _made(stream: JournalStream, head: Head, replicas: int) -> Standing:
    try:
        return await stream.make(head.journal_id, head.number, replicas)
    except Refused as refused:
        raise NotAnswered(f"the cluster does not make the stream: {refused}") from refused


def _may_fill(stream: JournalStream, state: Standing, head: Head, *, reopen: bool) -> None:
    """A stream that is not whole or not live may be filled from a file that reaches at least as far."""
    if state.phase is Phase.CLOSED and not reopen:
        raise JournalBroken(
            f"the stream {stream.name} {state.words}: start that home with axis serve --journal nats://…"
            " again; if it is lost for good, axis journal reseed --reopen on the node that has the longest"
        )
    if max(state.until, state.last) > head.number:
        raise JournalBroken(f"the stream {stream.name} {state.words}; this home ends at frame {head.number}")


async def _same(file: SqliteJournal, stream: JournalStream, state: Standing) -> None:
    """The newest frame that both have must be the same: the chain of hashes vouches for those before it."""
    number = min(state.last, file.head().number)
    if number < max(state.first, 1):
        return
    there = await stream.read(number, ANSWER_SECONDS)
    if there is None:
        raise NotAnswered(f"frame {number} could not be read")
    if there != file.frames(number - 1, 1)[0].raw:
        raise _another(stream, number)


async def _fill(stream: JournalStream, frame: Frame, until: int) -> bool:
    """Whether this call put the frame there; JournalBroken if another is in its place."""
    number, why = frame.head.number, "not tried"
    for _ in range(_TRIES):
        try:
            if await stream.fill(frame, until, ANSWER_SECONDS) == number:
                return True
        except (Refused, NotAnswered) as error:
            why = str(error)
        try:
            there = await stream.read(number, ANSWER_SECONDS)
            state = await stream.standing(ANSWER_SECONDS)
        except (Refused, NotAnswered) as error:
            why = str(error)
            continue
        if there is not None and there != frame.raw:
            raise _another(stream, number)
        if there is not None:
            return False
        if state is None or (state.phase, state.until) != (Phase.FILLING, until):
            raise NotAnswered(f"somebody else mends the stream {stream.name}; look how it stands and repeat")
    raise NotAnswered(f"frame {number} could not be published: {why}")


def _another(stream: JournalStream, number: int) -> JournalBroken:
    return JournalBroken(f"the stream {stream.name} holds another frame {number} than this home")
