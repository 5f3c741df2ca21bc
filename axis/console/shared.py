"""What is costly to make and the same for everybody who asks: made once at a time, for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

__all__ = ["Shared"]

T = TypeVar("T")

#: Between two beginnings passes this many times what the last one took: at most a quarter of one thread.
_SHARE: Final = 4


class Shared(Generic[T]):
    """Makes a value for all who ask in the meantime.

    `make` is never run twice at once, and not again before `_SHARE` times what it last took has passed since
    it began, or `pause` seconds, whichever is less. Use it in one event loop.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], pause: float) -> None:
        self._make, self._pause = make, pause
        self._made: list[T] = []
        self._begun = self._took = 0.0
        self._making: asyncio.Task[T] | None = None

    async def get(self, fits: Callable[[T], bool]) -> T:
        """The last value if it fits; else the one that is being made, if that does; else one that was begun
        after the call. Raises what `make` raises; who gives up waiting stops nobody else.
        """
        if self._made and fits(self._made[0]):
            return self._made[0]
        value = await self._next()
        return value if fits(value) else await self._next()

    def _next(self) -> Awaitable[T]:
        if self._making is None:
            self._making = asyncio.create_task(self._run())
            self._making.add_done_callback(self._ended)
        return asyncio.shield(self._making)

    async def _run(self) -> T:
        loop = asyncio.get_running_loop()
        rest = min(self._pause, self._took * _SHARE)
        await asyncio.sleep(max(0.0, self._begun + rest - loop.time()) if self._made else 0)
        self._begun = loop.time()
        value = await self._make()
        self._took = loop.time() - self._begun
        self._made = [value]
        return value

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._making = None
        if not task.cancelled():
            task.exception()  # known to those who waited; there may be none left
