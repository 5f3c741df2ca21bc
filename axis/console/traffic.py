"""Every event of the journal as it comes."""

from __future__ import annotations

from aiohttp import web

from axis.console.live import Live
from axis.console.reading import Reading
from axis.console.site import Site
from axis.core.errors import Refusal
from axis.views.traffic import Filter, traffic

__all__ = ["Traffic"]

_AT_ONCE = 200


class Traffic:
    """`/traffic`, and what is new of it."""

    def __init__(self, site: Site, reading: Reading, live: Live) -> None:
        self._site, self._reading, self._live = site, reading, live

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Rows beyond `after`, newest first, as they come."""
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 20):
            raise Refusal("field_invalid", "after: a sequence is expected")

        async def newer(seen: int) -> tuple[str, int]:
            lines = await self._reading.read(lambda views: traffic(views, Filter(limit=_AT_ONCE, after=seen)))
            if not lines:
                return "", seen
            html = self._site.fragment(request, "traffic_rows", lines=lines[::-1])
            return html, int(str(lines[-1]["sequence"]))

        return await self._live.stream(request, "rows", int(after), newer)
