"""Threads with a queue that ends: work of one kind keeps no other kind waiting, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, cast

from axis.console.told import NotNow

__all__ = ["Lane"]

T = TypeVar("T")

_AGAIN_SECONDS: Final = 10


class Lane:
    """`threads` at work, `waiting` more in the order in which they came. `what` is said of one too many.

    Who asked and went away leaves a thread at work until that ends, and holds none if it had not begun.
    """

    def __init__(self, name: str, threads: int, waiting: int, what: str) -> None:
        self._pool = ThreadPoolExecutor(threads, f"console-{name}")
        self._most, self._what = threads + waiting, what
        self._under_way: set[Future[object]] = set()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have work done in its turn; Refusal `unavailable` where too much waits already. From one thread."""
        self._under_way = {each for each in self._under_way if not each.done()}
        if len(self._under_way) >= self._most:
            raise NotNow("full", f"too many {self._what}", _AGAIN_SECONDS)
        future = self._pool.submit(work)
        self._under_way.add(cast("Future[object]", future))
        return future

    def close(self) -> None:
        """Let the threads go when what they do is done; nothing else is begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
