"""What a serving node tells the service manager that started it: ready, alive, stopping.

The protocol is sd_notify(3): one datagram of `NAME=value` lines to the Unix socket that `NOTIFY_SOCKET`
names. Without that variable nobody asked, and nothing is sent. While a node serves, its event loop itself
says `WATCHDOG=1` twice in each period that `WATCHDOG_USEC` gives: a loop that hangs is noticed, and the node
started again.

Nothing here ever fails the node: a manager that does not take the message is the manager's trouble.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from axis.logs import get_logger

__all__ = ["supervised"]

_READY: Final = "READY=1"
_STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"
_MICROSECONDS: Final = 1_000_000


@asynccontextmanager
async def supervised(
    status: str, environment: Mapping[str, str] = os.environ, pid: int | None = None
) -> AsyncIterator[None]:
    """Say that the node is ready, with a line for `systemctl status`; alive while entered; then stopping.

    `status` may be seen by every user of the machine. Enter it in the loop that serves.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        yield
        return
    period = _watchdog_seconds(environment, os.getpid() if pid is None else pid)
    _tell(address, f"{_READY}\nSTATUS={' '.join(status.split())}")
    alive = asyncio.create_task(_live(address, period / 2), name="watchdog") if period else None
    try:
        yield
    finally:
        if alive is not None:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
        _tell(address, _STOPPING)


async def _live(address: str, seconds: float) -> None:
    while True:
        _tell(address, _ALIVE)
        await asyncio.sleep(seconds)


def _watchdog_seconds(environment: Mapping[str, str], pid: int) -> float:
    """The period within which the manager wants to hear from this process; 0 if it does not."""
    wanted, whom = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or (whom and whom != str(pid)):
        return 0.0
    return int(wanted) / _MICROSECONDS


def _tell(address: str, message: str) -> None:
    # A leading @ stands for the zero byte of Linux's abstract names.
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            manager.sendto(message.encode(), name)
    except OSError as error:
        get_logger().warning("supervisor_not_told", message=message.split("\n", 1)[0], detail=str(error))
