"""An event loop without an outside: no file descriptors, no threads, no waiting.

Where a real loop would sleep until the next timer, this one sets its time there. So a simulated hour costs
nothing, and with all chance drawn from one seed a run is the same each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["SimulatedClock", "VirtualLoop", "run"]

T = TypeVar("T")

#: The simulated moment at which every loop begins, milliseconds since the epoch.
START = 1_795_000_000_000


class _Timers:
    """Stands for the selector: nothing ever comes from outside, so the next timer is what happens next."""

    def __init__(self) -> None:
        self.time = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation stands still: everybody waits, and for no time")
        self.time += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio with virtual time. `run_in_executor` runs at once, on the loop's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Timers()

    def time(self) -> float:
        """Seconds since the loop was made, of the simulated world."""
        return self._selector.time

    def run_in_executor(  # type: ignore[override]
        self, executor: object, function: Callable[..., T], *arguments: object
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, events: list[Any]) -> None:
        assert not events

    def _write_to_self(self) -> None:
        """Nobody else's thread has to wake this loop."""


class SimulatedClock:
    """ports.Clock by the running loop's virtual time. `ahead`: what the world's time has jumped, ms."""

    def __init__(self) -> None:
        self.ahead = 0

    def now(self) -> int:
        return START + self.ahead + round(asyncio.get_running_loop().time() * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own; whatever is still under way then is cancelled."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
