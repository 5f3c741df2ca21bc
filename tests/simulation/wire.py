"""The wire between agency nodes and the axis: what the agencies' client puts in comes out as a request at
the axis's own routes, sooner or later, once, twice or never; and the answer likewise.

Stands below `agencies.link.axis_client` in place of aiohttp's session, and above `axis.http`'s application in
place of its server. TLS is what is left out: the connection simply says whose certificate it was.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.simulation.crashing import Host

__all__ = ["Door", "Fate", "Session", "Weather"]


@dataclass(frozen=True)
class Fate:
    """What becomes of one request. Times in seconds."""

    to: float = 0.001
    back: float = 0.001
    lost: bool = False  # it never arrives
    again: float | None = None  # it arrives once more, so much later
    unanswered: bool = False  # it was done; the answer never comes
    cut: bool = False  # the answer breaks off in its body
    hangs: bool = False  # who lost something learns so only by its own time limit


class Weather(Protocol):
    """Decides the fate of requests."""

    def fate(self, caller: str, path: str) -> Fate: ...


@dataclass(frozen=True)
class Reply:
    """A response as bytes would say it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Raw:
    """A request as bytes would say it."""

    method: str
    url: URL
    headers: CIMultiDictProxy[str]
    body: bytes
    certificate: bytes  # of the caller, DER


class _Proven(ssl.SSLObject):
    """Says which certificate the handshake has proven."""

    def __init__(self, certificate: bytes) -> None:
        self._certificate = certificate

    def getpeercert(self, binary_form: bool = False) -> Any:
        return self._certificate


class _Connection:
    """What the axis's routes see of the connection: protocol, transport and writer in one."""

    ssl_context = peername = sockname = None

    def __init__(self, certificate: bytes) -> None:
        self.transport = self
        self._proven = _Proven(certificate)
        self.written = bytearray()

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """A response whose body is streamed begins: its head is read from itself at the end."""

    def send_headers(self) -> None: ...

    async def write(self, chunk: bytes) -> None:
        self.written += chunk

    def abort(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._proven if name == "ssl_object" else default


class _Body:
    """A request's body that has come as a whole."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def at_eof(self) -> bool:
        return not self._left

    async def readany(self) -> bytes:
        body, self._left = self._left, b""
        return body


class Door:
    """One start of the axis as the wire sees it: an application on a host."""

    def __init__(self, application: web.Application, host: Host) -> None:
        application.freeze()
        self._application = application
        self.host = host

    def knock(self, raw: Raw) -> asyncio.Future[Reply]:
        """Have a request served. The answer, or ClientConnectionError if the axis dies over it."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.host.dead:
            answer.set_exception(aiohttp.ClientConnectionError("nobody listens"))
            return answer
        gone = aiohttp.ServerDisconnectedError("the axis is gone")
        self.host.answering[answer] = gone
        self.host.start(self._serve(raw, answer))
        return answer

    async def _serve(self, raw: Raw, answer: asyncio.Future[Reply]) -> None:
        connection: Any = _Connection(raw.certificate)
        message = RawRequestMessage(
            raw.method, str(raw.url), HttpVersion11, raw.headers, (), False, None, False, False, raw.url
        )
        body: Any = _Body(raw.body)
        loop = asyncio.get_running_loop()
        task: Any = asyncio.current_task()
        request = web.Request(
            message, body, connection, connection, task, loop, client_max_size=1 << 26, remote="127.0.0.1"
        )
        response = await self._application._handle(request)
        if isinstance(response, web.Response):
            await self._application.on_response_prepare.send(request, response)
            content: Any = response.body or b""
        else:
            content = connection.written
        self.host.answering.pop(answer, None)
        if not answer.done():
            answer.set_result(Reply(response.status, response.headers, bytes(content)))


class _Content:
    """An answer's body; one that is cut breaks off in the middle."""

    def __init__(self, body: bytes, cut: bool) -> None:
        self._body, self._cut = body, cut

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        end = len(self._body) // 2 if self._cut else len(self._body)
        for start in range(0, end, size):
            yield self._body[start : min(end, start + size)]
        if self._cut:
            raise aiohttp.ClientPayloadError("the answer broke off")


class _Answer:
    """What the client sees of a response."""

    def __init__(self, reply: Reply, cut: bool) -> None:
        self.status, self.headers = reply.status, reply.headers
        self.content = _Content(reply.body, cut)
        self._body = reply.body

    async def json(self, **_: Any) -> Any:
        return json.loads(self._body)


class Session:
    """What one agency node's client calls. `door` gives the current start of an axis node, or None."""

    def __init__(
        self, caller: Host, certificate: bytes, door: Callable[[str], Door | None], weather: Weather
    ) -> None:
        self._caller, self._certificate = caller, certificate
        self._door, self._weather = door, weather

    async def close(self) -> None:
        """Nothing is held open."""

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        params: Mapping[str, str] | None = None,
        data: Any = None,
        **_: Any,
    ) -> AsyncIterator[_Answer]:
        """One request, as aiohttp's session makes it."""
        body = data if isinstance(data, bytes) else b""
        if data is not None and not isinstance(data, bytes):
            body = b"".join([chunk async for chunk in data])
        given = CIMultiDict(headers)
        given["Content-Length"] = str(len(body))
        target = URL(url).with_query(params) if params else URL(url)
        raw = Raw(method, target.relative(), CIMultiDictProxy(given), body, self._certificate)
        self._caller.at(f"{method} {target.path[:12]}: before")
        fate = self._weather.fate(self._caller.name, target.path)
        async with asyncio.timeout(timeout.total or timeout.sock_read):
            answer = _Answer(await self._travel(raw, target.host or "", fate), fate.cut)
            self._caller.at(f"{method} {target.path[:12]}: after")
            yield answer

    async def _travel(self, raw: Raw, node: str, fate: Fate) -> Reply:
        await asyncio.sleep(fate.to)
        if fate.again is not None:
            asyncio.get_running_loop().call_later(fate.again, self._once_more, raw, node)
        door = self._door(node)
        if fate.lost or door is None:
            await self._lost(fate)
        assert door is not None
        reply = await door.knock(raw)
        await asyncio.sleep(fate.back)
        if fate.unanswered:
            await self._lost(fate)
        return reply

    async def _lost(self, fate: Fate) -> None:
        if fate.hangs:
            await asyncio.Event().wait()
        raise aiohttp.ClientConnectionError("the simulated connection is cut")

    def _once_more(self, raw: Raw, node: str) -> None:
        """A copy that something on the way has kept; nobody waits for its answer."""
        door = self._door(node)
        if door is not None:
            door.knock(raw).add_done_callback(lambda answer: answer.cancelled() or answer.exception())
