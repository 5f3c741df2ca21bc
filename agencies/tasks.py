"""Several things at once, with the first error as itself; and loops that go on whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from agencies.backoff import Random, back_off
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["all_of", "keep_running"]

T = TypeVar("T")

_CAP_SECONDS: Final = 30.0


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order. On the first error the others are cancelled and awaited, then it is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def keep_running(part: str, work: Callable[[], Awaitable[None]], clock: Clock, random: Random) -> None:
    """Run a part of the node until cancelled; begin it again, after a while, when it fails.

    What ends it may pass (a full disk), and all that matters is in the store, so the part goes on where it
    was; a stopped node would not. The waits grow until a run has lasted longer than the longest of them.
    """
    failures = 0
    while True:
        began = clock.now()
        try:
            await work()
            get_logger().error("part_ended", part=part)
        except Refusal as refusal:
            get_logger().error("part_failed", part=part, code=refusal.name, detail=refusal.detail)
        except Exception:
            get_logger().exception("part_failed", part=part)
        if clock.now() - began > 1000 * _CAP_SECONDS:
            failures = 0
        await clock.sleep(back_off(failures, _CAP_SECONDS, random) / 1000)
        failures += 1
