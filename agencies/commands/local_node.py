"""A home's API for one command: the running node's, or one that lives for the command alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from agencies import config
from agencies.app import Node
from agencies.clock import SystemClock
from agencies.link.enrol import init
from agencies.local import LocalApi, connect
from axis.control import HomeBusy, NotRunning

__all__ = ["initialise", "with_api"]

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 15.0


async def with_api(home: Path, work: Callable[[LocalApi], Awaitable[T]]) -> T:
    """Give `work` the home's API. A node that is just starting or stopping is waited for.

    Raises HomeBusy when the home stays locked by a process that does not answer; ConfigError; Refusal.
    """
    config.load(home)  # says at once where there is no home
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            async with connect(home) as api:
                return await work(api)
        except NotRunning:
            pass
        try:
            async with Node(home, online=False), connect(home) as api:
                return await work(api)
        except (HomeBusy, NotRunning):
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.05)


async def initialise(home: Path, token: str, urls: tuple[str, ...], api: str | None) -> dict[str, Any]:
    """`agency init`; on a running node's home the node itself enrols anew and goes on with the new keys."""
    try:
        settings = await init(home, token, SystemClock(), axis=urls, api=api)
    except HomeBusy:
        async with connect(home) as node:
            await node.json("POST", "/control/enrol", json={"token": token, "axis": list(urls)})
        settings = config.load(home)
    return {"code": settings.code, "home": str(home), "api": settings.api, "axis": list(settings.axis)}
