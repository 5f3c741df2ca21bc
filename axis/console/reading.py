"""Reading for pages: the views, in a thread, each request through a connection of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from typing import Final, TypeVar, cast

from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.views.projection import Views

__all__ = ["Reading"]

T = TypeVar("T")


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
        except sqlite3.Error as error:
            raise _not_now(error) from error

    async def each(self, parts: Callable[[sqlite3.Connection], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Part by part, as they are taken; through one connection, which is closed at the end."""
        try:
            connection = await asyncio.to_thread(self._views.reader)
        except sqlite3.Error as error:
            raise _not_now(error) from error
        try:
            made = parts(connection)
            while (part := await asyncio.to_thread(next, made, _END)) is not _END:
                yield cast("T", part)
        except sqlite3.Error as error:
            raise _not_now(error) from error
        finally:
            await asyncio.to_thread(connection.close)


_END: Final = object()


def _not_now(error: sqlite3.Error) -> Refusal:
    if not isinstance(error, sqlite3.OperationalError):  # a damaged file is more than a busy one
        get_logger().error("views_unreadable", detail=f"{type(error).__name__}: {error}")
    return Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5)
