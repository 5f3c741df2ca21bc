"""What is new, as it comes: server-sent events of HTML that the pages' script puts in its place.

One look at the views serves everybody who waits. Streams are bounded; a browser that comes again says what it
has seen (`Last-Event-ID`, HTML standard, section 9.2).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from axis.console.reading import Reading
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.views.file import read_position

__all__ = ["Live"]

_LOOK_SECONDS: Final = 0.5
_STREAMS: Final = 64

#: Gives what is new beyond a sequence: HTML, or nothing, and the sequence that it reaches.
Newer = Callable[[int], Awaitable[tuple[str, int]]]


class Live:
    """Knows how far the views are, for streams."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._newest = 0
        self._moved = asyncio.Event()
        self._streams = 0
        self._wanted = asyncio.Event()

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`: look while somebody waits."""
        looking = asyncio.create_task(self._look(), name="console live")
        yield
        looking.cancel()
        await asyncio.wait({looking})

    async def _look(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                newest = await self._reading.read(_newest)
            except Refusal as refusal:
                get_logger().debug("views_not_read", detail=refusal.detail)
            else:
                if newest != self._newest:
                    self._newest = newest
                    moved, self._moved = self._moved, asyncio.Event()
                    moved.set()
            await asyncio.sleep(_LOOK_SECONDS)

    async def beyond(self, sequence: int) -> int:
        """The newest sequence, once it is beyond this one."""
        while self._newest <= sequence:
            await self._moved.wait()
        return self._newest

    async def stream(self, request: web.Request, name: str, after: int, newer: Newer) -> web.StreamResponse:
        """Send events `name` of what `newer` gives, until the browser goes. Refusal `unavailable` where
        there are too many streams.
        """
        if self._streams >= _STREAMS:
            raise Refusal("unavailable", "too many pages follow already", retry_after=30)
        seen = request.headers.get("Last-Event-ID", "")
        after = max(after, int(seen)) if seen.isascii() and seen.isdigit() and len(seen) < 20 else after
        self._streams += 1
        self._wanted.set()
        try:
            async with sse_response(request) as response:
                while response.is_connected():
                    await self.beyond(after)
                    html, after = await newer(after)
                    if html:
                        await response.send(html, event=name, id=str(after))
        except ConnectionResetError:
            pass
        finally:
            self._streams -= 1
            if not self._streams:
                self._wanted.clear()
        return response


def _newest(views: sqlite3.Connection) -> int:
    position = read_position(views)
    return position.head.sequence if position else 0
