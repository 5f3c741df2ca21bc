"""Filling a journal's stream from a node's file: a home that founds a cluster, and a stream that lost frames.

Publishing is compare-and-set like every append, so that two nodes which do it at once cannot make two
journals: where a frame is there already it must be the same bytes. Nothing that the stream holds is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from axis.core.frame import Frame
from axis.jetstream import JetStream, NotAnswered, Refused, StreamState
from axis.journal.jetstream import stream_name, subject_of
from axis.journal.sqlite import SqliteJournal
from axis.ports import JournalBroken

__all__ = ["Seeded", "seed", "stream_config"]

_PAGE: Final = 32
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was done: frames published, and where the stream ends now."""

    published: int
    last: int


def stream_config(stream: str, journal_id: str, replicas: int = 3) -> dict[str, Any]:
    """The stream as design decision 4 wants it: kept for ever, refused when full, read from its leader."""
    return {
        "name": stream,
        "subjects": [subject_of(stream)],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_consumers": -1,
        "allow_direct": False,
        "deny_delete": True,
        "metadata": {"journal_id": journal_id},
    }


async def seed(
    file: SqliteJournal,
    cluster: JetStream,
    *,
    stream: str | None = None,
    replicas: int = 3,
    show: Callable[[int, int], None] | None = None,
) -> Seeded:
    """Make the stream where there is none, and publish what it lacks of this node's frames.

    `show` hears of (frame, of). Raises JournalBroken where the stream holds another frame than the file;
    NotAnswered.
    """
    head = file.head()
    name = stream or stream_name(head.journal_id)
    state = await cluster.stream(name, 10.0)
    if state is None:
        state = await _made(cluster, stream_config(name, head.journal_id, replicas))
    await _same(file, cluster, name, state)
    published, number = 0, state.last
    while number < head.number:
        for frame in file.frames(number, _PAGE):
            published += await _publish(cluster, name, frame)
            number = frame.head.number
            if show is not None:
                show(number, head.number)
    return Seeded(published, number)


async def _made(cluster: JetStream, config: dict[str, Any]) -> StreamState:
    try:
        return await cluster.make_stream(config)
    except Refused as refused:
        raise NotAnswered(f"the cluster does not make the stream: {refused}") from refused


async def _same(file: SqliteJournal, cluster: JetStream, stream: str, state: StreamState) -> None:
    """The newest frame that both have must be the same: the chain of hashes vouches for those before it."""
    number = min(state.last, file.head().number)
    if number < max(state.first, 1):
        return
    there = await cluster.message(stream, number)
    if there is None:
        raise NotAnswered(f"frame {number} could not be read")
    if there.data != file.frames(number - 1, 1)[0].raw:
        raise JournalBroken(f"the stream {stream} holds another frame {number} than this home")


async def _publish(cluster: JetStream, stream: str, frame: Frame) -> bool:
    """Whether this call put the frame there; JournalBroken if another is in its place."""
    expected = {"Nats-Expected-Last-Sequence": str(frame.head.number - 1)}
    why: Exception = NotAnswered("not tried")
    for _ in range(_TRIES):
        try:
            if await cluster.publish(subject_of(stream), frame.raw, expected) == frame.head.number:
                return True
        except (Refused, NotAnswered) as error:
            why = error
        try:
            there = await cluster.message(stream, frame.head.number)
        except (Refused, NotAnswered) as error:
            why = error
            continue
        if there is not None and there.data != frame.raw:
            raise JournalBroken(f"the stream {stream} holds another frame {frame.head.number} than this home")
        if there is not None:
            return False
    raise NotAnswered(f"frame {frame.head.number} could not be published: {why}")
