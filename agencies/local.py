"""`HOME/control.sock`: where the home's owner reaches the node's API, running or for one command."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from axis.control import NotRunning, refusal_from_problem
from axis.core.errors import Refusal

__all__ = ["LocalApi", "connect", "listening_socket", "remove_socket"]

_SOCKET: Final = "control.sock"
_BASE: Final = "http://node"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)


@contextmanager
def _socket_path(home: Path) -> Iterator[str]:
    """A name of the socket that is short enough for sun_path (108 bytes), however deep the home lies."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)


def listening_socket(home: Path) -> socket.socket:
    """The home's socket, for its owner only. The caller holds the home's lock."""
    remove_socket(home)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The file's mode comes from the socket's: nobody else can connect even for a moment.
        os.fchmod(listening.fileno(), 0o600)
        with _socket_path(home) as path:
            listening.bind(path)
        listening.listen(64)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def remove_socket(home: Path) -> None:
    """Take the name away: of a node that was killed, or before this one stops."""
    (home / _SOCKET).unlink(missing_ok=True)


class LocalApi:
    """Calls to a node's own API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a successful answer, else the Refusal. NotRunning when no node answers."""
        try:
            async with self._session.request(method, _BASE + path, **options) as response:
                body = await response.json(content_type=None)
        except (aiohttp.ClientConnectorError, FileNotFoundError) as error:
            raise NotRunning("no node runs on this home") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refusal("unavailable", f"the node broke off: {error!r}") from error
        if response.status >= 400:
            raise refusal_from_problem(body)
        return body

    async def download(self, path: str, file: BinaryIO) -> None:
        """Write an answer's body to an open file."""
        try:
            async with self._session.get(_BASE + path) as response:
                if response.status != 200:
                    raise refusal_from_problem(await response.json(content_type=None))
                async for chunk in response.content.iter_chunked(256 * 1024):
                    file.write(chunk)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refusal("unavailable", f"the node broke off: {error!r}") from error


@asynccontextmanager
async def connect(home: Path) -> AsyncIterator[LocalApi]:
    """The API of the node that runs on this home; NotRunning if none answers."""
    if not (home / _SOCKET).exists():
        raise NotRunning(f"no node runs on {home}")
    with _socket_path(home) as path:
        connector = aiohttp.UnixConnector(path=path)
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
            api = LocalApi(session)
            await api.json("GET", "/livez")
            yield api
