"""Reading for pages: the views, in threads of the console, each request through a connection of its own.

What counts over all units takes long; it has fewer threads, so that it keeps nobody else waiting, and no work
lasts longer than an answer is waited for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Final, TypeVar, cast

from aiohttp import web

from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.views.projection import Views

__all__ = ["Reading"]

T = TypeVar("T")

_THREADS: Final = 4
#: Reports and charts that are counted at once, and that may wait for their turn.
_COUNTING: Final = 2
_WAITING: Final = 8
_LONGEST_SECONDS: Final = 20.0
#: Steps of SQLite's machine between two looks at the clock: some milliseconds.
_STEPS: Final = 200_000
_LOOKS: Final = 40
_LOOK_SECONDS: Final = 0.05


class Reading:
    """Reads the views. No query lasts longer than `longest` seconds; it is ended with `unavailable`."""

    def __init__(self, views: Views, longest: float = _LONGEST_SECONDS) -> None:
        self._views, self._longest = views, longest
        self._pool = ThreadPoolExecutor(_THREADS, "console")
        self._counters = ThreadPoolExecutor(_COUNTING, "console-count")
        self._counting: set[Future[object]] = set()

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`: lets the threads go at the end."""
        yield
        for pool in (self._pool, self._counters):
            pool.shutdown(wait=False, cancel_futures=True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of the views. Refusal `unavailable` where they cannot be read now."""
        return await self._answer(self._pool.submit(self._read, work))

    async def count(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for what may take seconds: `_COUNTING` at a time; Refusal `unavailable` where too many
        wait already. Who asked and went away holds a thread until the query ends, and no second one.
        """
        self._counting = {each for each in self._counting if not each.done()}
        if len(self._counting) >= _COUNTING + _WAITING:
            raise Refusal("unavailable", "too many reports are being counted", retry_after=10)
        future = self._counters.submit(self._read, work)
        self._counting.add(cast("Future[object]", future))
        return await self._answer(future)

    async def compute(self, work: Callable[[], T]) -> T:
        """Run what may take long (a large page, a large answer) beside the event loop."""
        return await asyncio.wrap_future(self._pool.submit(work))

    async def shown(self, look: Callable[[sqlite3.Connection], T], there: Callable[[T], bool]) -> None:
        """Wait a little, at most about two seconds, until `look` finds what was just done: `there` says so,
        in the event loop. So the page that follows an act shows it; views that cannot be read end the wait.
        """
        for _ in range(_LOOKS):
            try:
                if there(await self.read(look)):
                    return
            except Refusal:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def each(self, parts: Callable[[sqlite3.Connection], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Part by part, as they are taken; through one connection, which is closed at the end. The limit of
        time is for each part.
        """
        connection = await self._answer(self._pool.submit(self._views.reader))
        try:
            made = parts(connection)

            def following() -> object:
                self._limit(connection)
                return next(made, _END)

            while (part := await self._answer(self._pool.submit(following))) is not _END:
                yield cast("T", part)
        finally:
            # Not through the pool: it may be gone already when the last stream ends.
            await asyncio.to_thread(connection.close)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with closing(self._views.reader()) as connection:
            self._limit(connection)
            return work(connection)

    def _limit(self, connection: sqlite3.Connection) -> None:
        """Interrupt what runs on a connection when its time is over."""
        end = time.monotonic() + self._longest
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)

    @staticmethod
    async def _answer(future: Future[T]) -> T:
        try:
            return await asyncio.wrap_future(future)
        except sqlite3.Error as error:
            raise _not_now(error) from error


_END: Final = object()


def _not_now(error: sqlite3.Error) -> Refusal:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
        return Refusal("unavailable", "counting this takes too long: ask for less", retry_after=30)
    if not isinstance(error, sqlite3.OperationalError):  # a damaged file is more than a busy one
        get_logger().error("views_unreadable", detail=f"{type(error).__name__}: {error}")
    return Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5)
