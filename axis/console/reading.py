"""Reading for pages: the views, in a thread, each request through a connection of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from typing import Final, TypeVar, cast

from axis.core.errors import Refusal
from axis.views.projection import Views

__all__ = ["Reading"]

T = TypeVar("T")

_LOOKS: Final = 40
_LOOK_SECONDS: Final = 0.05


class Reading:
    """Reads the views."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of the views. Refusal `unavailable` where they cannot be read now."""

        def run() -> T:
            with closing(self._views.reader()) as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(run)
        except sqlite3.OperationalError as error:
            raise _not_now(error) from error

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
        """Part by part, as they are taken; through one connection, which is closed at the end."""
        connection = await asyncio.to_thread(self._views.reader)
        try:
            made = parts(connection)
            while (part := await asyncio.to_thread(next, made, _END)) is not _END:
                yield cast("T", part)
        except sqlite3.OperationalError as error:
            raise _not_now(error) from error
        finally:
            await asyncio.to_thread(connection.close)


_END: Final = object()


def _not_now(error: sqlite3.OperationalError) -> Refusal:
    return Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5)
