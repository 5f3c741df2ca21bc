"""Reading for pages: the views, in a thread, each request through a connection of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from axis.core.errors import Refusal
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
        except sqlite3.OperationalError as error:
            raise Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5) from error
