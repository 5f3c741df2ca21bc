"""The connection to a cluster of NATS servers: it leaves a server that is of no use for the next of the list.

A server that dies is left at once. One may also live and be of no use: it, or the way to it, is silent, or
it has lost the other servers, so that no leader is reached through it. The first shows in requests and pings
that nobody answers, the second in requests that fail while the connection stands. After four seconds without
a single request that proves the contrary the next server is tried, in the order of the list; addresses that
servers tell of are not used, so a node talks to nobody that its settings do not name.

What an answer proves is for the caller to say (`Judge`): a leader that is cut off goes on answering reads.

nats-py speaks the protocol; each of its clients serves one connection to one server. Its own reconnecting
waits half a minute for the farewell of a silent server, and does not know of leaders.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from axis.logs import get_logger

__all__ = ["Connection", "Judge", "NotAnswered"]

#: What an answer says of the server: True: it reaches the leader; False: it does not; None: neither.
Judge = Callable[[Mapping[str, Any]], bool | None]
Hear = Callable[[bytes], Awaitable[None]]
#: Gets what was told, and the subject for an answer (empty: none is wanted).
_Receive = Callable[[bytes, str], Awaitable[None]]

#: So long may no request prove that the server is of use.
_USELESS_SECONDS: Final = 4.0
#: For connecting to one server: TCP, TLS and the first answer.
_CONNECT_SECONDS: Final = 4.0
#: A connection on which three pings in turn stay unanswered is lost: 6 to 8 s.
_PING_SECONDS: Final = 2
_PINGS: Final = 2
#: Between two rounds in which no server of the list could be reached.
_ROUND_SECONDS: Final = 0.2
_FAREWELL_SECONDS: Final = 1.0
_WATCH_SECONDS: Final = 1.0


class NotAnswered(Exception):
    """The cluster did not answer in time, or cannot be reached: what was asked may have been done."""


class Connection:
    """One connection at a time, to one of `servers` (`nats://HOST:PORT`). Make one with `connect`."""

    def __init__(
        self,
        servers: Sequence[str],
        tls: ssl.SSLContext | None,
        name: str,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._servers, self._tls, self._name, self._timer = list(servers), tls, name, timer
        self._receivers: list[tuple[str, _Receive]] = []
        self._link: _Link | None = None
        self._linked = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._failure = "none was tried"

    @classmethod
    async def connect(
        cls, servers: Sequence[str], tls: ssl.SSLContext | None, *, name: str, timeout: float = 15.0
    ) -> Connection:
        """Connect to any of the servers and stay connected. Raises NotAnswered after `timeout` seconds."""
        connection = cls(servers, tls, name)
        connection._keeping = asyncio.create_task(connection._keep(), name="cluster connection")
        try:
            async with asyncio.timeout(timeout):
                await connection._linked.wait()
        except BaseException as error:
            await connection.close()
            if not isinstance(error, TimeoutError):
                raise
            where = f"no NATS server answers at {', '.join(servers)}: {connection._failure}"
            raise NotAnswered(where) from error
        return connection

    @property
    def server(self) -> str:
        """The server of the moment; empty while there is none."""
        return "" if self._link is None else self._link.server

    async def request(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None,
        timeout: float,
        judge: Judge,
    ) -> dict[str, Any]:
        """Ask, and the JSON object that is the answer; NotAnswered after `timeout` seconds.

        Ends early, without answer, where the server is left meanwhile. Nothing is kept to be sent later.
        """
        link = self._link
        if link is None:
            raise NotAnswered("not connected to the cluster")
        asked = self._timer()
        try:
            with link.limited(timeout) as limit:
                async with limit:
                    answer = await link.client.request(
                        subject, data, timeout=timeout, headers=dict(headers) if headers else None
                    )
            value = json.loads(answer.data)
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            self._judged(link, False, asked)
            if isinstance(error, NoRespondersError):
                raise NotAnswered("no leader answers at the moment") from error
            raise NotAnswered(f"{type(error).__name__}: {error}") from error
        if not isinstance(value, dict):
            self._judged(link, False, asked)
            raise NotAnswered("an answer that is none")
        self._judged(link, judge(value), asked)
        return value

    async def tell(self, subject: str, data: bytes) -> None:
        """Tell whoever listens; nobody keeps it, and it may be lost."""
        if self._link is None:
            return
        try:
            await self._link.client.publish(subject, data)
        except (NatsError, OSError) as error:
            get_logger().debug("cluster_not_told", subject=subject, detail=str(error))

    async def listen(self, subject: str, hear: Hear) -> None:
        """Call `hear` for everything that is told from now on, until closed; what is told between two
        connections is not heard.
        """

        async def received(data: bytes, _: str) -> None:
            await hear(data)

        await self._receive(subject, received)

    async def answer(self, subject: str, give: Callable[[bytes], bytes]) -> None:
        """Answer everybody who asks at `subject` with what `give` makes of the question, until closed."""

        async def received(data: bytes, reply: str) -> None:
            if reply:
                await self.tell(reply, give(data))

        await self._receive(subject, received)

    async def _receive(self, subject: str, receive: _Receive) -> None:
        self._receivers.append((subject, receive))
        if self._link is not None:
            with contextlib.suppress(NatsError, OSError):  # then the connection is over; the next one listens
                await self._link.receive(subject, receive)

    async def survey(self, subject: str, data: bytes, seconds: float, most: int) -> list[bytes]:
        """What everybody who hears at `subject` answers within `seconds`, at most `most`. NotAnswered."""
        link = self._link
        if link is None:
            raise NotAnswered("not connected to the cluster")
        answers: list[bytes] = []
        full = asyncio.Event()

        async def received(answer: bytes, _: str) -> None:
            # Where nobody listens the server says so, without content.
            if answer:
                answers.append(answer)
            if not answer or len(answers) == most:
                full.set()

        inbox = link.client.new_inbox()
        try:
            subscription = await link.receive(inbox, received)
            await link.client.publish(subject, data, reply=inbox)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await full.wait()
            await subscription.unsubscribe()
        except (NatsError, OSError) as error:
            raise NotAnswered(f"{type(error).__name__}: {error}") from error
        return answers[:most]

    async def close(self) -> None:
        """Close the connection for good. Idempotent."""
        if self._link is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                # What was told last still goes out.
                await asyncio.wait_for(self._link.client.flush(), _FAREWELL_SECONDS)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})

    # --- leaving and finding servers

    def _judged(self, link: _Link, works: bool | None, asked: float) -> None:
        if not link.client.is_connected:
            link.over.set()
        if works:
            link.proved, link.useless_since = self._timer(), None
        elif works is False:
            # What was asked before the last proof says nothing against it, however late it fails.
            since = asked if link.proved is None else max(asked, link.proved)
            link.useless_since = since if link.useless_since is None else min(since, link.useless_since)
            useless = self._timer() - link.useless_since >= _USELESS_SECONDS
            if useless and len(self._servers) > 1 and not link.why:
                link.why = "no request through it succeeds"
                link.over.set()

    async def _keep(self) -> None:
        """Be connected, one server after the other. Runs until cancelled."""
        place = secrets.randbelow(len(self._servers))  # so that nodes do not all sit at the first
        in_vain = 0
        while True:
            server = self._servers[place % len(self._servers)]
            place += 1
            in_vain = 0 if await self._used(server) else in_vain + 1
            if in_vain and in_vain % len(self._servers) == 0:
                await asyncio.sleep(_ROUND_SECONDS)

    async def _used(self, server: str) -> bool:
        """Be connected to this server as long as it is of use; False where it was not at all.

        Whatever ends it ends only this: nobody else would ever connect again.
        """
        began = self._timer()
        try:
            link = await self._reach(server)
            if link is None:
                return False
            try:
                self._link = link
                self._linked.set()
                get_logger().info("cluster_connected", server=server)
                await link.watch()
                why = link.why or "the connection broke"
                get_logger().warning("cluster_connection_lost", server=server, detail=why)
            finally:
                self._link = None
                await link.end()
        except Exception as error:
            self._failure = str(error) or type(error).__name__
            get_logger().exception("cluster_link_failed", server=server)
            return False
        return self._timer() - began > _ROUND_SECONDS

    async def _reach(self, server: str) -> _Link | None:
        link = _Link(server)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await link.connect(self._name, self._tls)
                for subject, receive in self._receivers:
                    await link.receive(subject, receive)
        except Exception as error:  # whatever it is: there are other servers, and later is another time
            self._failure = str(error) or type(error).__name__
            get_logger().debug("cluster_connection_failed", server=server, detail=self._failure)
            await link.end()
            return None
        except BaseException:
            await link.end()
            raise
        return link


class _Link:
    """A connection to one server, from its beginning to its end."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.client = Client()
        self.over = asyncio.Event()
        #: Why it is left; empty where it broke by itself.
        self.why = ""
        #: When a request last proved that the server is of use.
        self.proved: float | None = None
        #: When the first request was asked since which none has proved that the server is of use.
        self.useless_since: float | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._connecting = True

    async def connect(self, name: str, tls: ssl.SSLContext | None) -> None:
        """Connect once. Raises NatsError, OSError, TimeoutError."""
        options: dict[str, Any] = {"tls": tls} if tls is not None else {}
        await self.client.connect(
            servers=[self.server],
            name=name,
            allow_reconnect=False,
            connect_timeout=_CONNECT_SECONDS,  # type: ignore[arg-type]  # any number will do
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=_PINGS,
            error_cb=self._failed,
            disconnected_cb=self._lost,
            closed_cb=self._lost,
            **options,
        )
        self._connecting = False

    async def _failed(self, error: Exception) -> None:
        if self._connecting:
            raise error  # else the library tries the same server again
        get_logger().debug("cluster_connection_failed", server=self.server, detail=repr(error))
        self.over.set()

    async def _lost(self) -> None:
        self.over.set()

    async def receive(self, subject: str, receive: _Receive) -> Subscription:
        """Call `receive` for what is told. Raises NatsError, OSError."""

        async def received(message: Msg) -> None:
            await receive(message.data, message.reply)

        return await self.client.subscribe(subject, cb=received)

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[asyncio.Timeout]:
        """A time limit that passes early when this connection is over."""
        limit = asyncio.timeout(seconds)
        self._limits.add(limit)
        try:
            yield limit
        finally:
            self._limits.discard(limit)

    async def watch(self) -> None:
        """Return when this connection is over."""
        while not self.why:
            # Looked at now and then as well: the library does not always say so when a connection broke.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self.over.wait()
            if not self.client.is_connected:
                return
            if not self.why:
                self.over.clear()

    async def end(self) -> None:
        """End it at once, and whatever waits on it."""
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0.0)
        try:
            self._abort()
        finally:
            await self._farewell()

    def _abort(self) -> None:
        # The library offers no other way: its own waits for the farewell of a server that may be silent.
        transport = self.client._transport
        if isinstance(transport, TcpTransport):
            for writer in (transport._io_writer, transport._bare_io_writer):
                if writer is not None:
                    # Of Python 3.11.2's, that of a TLS connection which is lost already fails so.
                    with contextlib.suppress(AttributeError):
                        writer.transport.abort()

    async def _farewell(self) -> None:
        # Not `wait_for`: it waits on, half a minute, where the library swallows its cancellation.
        closing = asyncio.create_task(self.client.close(), name="cluster farewell")
        _farewells.add(closing)
        closing.add_done_callback(_ended)
        await asyncio.wait({closing}, timeout=_FAREWELL_SECONDS)
        closing.cancel()


#: What the library still does for connections that are over; kept, so that it comes to its end.
_farewells: set[asyncio.Task[None]] = set()


def _ended(closing: asyncio.Task[None]) -> None:
    _farewells.discard(closing)
    if not closing.cancelled():
        closing.exception()  # of an end nothing else is wanted
