"""The connection to a NATS cluster: what both JetStream engines, journal and blobs, need of it.

Requests with a limit, and two kinds of failure told apart: the cluster *refused* (it said so, with its
code), or it did not *answer* (lost, late, no leader): then nothing is known. Neither says what is stored;
that is for the engines to find out. Which server is asked is the connection's matter (`axis.cluster`); here
stands which answers prove that it is of use.

Sources: NATS JetStream wire API (subjects `$JS.API.…`, error codes of nats-server), ADR-1 and ADR-8 of NATS.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from axis.cluster import Connection, Judge, NotAnswered

__all__ = [
    "JetStream",
    "Message",
    "NotAnswered",
    "Refused",
    "StreamServer",
    "StreamState",
    "cluster_tls",
    "servers_of",
]

#: Refusals of nats-server that engines tell apart.
STREAM_NOT_FOUND: Final = 10059
NO_MESSAGE: Final = 10037
#: No room: of memory, of resources, of storage, of the stream; the disk is full.
NO_ROOM: Final = frozenset({10023, 10028, 10047, 10077, 10122})

#: No suitable peers, insufficient resources, no leader: of a cluster that is only just coming up.
_NOT_YET: Final = frozenset({10005, 10008, 10009, 10023})
#: Said by a server that reaches no leader.
_NO_LEADER: Final = frozenset({10008, 10009})

#: Less than the shortest time after which NATS servers elect another leader.
_LEASE_NS: Final = 3_000_000_000
_AGAIN_SECONDS: Final = 0.2
#: For one try to make a stream: its first leader is elected meanwhile.
_CREATE_SECONDS: Final = 4.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORT: Final = 4222


class Refused(Exception):
    """The cluster said no."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code

    @property
    def no_room(self) -> bool:
        """Whether it says that there is no room."""
        return self.code in NO_ROOM


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message."""

    sequence: int
    subject: str
    headers: bytes  # as stored, NATS/1.0
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamServer:
    """A server that holds a stream, as the leader sees it; `behind` messages of what the leader has."""

    name: str
    in_reach: bool
    behind: int


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a stream reaches; `created` tells a stream from one made later under the same name.

    `led`: the leader that says so has heard from a majority within 3 s. One that is cut off, or that has been
    paused, goes on answering; but servers elect another at the earliest 4 s after they last heard from it, so
    what a leader with `led` says is the newest there is. A server that has lost its leader and all others
    answers too, with what it holds and without a leader's name: that is nobody's word.
    """

    created: str
    config: Mapping[str, Any]
    first: int
    last: int
    leader: str
    led: bool
    servers: tuple[StreamServer, ...] = ()


def servers_of(url: str) -> list[str]:
    """The addresses in `nats://HOST[:PORT],HOST[:PORT],…`; ValueError says what is wrong with it."""
    scheme, _, rest = url.partition("://")
    hosts = [part.strip().rpartition("://")[2] for part in rest.split(",")]
    if scheme != "nats" or not all(hosts):
        raise ValueError(f"{url!r} is not nats://HOST:PORT,HOST:PORT,…")
    servers = []
    for host in hosts:
        parts = urlsplit(f"nats://{host}")
        if not parts.hostname or parts.path or parts.username or parts.query:
            raise ValueError(f"{host!r} in {url!r} is not HOST:PORT")
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        servers.append(f"nats://{name}:{parts.port or _DEFAULT_PORT}")
    return servers


def cluster_tls(folder: Path, servers: Sequence[str]) -> ssl.SSLContext | None:
    """The TLS context from `folder` (ca.pem, tls.crt, tls.key; `axis cluster keys` makes them).

    None where there is no such folder: allowed for servers on this machine only. Raises ValueError.
    """
    if not folder.is_dir():
        if any(urlsplit(server).hostname not in _LOOPBACK for server in servers):
            raise ValueError(f"{folder} is missing: a cluster beyond this machine needs TLS keys")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


