"""A simulated NATS cluster with one stream, as several axis nodes see it through their connections.

Stands below `axis.jetstream` in place of the library's client, so that all of the product's own code over it
runs: each call of the JetStream API comes sooner or later, once or never, is refused, or is done without the
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

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

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

    subject: str
    data: bytes
    reply: str = ""
    headers: Mapping[str, str] | None = None


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

    def tell(self, subject: str, data: bytes, reply: str = "") -> int:
        """Give a message to whoever hears; to how many."""
        told = [(host, hear) for name, host, hear in self.listeners if name == subject and not host.dead]
        for host, hear in told:
            host.start(cast(Any, hear(_Message(subject, data, reply))))
        return len(told)

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


@dataclass
class _Answer:
    data: bytes


@dataclass
class _Subscription:
    cluster: Cluster
    entry: Any

    async def unsubscribe(self) -> None:
        self.cluster.listeners.remove(self.entry)


class Connection:
    """What `axis.jetstream.JetStream` needs of `nats.aio.client.Client`, for one start of one axis node."""

    is_connected = True
    is_closed = False

    def __init__(self, cluster: Cluster, host: Host, currents: Currents) -> None:
        self._cluster, self._host, self._currents = cluster, host, currents
        self._inboxes = 0

    async def close(self) -> None:
        """Nothing is held open."""

    def new_inbox(self) -> str:
        """A subject of this connection's own."""
        self._inboxes += 1
        return f"_INBOX.{self._host.name}.{self._inboxes}"

    async def request(
        self, subject: str, data: bytes, timeout: float, headers: Mapping[str, str] | None = None
    ) -> _Answer:
        """One call; what was sent arrives also when its caller has given up, or died."""
        call = "publish" if not subject.startswith("$JS.") else subject.split(".")[3].lower()
        self._host.at(f"stream.{call}: before")
        current = self._currents.current(self._host.name, call)
        if current.leaderless:
            raise NoRespondersError
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
            raise NatsTimeout from error
        self._host.at(f"stream.{call}: after")
        return _Answer(json.dumps(said).encode())

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Tell whoever listens, perhaps."""
        current = self._currents.current(self._host.name, "tell")

        def arrive() -> None:
            if not self._cluster.tell(subject, data, reply) and reply:
                self._cluster.tell(reply, b"")

        if not current.lost:
            asyncio.get_running_loop().call_later(current.to, arrive)

    async def subscribe(self, subject: str, cb: Callable[[Any], Awaitable[None]]) -> _Subscription:
        """Hear what is told from now on, while the host lives."""
        listeners = self._cluster.listeners
        listeners[:] = [each for each in listeners if not each[1].dead]
        entry = (subject, self._host, cb)
        listeners.append(entry)
        return _Subscription(self._cluster, entry)
