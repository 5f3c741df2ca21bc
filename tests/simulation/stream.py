"""A simulated NATS cluster with one stream, as several axis nodes see it through their connections.

Stands below `axis.jetstream` in place of the connection, so that all of the product's own code over it runs:
each call of the JetStream API comes sooner or later, once or never, is refused, or is done without the
caller's hearing of it; a leader that was paused may answer with a stream as it was.

What the stream promises it keeps: what it has acknowledged stays, in one order, and a message that expects
another last sequence is refused.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from axis.cluster import Judge, NotAnswered
from tests.simulation.crashing import Host

__all__ = ["Cluster", "Connection", "Current", "Currents"]

#: What nats-server says.
STREAM_NOT_FOUND = 10059
NO_MESSAGE = 10037
WRONG_LAST_SEQUENCE = 10071
STORAGE_FULL = 10077
UNAVAILABLE = 10008


@dataclass(frozen=True)
class Current:
    """What becomes of one call. Times in seconds."""

    to: float = 0.001
    back: float = 0.001
    lost: bool = False  # it never arrives
    unanswered: bool = False  # it was done; the answer never comes
    refused: int = 0  # an error code of nats-server in place of what was asked
    leaderless: bool = False  # nobody answers, and the caller learns so at once
    old: bool = False  # answered by a leader that has lost its majority


class Currents(Protocol):
    """Decides the fate of calls."""

    def current(self, host: str, call: str) -> Current: ...


@dataclass
class _Message:
    """What a subscriber gets."""

    data: bytes
    reply: str = ""


@dataclass
class Cluster:
    """The servers together: they survive whatever becomes of the axis nodes."""

    config: dict[str, Any]
    stored: list[bytes] = field(default_factory=list)
    #: subject → who hears
    listeners: list[tuple[str, Host, Callable[[Any], Awaitable[None]]]] = field(default_factory=list)

    def answer(self, subject: str, data: bytes, headers: Mapping[str, str], current: Current) -> Any:
        """One call, done; None: whoever was asked waits for others in vain."""
        if current.refused:
            return _refusal(current.refused)
        if subject in self.config["subjects"]:
            return None if current.old else self._store(data, headers)
        operation = subject.removeprefix("$JS.API.").removesuffix(f".{self.config['name']}")
        if operation == "STREAM.INFO":
            return self._info(old=current.old)
        if operation == "STREAM.MSG.GET":
            return self._get(int(json.loads(data)["seq"]), old=current.old)
        return _refusal(STREAM_NOT_FOUND)

    def tell(self, subject: str, data: bytes, reply: str = "") -> None:
        """Give a message to whoever hears."""
        for name, host, hear in list(self.listeners):
            if name == subject and not host.dead:
                host.start(cast(Any, hear(_Message(data, reply))))

    def _store(self, data: bytes, headers: Mapping[str, str]) -> Any:
        last = len(self.stored)
        if int(headers["Nats-Expected-Last-Sequence"]) != last:
            return _refusal(WRONG_LAST_SEQUENCE)
        self.stored.append(data)
        return {"stream": self.config["name"], "seq": last + 1}

    def _info(self, *, old: bool) -> Any:
        """A leader that was paused does not know of the newest, and has heard from nobody."""
        heard = 60_000_000_000 if old else 100_000_000
        return {
            "created": "2026-01-01T00:00:00Z",
            "config": self.config,
            "state": {"first_seq": 1, "last_seq": len(self.stored) - old},
            "cluster": {"leader": "n1", "replicas": [{"name": n, "active": heard} for n in ("n2", "n3")]},
        }

    def _get(self, number: int, *, old: bool) -> Any:
        if not 1 <= number <= len(self.stored) - old:
            return _refusal(NO_MESSAGE)
        data = base64.b64encode(self.stored[number - 1]).decode()
        return {"message": {"seq": number, "subject": self.config["subjects"][0], "data": data}}


def _refusal(code: int) -> Any:
    return {"error": {"code": 503, "err_code": code, "description": "the simulated cluster refuses"}}


class Connection:
    """What `axis.jetstream.JetStream` needs of `axis.cluster.Connection`, for one start of one axis node."""

    server = "nats://simulated"

    def __init__(self, cluster: Cluster, host: Host, currents: Currents) -> None:
        self._cluster, self._host, self._currents = cluster, host, currents
        self._inboxes = 0

    async def close(self) -> None:
        """Nothing is held open."""

    async def request(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None, timeout: float, judge: Judge
    ) -> dict[str, Any]:
        """One call; what was sent arrives also when its caller has given up, or died."""
        call = "publish" if not subject.startswith("$JS.") else subject.split(".")[3].lower()
        self._host.at(f"stream.{call}: before")
        current = self._currents.current(self._host.name, call)
        if current.leaderless:
            raise NotAnswered("no leader answers at the moment")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def arrive() -> None:
            said = self._cluster.answer(subject, data, headers or {}, current)
            if said is not None and not current.unanswered:
                loop.call_later(current.back, lambda: answer.done() or answer.set_result(said))

        if not current.lost:
            loop.call_later(current.to, arrive)
        try:
            async with asyncio.timeout(timeout):
                said = await answer
        except TimeoutError as error:
            raise NotAnswered("late") from error
        self._host.at(f"stream.{call}: after")
        value: dict[str, Any] = json.loads(json.dumps(said))
        judge(value)  # of a single server nothing follows, yet it must not fail
        return value

    async def tell(self, subject: str, data: bytes) -> None:
        """Tell whoever listens, perhaps."""
        self._send(subject, data, "")

    async def listen(self, subject: str, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """Hear what is told from now on, while the host lives."""

        async def received(message: _Message) -> None:
            await hear(message.data)

        self._hear(subject, received)

    async def answer(self, subject: str, give: Callable[[bytes], bytes]) -> None:
        """Answer who asks, while the host lives."""

        async def received(message: _Message) -> None:
            if message.reply:
                await self.tell(message.reply, give(message.data))

        self._hear(subject, received)

    async def survey(self, subject: str, data: bytes, seconds: float, most: int) -> list[bytes]:
        """Ask everybody."""
        self._host.at("stream.survey: before")
        self._inboxes += 1
        inbox = f"_INBOX.{self._host.name}.{self._inboxes}"
        answers: list[bytes] = []

        async def received(message: _Message) -> None:
            answers.append(message.data)

        self._hear(inbox, received)
        self._send(subject, data, inbox)
        await asyncio.sleep(seconds)
        listeners = self._cluster.listeners
        listeners[:] = [each for each in listeners if each[0] != inbox]
        self._host.at("stream.survey: after")
        return answers[:most]

    def _send(self, subject: str, data: bytes, reply: str) -> None:
        current = self._currents.current(self._host.name, "tell")
        if not current.lost:
            asyncio.get_running_loop().call_later(current.to, self._cluster.tell, subject, data, reply)

    def _hear(self, subject: str, receive: Callable[[_Message], Awaitable[None]]) -> None:
        listeners = self._cluster.listeners
        listeners[:] = [each for each in listeners if not each[1].dead]
        listeners.append((subject, self._host, receive))
