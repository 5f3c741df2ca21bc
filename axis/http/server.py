"""Listening: TLS, time-outs on every wait, a limit on connections, and an orderly end."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from typing import Final

from aiohttp import web

from axis.logs import get_logger

__all__ = ["AgencyServer"]

_BACKLOG: Final = 1024
_TLS_SHUTDOWN_SECONDS: Final = 5.0
#: So many connections are looked at to find one that may go: where half may, it is missed once in 2^32.
_LOOKED_AT: Final = 32


class _Full(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        get_logger().warning("connection_refused", reason="too many connections")
        if isinstance(transport, asyncio.Transport):
            transport.abort()


class AgencyServer:
    """One listening socket for one application."""

    def __init__(
        self,
        application: web.Application,
        context: ssl.SSLContext,
        *,
        connections: int = 4096,
        handshake: float = 10.0,
        idle: float = 60.0,
        stop: float = 10.0,
    ) -> None:
        # keepalive_timeout also ends a connection whose first request does not come or does not end its
        # headers. Bodies stay as they were sent: nothing is decompressed that a limit has not seen.
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=stop,
            keepalive_timeout=idle,
            lingering_time=min(idle, 10.0),
            auto_decompress=False,
        )
        self._context = context
        self._connections = connections
        self._handshake = handshake
        self._idle = idle
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (the one chosen, for port 0). OSError when the address is taken."""
        await self._runner.setup()
        self._listening = await asyncio.get_running_loop().create_server(
            self._protocol,
            host,
            port,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_SECONDS,
            backlog=_BACKLOG,
            reuse_address=True,
        )
        for listening in self._listening.sockets:
            # Inherited by every connection: whoever does not read what was sent to it is cut off, too.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._idle * 1000))
        return int(self._listening.sockets[0].getsockname()[1])

    def stop_listening(self) -> None:
        """Take no more connections; those open go on."""
        if self._listening is not None:
            self._listening.close()

    async def finish(self) -> None:
        """Let requests under way end, for at most the time set, then close every connection."""
        self.stop_listening()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None:
            return _Full()
        if len(server.connections) >= self._connections and not _make_room(server):
            return _Full()
        return server()


def _make_room(server: web.Server) -> bool:
    """End a connection without a client certificate, if a few taken at random hold one.

    So strangers, however many, never keep an agency's node out: where they hold many places one is found.
    """
    connections = server.connections
    for handler in random.sample(connections, min(_LOOKED_AT, len(connections))):
        transport = handler.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        if transport is not None and tls is not None and tls.getpeercert(binary_form=True) is None:
            get_logger().warning("connection_ended", reason="room for others, and no certificate")
            transport.abort()
            return True
    return False
