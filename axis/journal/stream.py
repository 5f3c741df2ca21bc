"""A journal's stream in the cluster: its frames by number, and what it is open for.

One frame is one message, and a frame's number is its place. A stream keeps the messages of one subject, and
which one says what may be added:

- `axis.<stream>`: it is *live*, nodes append;
- `axis.<stream>.filling.<number>`: it is being *filled* with the frames of a file, up to that number;
- `axis.<stream>.closed.<number>`: it is *closed*: a home went on alone from that frame.

What is sent to a subject that the stream does not keep reaches nothing and leaves nothing behind. So no
append, and no filling with another end, can come between the frames of a filling.

Sources: NATS JetStream wire API; design decision 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from axis.core.frame import Frame
from axis.jetstream import JetStream, NotAnswered, Refused, StreamServer, StreamState
from axis.ports import JournalBroken

__all__ = ["JournalStream", "Phase", "Standing", "stream_config", "stream_name", "subject_of"]

_CHANGE_SECONDS: Final = 10.0
_CLOSED_BY: Final = "closed_by"
#: How long an append that was sent before a stream was closed may take to be stored, generously.
_REST_SECONDS: Final = 3.0


def stream_name(journal_id: str) -> str:
    """The stream that holds a journal."""
    return f"journal-{journal_id}"


def subject_of(stream: str) -> str:
    """The subject of a live stream's frames."""
    return f"axis.{stream}"


class Phase(StrEnum):
    """What a stream is open for."""

    LIVE = "live"
    FILLING = "filling"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream stands. `until`: the end of the filling, or the frame from which a home went on alone."""

    phase: Phase
    until: int
    created: str
    closed_by: str  # a token of the home that closed it
    first: int
    last: int
    leader: str
    led: bool  # see jetstream.StreamState
    servers: tuple[StreamServer, ...] = ()

    @property
    def open_for(self) -> tuple[str, Phase, int, str]:
        """What stays as long as nobody turns it."""
        return self.created, self.phase, self.until, self.closed_by

    @property
    def words(self) -> str:
        """What it is, for people."""
        match self.phase:
            case Phase.FILLING:
                return f"is being filled: frame {self.last} of {self.until}"
            case Phase.CLOSED:
                return f"is closed: a home went on alone from frame {self.until}"
        return f"ends at frame {self.last}"


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


class JournalStream:
    """The stream of one journal. Raises Refused and NotAnswered, which say nothing of what is stored."""

    def __init__(self, cluster: JetStream, name: str) -> None:
        self.name = name
        self._cluster = cluster

    async def standing(self, timeout: float) -> Standing | None:
        """How it stands, as its leader says; None where there is none. JournalBroken: it is no journal's."""
        state = await self._cluster.stream(self.name, timeout)
        return None if state is None else self._standing(state)

    async def read(self, number: int, timeout: float) -> bytes | None:
        """The frame at a place, or None."""
        message = await self._cluster.message(self.name, number, timeout)
        return None if message is None else message.data

    async def append(self, frame: Frame, timeout: float) -> int:
        """Have a live stream store the frame at its number; the place that it got."""
        return await self._publish(subject_of(self.name), frame, timeout)

    async def fill(self, frame: Frame, until: int, timeout: float) -> int:
        """Have a stream that is being filled up to `until` store the frame; the place that it got."""
        return await self._publish(self._subject(Phase.FILLING, until), frame, timeout)

    async def make(self, journal_id: str, until: int, replicas: int) -> Standing:
        """Make it, to be filled up to `until`."""
        config = stream_config(self.name, journal_id, replicas)
        config["subjects"] = [self._subject(Phase.FILLING, until)]
        return self._standing(await self._cluster.make_stream(config))

    async def turn(
        self, phase: Phase, until: int = 0, closed_by: str = "", *, was: Standing | None = None
    ) -> Standing:
        """Open it for something else, or close it.

        NotAnswered where it is open for something else than it `was`: somebody else has turned it. The
        servers compare nothing, so that two who turn it within the same moment both do.
        """
        state = await self._cluster.stream(self.name, _CHANGE_SECONDS)
        if state is None:
            raise Refused(10059, f"the stream {self.name} is gone")
        now = self._standing(state)
        if was is not None and now.open_for != was.open_for:
            raise NotAnswered(f"somebody else mends the stream {self.name}: it {now.words}; repeat")
        metadata = {**(state.config.get("metadata") or {}), _CLOSED_BY: closed_by}
        config = {**state.config, "subjects": [self._subject(phase, until)], "metadata": metadata}
        return self._standing(await self._cluster.change_stream(config, _CHANGE_SECONDS))

    async def at_rest(self) -> Standing:
        """How a stream stands that is closed to appends, once those sent before have come to their end."""
        while True:
            before = await self._must_stand()
            await asyncio.sleep(_REST_SECONDS)
            after = await self._must_stand()
            if before == after and after.led:
                return after

    async def _must_stand(self) -> Standing:
        standing = await self.standing(_CHANGE_SECONDS)
        if standing is None:
            raise Refused(10059, f"the stream {self.name} is gone")
        return standing

    async def tell(self, number: int) -> None:
        """Tell other nodes that a frame has landed; it may be lost."""
        await self._cluster.tell(f"{subject_of(self.name)}.landed", b"%d" % number)

    async def listen(self, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """Hear what `tell` tells."""
        await self._cluster.listen(f"{subject_of(self.name)}.landed", hear)

    async def answer(self, give: Callable[[bytes], bytes]) -> None:
        """Answer other nodes' surveys."""
        await self._cluster.answer(f"{subject_of(self.name)}.nodes", give)

    async def survey(self, question: bytes, seconds: float, most: int) -> list[bytes]:
        """What the nodes answer that are there, this one included."""
        return await self._cluster.survey(f"{subject_of(self.name)}.nodes", question, seconds, most)

    async def _publish(self, subject: str, frame: Frame, timeout: float) -> int:
        expected = {"Nats-Expected-Last-Sequence": str(frame.head.number - 1)}
        return await self._cluster.publish(subject, frame.raw, expected, timeout)

    def _subject(self, phase: Phase, until: int) -> str:
        live = subject_of(self.name)
        return live if phase is Phase.LIVE else f"{live}.{phase.value}.{until}"

    def _standing(self, state: StreamState) -> Standing:
        phase, until = self._phase(state.config.get("subjects"))
        closed_by = str((state.config.get("metadata") or {}).get(_CLOSED_BY) or "")
        return Standing(
            phase=phase,
            until=until,
            created=state.created,
            closed_by=closed_by,
            first=state.first,
            last=state.last,
            leader=state.leader,
            led=state.led,
            servers=state.servers,
        )

    def _phase(self, subjects: object) -> tuple[Phase, int]:
        live = subject_of(self.name)
        if subjects == [live]:
            return Phase.LIVE, 0
        if isinstance(subjects, list) and len(subjects) == 1:
            phase, _, number = str(subjects[0]).removeprefix(f"{live}.").partition(".")
            if phase in (Phase.FILLING, Phase.CLOSED) and number.isascii() and number.isdigit():
                return Phase(phase), int(number)
        raise JournalBroken(f"the stream {self.name} keeps {subjects}: it is no journal's")