class JetStream:
    """What can be asked of a cluster. Make one with `connect`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(
        cls, servers: Sequence[str], tls: ssl.SSLContext | None, *, name: str, timeout: float = 15.0
    ) -> JetStream:
        """Connect to one of `servers` (`nats://HOST:PORT`). Raises NotAnswered after `timeout` seconds."""
        return cls(await Connection.connect(servers, tls, name=name, timeout=timeout))

    @property
    def server(self) -> str:
        """The server that is asked at the moment; empty while there is no connection."""
        return self._connection.server

    async def ask(self, operation: str, body: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
        """One call of the JetStream API, `$JS.API.<operation>`. Raises Refused, NotAnswered."""
        return await self._ask(operation, body, timeout, _led)

    async def _ask(
        self, operation: str, body: Mapping[str, Any], timeout: float, judge: Judge
    ) -> dict[str, Any]:
        return await self._request(f"$JS.API.{operation}", json.dumps(body).encode(), None, timeout, judge)

    async def publish(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None = None, timeout: float = 2.0
    ) -> int:
        """Have a stream store a message; its sequence. Raises Refused, NotAnswered."""
        answer = await self._request(subject, data, headers, timeout, _stored)
        sequence = answer.get("seq")
        if not isinstance(sequence, int) or answer.get("duplicate"):
            raise NotAnswered(f"an odd acknowledgement: {answer}")
        return sequence

    async def stream(self, name: str, timeout: float = 2.0) -> StreamState | None:
        """How a stream stands, as its leader says; None if there is none. Raises Refused, NotAnswered."""
        try:
            return _state(await self.ask(f"STREAM.INFO.{name}", {}, timeout))
        except Refused as refused:
            if refused.code == STREAM_NOT_FOUND:
                return None
            raise

    async def make_stream(self, config: Mapping[str, Any], timeout: float = 15.0) -> StreamState:
        """Make a stream, or find the same one made before. Raises Refused, NotAnswered.

        Tries for `timeout` seconds, again and again: servers that have just started do not yet know of each
        other, and one that loses its lead meanwhile never answers.
        """
        until = monotonic() + timeout
        while True:
            left = max(until - monotonic(), _AGAIN_SECONDS)
            try:
                answer = await self.ask(f"STREAM.CREATE.{config['name']}", config, min(_CREATE_SECONDS, left))
                return _state(answer)
            except NotAnswered:
                if monotonic() > until:
                    raise
            except Refused as refused:
                if refused.code not in _NOT_YET or monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def change_stream(self, config: Mapping[str, Any], timeout: float = 10.0) -> StreamState:
        """Give a stream another configuration. Raises Refused, NotAnswered."""
        return _state(await self.ask(f"STREAM.UPDATE.{config['name']}", config, timeout))

    async def message(self, stream: str, sequence: int, timeout: float = 2.0) -> Message | None:
        """The message at a place, as the leader has it, or None. Raises Refused, NotAnswered."""
        return await self._message(stream, {"seq": sequence}, timeout)

    async def newest(self, stream: str, subject: str, timeout: float = 2.0) -> Message | None:
        """The newest message of a subject; None if there is none. Raises Refused, NotAnswered."""
        return await self._message(stream, {"last_by_subj": subject}, timeout)

    async def _message(self, stream: str, which: Mapping[str, Any], timeout: float) -> Message | None:
        try:
            answer = await self._ask(f"STREAM.MSG.GET.{stream}", which, timeout, _read)
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        found = answer["message"]
        return Message(
            int(found["seq"]),
            str(found["subject"]),
            base64.b64decode(found.get("hdrs") or ""),
            base64.b64decode(found.get("data") or ""),
        )

    async def tell(self, subject: str, data: bytes) -> None:
        """Tell whoever listens; nobody keeps it, and it may be lost."""
        await self._connection.tell(subject, data)

    async def listen(self, subject: str, hear: Callable[[bytes], Awaitable[None]]) -> None:
        """Call `hear` for everything that is told from now on, until the connection is closed."""
        await self._connection.listen(subject, hear)

    async def answer(self, subject: str, give: Callable[[bytes], bytes]) -> None:
        """Answer everybody who asks at `subject`, until the connection is closed."""
        await self._connection.answer(subject, give)

    async def survey(self, subject: str, data: bytes, seconds: float, most: int) -> list[bytes]:
        """What everybody who hears at `subject` answers within `seconds`, at most `most`. NotAnswered."""
        return await self._connection.survey(subject, data, seconds, most)

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        await self._connection.close()

    async def _request(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None, timeout: float, judge: Judge
    ) -> dict[str, Any]:
        value = await self._connection.request(subject, data, headers, timeout, judge)
        if "error" in value:
            raise Refused(_code(value), str(value["error"].get("description")))
        return value


# --- what an answer says of the server through which it came


def _led(answer: Mapping[str, Any]) -> bool:
    """An operation: the leader's word counts if it has a majority, where it says whether."""
    if "error" in answer:
        return _code(answer) not in _NO_LEADER
    return "state" not in answer or _state(answer).led


def _stored(answer: Mapping[str, Any]) -> bool | None:
    """What was stored, a majority has; what is refused, a leader alone may refuse."""
    return True if "error" not in answer else _read(answer)


def _read(answer: Mapping[str, Any]) -> bool | None:
    """A leader that has lost the others goes on to answer reads."""
    return False if _code(answer) in _NO_LEADER else None


def _code(answer: Mapping[str, Any]) -> int:
    said = answer.get("error") or {}
    return int(said.get("err_code") or said.get("code") or 0)


def _state(answer: Mapping[str, Any]) -> StreamState:
    state, cluster = answer["state"], answer.get("cluster")
    alone = cluster is None  # one server, which has nobody to hear from
    cluster = cluster or {}
    leader = str(cluster.get("leader") or "")
    replicas = cluster.get("replicas") or []
    followers = [_follower(each) for each in replicas]
    heard = sum(each.in_reach for each in followers)
    # A server that names another as leader, and hears from it, speaks for itself alone.
    leads = bool(leader) and all(each.get("name") != leader for each in replicas)
    first = [StreamServer(leader, in_reach=True, behind=0)] if leads else []
    return StreamState(
        created=str(answer["created"]),
        config=answer["config"],
        first=int(state["first_seq"]),
        last=int(state["last_seq"]),
        leader=leader,
        led=alone or (leads and 2 * (1 + heard) > 1 + len(replicas)),
        servers=(*first, *followers),
    )


def _follower(replica: Mapping[str, Any]) -> StreamServer:
    # 0 is said of a server that was never heard, too: by every server that is no leader.
    in_reach = not replica.get("offline") and 0 < replica.get("active", 0) < _LEASE_NS
    return StreamServer(str(replica.get("name")), in_reach, int(replica.get("lag") or 0))
