"""What is new, as it comes: server-sent events of HTML that the pages' script puts in its place.

One look at the views serves everybody who waits. Streams are bounded, altogether and for each log-in, and end
within about a second of their reader's going and of the end of the log-in; a browser that comes again says
what it has seen (`Last-Event-ID`, HTML standard, section 9.2).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from axis.console.guard import GUARD
from axis.console.reading import Reading
from axis.console.roles import OPERATOR
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.views.file import read_position

__all__ = ["PER_LOG_IN", "Live"]

_LOOK_SECONDS: Final = 0.5
#: How soon a stream ends once nobody reads it, or may.
_AGAIN_SECONDS: Final = 1.0
#: For a reader that takes nothing.
_SEND_SECONDS: Final = 60.0
_STREAMS: Final = 64
#: More than a browser opens to one host at once (six, over HTTP/1.1).
PER_LOG_IN: Final = 8

#: Gives what is new beyond a sequence: HTML by the event's name, and the sequence that it reaches.
Newer = Callable[[int], Awaitable[tuple[Mapping[str, str], int]]]
#: Waits a second or less, and gives what is to be sent now, if anything: HTML by the event's name, their id.
_Step = Callable[[], Awaitable[tuple[Mapping[str, str], str | None]]]
_NOTHING: Final[tuple[Mapping[str, str], str | None]] = ({}, None)


class Live:
    """Knows how far the views are, for streams."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._newest = 0
        self._moved = asyncio.Event()
        self._streams: Counter[str] = Counter()
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
                newest = await self._reading.follow(_newest)
            except Refusal as refusal:
                get_logger().debug("views_not_read", detail=refusal.detail)
            else:
                if newest != self._newest:
                    self._newest = newest
                    moved, self._moved = self._moved, asyncio.Event()
                    moved.set()
            await asyncio.sleep(_LOOK_SECONDS)

    async def stream(self, request: web.Request, after: int, newer: Newer) -> web.StreamResponse:
        """Send what `newer` gives, until the browser goes or its log-in ends.

        Refusal `unavailable` where there are too many streams.
        """
        seen = request.headers.get("Last-Event-ID", "")
        after = max(after, int(seen)) if seen.isascii() and seen.isdigit() and len(seen) < 20 else after

        async def step() -> tuple[Mapping[str, str], str | None]:
            nonlocal after
            if not await self._moved_beyond(after):
                return _NOTHING
            events, reached = await newer(after)
            if reached <= after:  # never at once again for nothing
                await asyncio.sleep(_LOOK_SECONDS)
            # Views that are built anew begin at 0: what was seen is not sent again.
            after = max(after, reached)
            return events, str(after)

        return await self._send(request, step)

    async def watch(self, request: web.Request, look: Callable[[], Awaitable[str]]) -> web.StreamResponse:
        """Send what `look` gives as the event `part`, whenever that is not what it gave a second before: for
        what no journal tells of. Ends and refuses as `stream` does.
        """
        shown = ""

        async def step() -> tuple[Mapping[str, str], str | None]:
            nonlocal shown
            found = await look()
            if found == shown:
                await asyncio.sleep(_AGAIN_SECONDS)
                return _NOTHING
            shown = found
            return {"part": found}, None

        return await self._send(request, step)

    async def _send(self, request: web.Request, step: _Step) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()  # for a reader that went before it began
        with self._counted(request):
            try:
                async with sse_response(request) as response:
                    while _goes_on(request):
                        events, reached = await step()
                        if not _goes_on(request):
                            break
                        for name, html in events.items():
                            async with asyncio.timeout(_SEND_SECONDS):
                                await response.send(html, event=name, id=reached)
            except (ConnectionResetError, TimeoutError, Refusal) as error:
                get_logger().debug("stream_ended", detail=str(error))
                if request.transport is not None:
                    request.transport.abort()
            return response

    @contextmanager
    def _counted(self, request: web.Request) -> Iterator[None]:
        """A stream's place among all, and among those of its log-in."""
        operator = request[OPERATOR]
        whose = operator.csrf or operator.name
        if self._streams.total() >= _STREAMS or self._streams[whose] >= PER_LOG_IN:
            raise Refusal("unavailable", "too many pages follow already", retry_after=30)
        self._streams[whose] += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._streams[whose] -= 1
            self._streams += Counter()  # without those that have none
            if not self._streams:
                self._wanted.clear()

    async def _moved_beyond(self, sequence: int) -> bool:
        """Whether the views are beyond a sequence; waits for it a little."""
        if self._newest <= sequence:
            try:
                await asyncio.wait_for(self._moved.wait(), _AGAIN_SECONDS)
            except TimeoutError:
                return False
        return self._newest > sequence


def _goes_on(request: web.Request) -> bool:
    """Whether somebody reads a stream who still may."""
    transport = request.transport
    return transport is not None and not transport.is_closing() and request.app[GUARD].holds(request)


def _newest(views: sqlite3.Connection) -> int:
    position = read_position(views)
    return position.head.sequence if position else 0
