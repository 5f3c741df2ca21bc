"""One writer per home: the lock on it, and the socket through which commands ask the running node.

`serve` holds `HOME/lock` for its whole life. A command that writes first asks `HOME/control.sock`; where no
node answers, it takes the lock itself and does the work in its own process.

The socket is for the home's owner only (mode 0600): whoever can open it could change the files as well.
Operations are named functions from a JSON object to a JSON value; a Refusal comes out at the other end as
the same Refusal.

aiohttp is imported where it is used: beside a stopped node a command does without it, and is quicker.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from axis.core.errors import CODES, Refusal
from axis.logs import get_logger

if TYPE_CHECKING:
    from aiohttp import web

__all__ = [
    "PROBLEM_JSON",
    "ControlServer",
    "HomeBusy",
    "HomeLock",
    "NotRunning",
    "Operation",
    "call",
    "http_problem",
    "problem",
    "refusal_from_problem",
]

#: A control operation: the arguments' JSON object in, a JSON value out.
Operation = Callable[[dict[str, Any]], Awaitable[object]]

PROBLEM_JSON: Final = "application/problem+json"
_SOCKET: Final = "control.sock"
_ARGUMENTS_LIMIT: Final = 16 * 1024 * 1024
#: What HTTP itself refuses.
_OF_HTTP: Final = {
    401: "not_authorised",
    404: "route_unknown",
    405: "route_unknown",
    413: "header_too_large",
    421: "origin_not_allowed",
    429: "rate_limited",
}
_STANDARD_MEMBERS: Final = frozenset(
    {"type", "title", "status", "code", "detail", "temporary", "check", "retry_after"}
)


class HomeBusy(Exception):
    """Another process holds this home's lock."""


class NotRunning(Exception):
    """No node answers at this home's control socket."""


class HomeLock:
    """The exclusive lock on a home, held until `release` or until the process ends, however it ends.

    Raises HomeBusy when another process (or another lock in this one) has it. The descriptor is not
    inherited, so a child that outlives the node never keeps the home locked.
    """

    def __init__(self, home: Path) -> None:
        self._descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise HomeBusy(f"{home} is in use by another process, its node or a command") from error

    def release(self) -> None:
        """Let the home go. Idempotent."""
        if self._descriptor >= 0:
            # Unlocked, not only closed: a child between fork and exec holds a copy of the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def problem(refusal: Refusal) -> dict[str, object]:
    """A Refusal as the members of an RFC 9457 problem: `code` is the stable one, `temporary` says if
    the same request may succeed later."""
    members: dict[str, object] = {
        "type": "about:blank",
        "title": refusal.code.cause,
        "status": refusal.code.http_status,
        "code": refusal.name,
        "detail": refusal.detail,
        "temporary": refusal.code.temporary,
    }
    if refusal.check is not None:
        members["check"] = refusal.check
    if refusal.retry_after is not None:
        members["retry_after"] = refusal.retry_after
    return members | {name: value for name, value in refusal.extra.items() if name not in members}


def http_problem(error: web.HTTPException, detail: str = "") -> dict[str, object]:
    """What HTTP itself refuses (no such path or method, a request that cannot be read), in the same form,
    with the status that HTTP gave it.
    """
    code = _OF_HTTP.get(error.status, "field_invalid" if error.status < 500 else "unavailable")
    said = detail or (error.text or error.reason).strip()
    return problem(Refusal(code, said)) | {"status": error.status}


def refusal_from_problem(members: Mapping[str, Any]) -> Refusal:
    """The Refusal that a problem came from; an unknown code is `unavailable`, hence temporary."""
    name = members.get("code")
    known = isinstance(name, str) and name in CODES
    return Refusal(
        name if known and isinstance(name, str) else "unavailable",
        str(members.get("detail", "")),
        check=members.get("check"),
        retry_after=members.get("retry_after"),
        extra={key: value for key, value in members.items() if key not in _STANDARD_MEMBERS},
    )


class ControlServer:
    """Serves a home's operations at `HOME/control.sock` while entered. The caller holds the home's lock."""

    def __init__(self, home: Path, operations: Mapping[str, Operation]) -> None:
        self._home = home
        self._operations = operations
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        from aiohttp import web

        application = web.Application(client_max_size=_ARGUMENTS_LIMIT)
        application.router.add_post("/{operation}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=5.0)
        await self._runner.setup()
        await web.SockSite(self._runner, _listening_socket(self._home)).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            # Gone before the server is: a command that comes now finds no node rather than half of one.
            (self._home / _SOCKET).unlink(missing_ok=True)
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        from aiohttp import web

        name = request.match_info["operation"]
        operation = self._operations.get(name)
        try:
            if operation is None:
                raise Refusal("unavailable", f"this node has no operation {name}")
            arguments = await request.json()
            if not isinstance(arguments, dict):
                raise Refusal("field_invalid", "arguments are a JSON object")
            result = await operation(arguments)
        except Refusal as refusal:
            return _problem_response(refusal)
        except (KeyError, TypeError, ValueError) as error:
            return _problem_response(Refusal("field_invalid", f"{name}: {error!r}"))
        except Exception:
            get_logger().exception("control_operation_failed", operation=name)
            return _problem_response(Refusal("unavailable", f"{name} failed; the node's log says why"))
        return web.json_response({"ok": result})


def _problem_response(refusal: Refusal) -> web.Response:
    from aiohttp import web

    return web.json_response(problem(refusal), status=refusal.code.http_status, content_type=PROBLEM_JSON)


async def call(home: Path, operation: str, arguments: Mapping[str, Any], timeout: float = 30.0) -> Any:
    """Have the running node do one operation and return its JSON value.

    Raises NotRunning when no node answers, Refusal for the node's own, or `unavailable` after `timeout`
    seconds, or when the node stopped before it answered: then the operation may have been done.
    """
    if not (home / _SOCKET).exists():
        raise NotRunning(f"no node runs on {home}")
    import aiohttp

    with _socket_path(home) as path:
        connector = aiohttp.UnixConnector(path=path)
        limit = aiohttp.ClientTimeout(total=timeout)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            try:
                async with session.post(f"http://node/{operation}", json=dict(arguments)) as response:
                    body = json.loads(await response.read())
            except (aiohttp.ClientConnectorError, FileNotFoundError) as error:
                raise NotRunning(f"no node runs on {home}") from error
            except TimeoutError as error:
                raise Refusal("unavailable", f"{operation}: no answer in {timeout:g} s") from error
            except (aiohttp.ClientError, ValueError) as error:
                raise Refusal("unavailable", f"{operation}: the node broke off ({error})") from error
    if response.status != 200:
        raise refusal_from_problem(body)
    return body["ok"]


def _listening_socket(home: Path) -> socket.socket:
    (home / _SOCKET).unlink(missing_ok=True)  # of a node that was killed: its lock is ours now
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode of the file comes from the socket's, so nobody else can connect even for a moment.
        os.fchmod(listening.fileno(), 0o600)
        with _socket_path(home) as path:
            listening.bind(path)
        listening.listen(16)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


@contextmanager
def _socket_path(home: Path) -> Iterator[str]:
    """A name of the socket that is short enough for sun_path (108 bytes), however deep the home lies."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)
