"""When to try again: capped exponential back-off with jitter, and waiting that a signal cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from axis.ports import Clock

__all__ = ["back_off", "wait_for_signal"]

_FIRST_SECONDS: Final = 1.0
_MOST_DOUBLINGS: Final = 16

#: A number from 0 up to but not including 1.
Random = Callable[[], float]


def back_off(attempts: int, cap_seconds: float, random: Random, at_least: int | None = None) -> int:
    """Milliseconds to wait after `attempts` earlier failures of the same thing.

    Doubles from 1 s up to the cap; between half and all of that, so that many nodes that failed together do
    not come back together. Never under `at_least` seconds (what Retry-After asked for).
    """
    seconds = min(cap_seconds, _FIRST_SECONDS * 2 ** min(attempts, _MOST_DOUBLINGS))
    return int(1000 * max(seconds * (0.5 + random() / 2), at_least or 0))


async def wait_for_signal(signal: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return when the signal is set, or after so many seconds of the clock, which sets it."""
    if signal.is_set():
        return
    timer = asyncio.create_task(clock.sleep(seconds))
    # The end of the time is a signal like any other: who waits looks for itself what there is to do.
    timer.add_done_callback(lambda done: None if done.cancelled() else signal.set())
    try:
        await signal.wait()
    finally:
        # Not awaited: a cancellation of the caller that came meanwhile would be lost in its own.
        timer.cancel()
