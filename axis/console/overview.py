"""The first page: how the axis stands now."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from axis.console.reading import Reading
from axis.console.site import Site
from axis.views.traffic import Filter, traffic
from axis.views.volumes import Selection, volumes

__all__ = ["Overview"]

_RECENT: Final = 50
_COUNTS: Final = ("sent", "addressed", "received", "refused", "dead", "requeued", "in_flight", "late")


class Overview:
    """`/`."""

    def __init__(self, site: Site, reading: Reading, now: Callable[[], int]) -> None:
        self._site, self._reading, self._now = site, reading, now

    async def page(self, request: web.Request) -> web.Response:
        """Volumes and recent traffic."""
        month = request.query.get("month") or None
        selection = Selection(month=month)

        def read(views: sqlite3.Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
            return volumes(views, selection, self._now()), traffic(views, Filter(limit=_RECENT))

        counted, lines = await self._reading.read(read)
        newest = lines[-1]["sequence"] if lines else 0
        return self._site.page(
            request,
            "overview",
            volumes=counted,
            counts=_COUNTS,
            lines=lines[::-1],
            newest=newest,
            month=month,
        )
