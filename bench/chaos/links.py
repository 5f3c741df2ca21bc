"""A TCP proxy in this process, one for each link: cut, black-holed or slow when told so.

It passes bytes through and knows nothing of them: TLS goes from end to end, and the certificates must be
good for the proxy's address. Cancellation safe: `close` ends everything that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from functools import partial
from typing import Final, Literal, Protocol

__all__ = ["Breakable", "Link", "Mode", "Route"]

Mode = Literal["open", "cut", "hole"]

_CHUNK: Final = 64 * 1024
_CHUNKS_UNDER_WAY: Final = 64
_CONNECT_SECONDS: Final = 10.0


class Breakable(Protocol):
    """What can be cut, black-holed or slowed."""

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        """See `Link.set`."""

    async def close(self) -> None:
        """End all connections and listen no more."""


class Route:
    """The links between two parts of which either connects to the other: they break together."""

    def __init__(self, *links: Link) -> None:
        self._links = links

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        """See `Link.set`."""
        for link in self._links:
            link.set(mode, delay)

    async def close(self) -> None:
        """End all connections and listen no more."""
        for link in self._links:
            await link.close()


class Link:
    """Listens on a port of its own and joins each connection to `target` (host, port)."""

    def __init__(self, name: str, target: tuple[str, int]) -> None:
        self.name = name
        self.port = 0
        self.target = target
        #: Connections that a cut ended or refused.
        self.broken = 0
        #: Bytes that came while the link was a hole.
        self.swallowed = 0
        self._delay = 0.0
        self._mode: Mode = "open"
        self._passable = asyncio.Event()
        self._passable.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def in_use(self) -> bool:
        """Whether anything is connected through it."""
        return bool(self._writers)

    async def listen(self, host: str = "127.0.0.1") -> int:
        """Begin to listen on any free port; the port."""
        self._server = await asyncio.start_server(self._connected, host, 0, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """End all connections and listen no more."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        self._abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        """`cut`: connections are reset, new ones too. `hole`: bytes stay, connections do.

        `delay` in seconds, each way. Bytes that a hole kept go on when it ends, in their order.
        """
        self._mode, self._delay = mode, delay
        if mode == "hole":
            self._passable.clear()
        else:
            self._passable.set()
        if mode == "cut":
            self.broken += len(self._writers) // 2
            self._abort()

    def _abort(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No coroutine: a task that is cancelled before it begins would leave its connection open."""
        if self._closed:  # accepted just before
            writer.transport.abort()
            return
        self._writers.add(writer)
        task = asyncio.create_task(self._joined(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, writer))

    def _ended(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._writers.discard(writer)
        writer.transport.abort()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            self.broken += 1
            _reset(writer)
            return
        await self._passable.wait()
        # Not wait_for: cancelled as it ends, it would lose the connection.
        async with asyncio.timeout(_CONNECT_SECONDS):
            far_reader, far_writer = await asyncio.open_connection(*self.target, limit=_CHUNK)
        self._writers.add(far_writer)
        try:
            # One direction that breaks takes the other with it; one that ends does not.
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, far_writer))
                both.create_task(self._carry(far_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Each chunk is due a delay after it came: a slow link, not a narrow one."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)

        async def deliver() -> None:
            while True:
                due, chunk = await under_way.get()
                await asyncio.sleep(due - loop.time())
                await self._passable.wait()
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(deliver())
            while chunk := await reader.read(_CHUNK):
                self.swallowed += len(chunk) if self._mode == "hole" else 0
                await under_way.put((loop.time() + self._delay, chunk))
            await under_way.put((loop.time() + self._delay, b""))


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST: without this option closing would send an orderly FIN."""
    if (raw := writer.get_extra_info("socket")) is not None and not writer.transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
