"""The first page: how the axis stands now, renewed as events come."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from axis.console.api import json_answer
from axis.console.filters import filter_of, only
from axis.console.live import Live
from axis.console.reading import Reading
from axis.console.shapes import volumes as shapes
from axis.console.shared import Shared
from axis.console.site import Site
from axis.openapi import Route
from axis.views.file import Position, read_position, snapshot
from axis.views.minutes import Minutes
from axis.views.overview import connected, overview
from axis.views.traffic import Filter, Line, page, parties, traffic
from axis.views.units import names_of

__all__ = ["Overview"]

_RECENT: Final = 20
#: How old figures may be where nothing has happened since, in milliseconds.
_SERVED: Final = 1000
#: Further ahead than this, and the clock was set back.
_AHEAD: Final = 60_000
#: Computed no more often, where they are costly.
_PAUSE_SECONDS: Final = 1.0


class Overview:
    """`/`, its figures as they change, and its twin."""

    def __init__(
        self,
        site: Site,
        reading: Reading,
        live: Live,
        now: Callable[[], int],
        contacts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._site, self._reading, self._live = site, reading, live
        self._now, self._contacts = now, contacts
        self._minutes = Minutes()
        self._figures = Shared(self._compute, _PAUSE_SECONDS)

    def twins(self) -> tuple[Route, ...]:
        """What is served to programs."""
        summary = "How the axis stands now: totals, what waits, is late, refused or expiring."
        return (
            Route(
                "GET",
                "/api/v1/overview",
                self.twin,
                summary,
                shapes.Overview,
                codes=("field_invalid", "unavailable"),
            ),
        )

    async def page(self, request: web.Request) -> web.Response:
        """Figures, the last hour, the last days, recent traffic."""
        only(request.query, ())
        figures = await self.found()

        def read(views: sqlite3.Connection) -> tuple[list[Line], dict[str, str]]:
            lines = traffic(views, Filter(limit=_RECENT))
            return lines[::-1], _names(views, lines, figures)

        lines, names = await self._reading.read(read)
        return self._site.page(request, "overview", figures=figures, lines=lines, names=names, recent=_RECENT)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """The figures, the charts with their tables and the newest rows, whenever there are events beyond
        `after`.

        One stream for all: a browser has six connections to a host for all its pages (HTTP/1.1).
        """

        only(request.query, ("after",))

        async def newer(seen: int) -> tuple[dict[str, str], int]:
            figures = await self.found()
            wanted = Filter(after=seen, before=figures["sequence"] + 1, limit=_RECENT)

            def read(views: sqlite3.Connection) -> tuple[list[Line], dict[str, str]]:
                lines = page(views, wanted).lines
                return lines, _names(views, lines, figures)

            lines, names = await self._reading.follow(read)
            return {
                "part": self._site.fragment(request, "overview_figures", figures=figures, names=names),
                "charts": self._site.fragment(request, "overview_charts", figures=figures),
                "rows": self._site.fragment(request, "traffic_rows", lines=lines, names=names),
            }, figures["sequence"]

        return await self._live.stream(request, filter_of(request.query).after, newer)

    async def twin(self, request: web.Request) -> web.Response:
        """The same as JSON."""
        only(request.query, ())
        return json_answer(await self.found())

    async def found(self) -> dict[str, Any]:
        """The figures at the head of now, at most a second old; computed once for all who ask meanwhile."""
        now = self._now()
        position = await self._reading.read(read_position)

        def fits(made: tuple[int, Position | None, dict[str, Any]]) -> bool:
            at, known, _ = made
            if position is None or known is None or not -_SERVED < at - now < _AHEAD:
                return False
            return known.journal_id == position.journal_id and known.sequence >= position.sequence

        _, _, figures = await self._figures.get(fits)
        nodes = {**figures["nodes"], "connected": connected(self._contacts(), now)}
        return {**figures, "nodes": nodes}

    async def _compute(self) -> tuple[int, Position | None, dict[str, Any]]:
        now, contacts = self._now(), dict(self._contacts())

        def read(views: sqlite3.Connection) -> tuple[int, Position | None, dict[str, Any]]:
            with snapshot(views):
                return now, read_position(views), overview(views, now, self._minutes, contacts)

        return await self._reading.read(read)


def _names(views: sqlite3.Connection, lines: list[Line], figures: Mapping[str, Any]) -> dict[str, str]:
    """Of all units that the page names by their codes."""
    return names_of(views, parties(lines) | {each["organisation"] for each in figures["certificates"]})
