"""Reading for pages: the views, in threads of the console, each request through a connection of its own.

Pages, reports, what goes on by itself (exports, live parts) and what is made of what was read have threads of
their own, so that none of these keeps another waiting; who comes when a queue is full is told to come again
(`axis.console.lanes`). No query lasts longer than an answer is waited for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from threading import Event
from typing import Final, TypeVar, cast

from aiohttp import web

from axis.console.lanes import Lane
from axis.console.told import NotNow
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.views.projection import Views

__all__ = ["Reading"]

T = TypeVar("T")

_LONGEST_SECONDS: Final = 20.0
#: Steps of SQLite's machine between two looks at the clock: some milliseconds.
_STEPS: Final = 200_000
_LOOKS: Final = 40
_LOOK_SECONDS: Final = 0.05


class Reading:
    """Reads the views. No query lasts longer than `longest` seconds; it is ended with `unavailable`."""

    def __init__(self, views: Views, longest: float = _LONGEST_SECONDS) -> None:
        self._views, self._longest = views, longest
        # A page takes a tenth of a second as a rule: who is the last to wait waits for some seconds.
        self._pages = Lane("pages", 4, 128, "pages are being read")
        self._counting = Lane("count", 2, 8, "reports are being counted")
        # More than there may be of exports and streams (`axis.console.live`) together.
        self._following = Lane("follow", 2, 126, "exports and live pages are being read")
        self._making = Lane("make", 2, 128, "answers are being made")

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`: lets the threads go at the end."""
        yield
        for lane in (self._pages, self._counting, self._following, self._making):
            lane.close()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of the views. Refusal `unavailable` where they cannot be read now, or too many
        read them.
        """
        return await self._answer(self._pages.submit(lambda: self._read(work)))

    async def count(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for what may take seconds."""
        return await self._answer(self._counting.submit(lambda: self._read(work)))

    async def follow(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for what is read again and again while somebody looks."""
        return await self._answer(self._following.submit(lambda: self._read(work)))

    async def compute(self, work: Callable[[], T]) -> T:
        """Run what may take long (a large page, a large answer) beside the event loop."""
        return await asyncio.wrap_future(self._making.submit(work))

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
        """Part by part, as they are taken, however long that goes on; through one connection, which is closed
        at the end. The limit of time is for each part.
        """
        opened: list[sqlite3.Connection] = []
        made: Iterator[T] = iter(())
        gone = Event()

        def following() -> object:
            nonlocal made
            if not opened:
                opened.append(self._views.reader())
                made = parts(opened[0])
            self._limit(opened[0], gone)
            return next(made, _END)

        step: Future[object] | None = None
        try:
            while True:
                step = self._following.submit(following)
                part = await self._answer(step)
                if part is _END:
                    return
                yield cast("T", part)
        finally:
            gone.set()
            await asyncio.to_thread(_leave, step, opened)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with closing(self._views.reader()) as connection:
            self._limit(connection)
            return work(connection)

    def _limit(self, connection: sqlite3.Connection, gone: Event | None = None) -> None:
        """Interrupt what runs on a connection when its time is over, or nobody waits for it any more: also
        what is only about to run, which SQLite's own interrupt would miss.
        """
        end = time.monotonic() + self._longest
        connection.set_progress_handler(
            lambda: time.monotonic() > end or (gone is not None and gone.is_set()), _STEPS
        )

    @staticmethod
    async def _answer(future: Future[T]) -> T:
        try:
            return await asyncio.wrap_future(future)
        except sqlite3.Error as error:
            raise _not_now(error) from error


_END: Final = object()


def _leave(step: Future[object] | None, opened: list[sqlite3.Connection]) -> None:
    """Close what a step may still be reading through, once it has ended. Not in a thread of its lane."""
    if step is not None and not step.cancel():
        wait((step,))
    for connection in opened:
        connection.close()


def _not_now(error: sqlite3.Error) -> Refusal:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
        return NotNow("long", "counting this takes too long: ask for less", 30)
    if not isinstance(error, sqlite3.OperationalError):  # a damaged file is more than a busy one
        get_logger().error("views_unreadable", detail=f"{type(error).__name__}: {error}")
    return Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5)
