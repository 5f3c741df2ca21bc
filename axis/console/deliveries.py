"""`/deliveries`: what is in flight, the delivery that waits longest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from axis.console.api import json_answer
from axis.console.filters import only
from axis.console.paging import PAGING, limit_of
from axis.console.reading import Reading
from axis.console.shapes import deliveries as shapes
from axis.console.site import Site
from axis.console.told import Wrong
from axis.core.errors import Refusal
from axis.openapi import Parameter, Route
from axis.views.in_flight import in_flight
from axis.views.units import names_of

__all__ = ["Deliveries"]

#: Overdue: of documents accepted before today.
_WHICH: Final = ("all", "overdue")
_ASKED: Final = (
    Parameter("unit", "query", "addressed to exactly this unit, by any of its codes"),
    Parameter(
        "state",
        "query",
        "all, or those of documents accepted before today",
        {"enum": list(_WHICH), "default": "all"},
    ),
    *PAGING,
)

_Found = tuple[list[dict[str, Any]], str | None, dict[str, str]]


class Deliveries:
    """The page and its twin."""

    def __init__(self, site: Site, reading: Reading, now: Callable[[], int]) -> None:
        self._site, self._reading, self._now = site, reading, now

    def twins(self) -> tuple[Route, ...]:
        """What is served to programs."""
        return (
            Route(
                "GET",
                "/api/v1/deliveries",
                self.twin,
                "Deliveries of documents that have no outcome yet, the one that waits longest first.",
                shapes.Deliveries,
                parameters=_ASKED,
                codes=("field_invalid", "unavailable"),
            ),
        )

    async def page(self, request: web.Request) -> web.Response:
        """One page of them; what is wrong with the filter is said above an empty one."""
        given, problem = dict(request.query), None
        found: _Found = ([], None, {})
        try:
            found = await self._found(request.query)
        except Refusal as refusal:
            if refusal.name != "field_invalid":
                raise
            problem = refusal
        rows, following, names = found
        return self._site.page(
            request,
            "deliveries",
            status=422 if problem else 200,
            given=given,
            rows=rows,
            following=following,
            names=names,
            states=_WHICH,
            problem=problem,
            now=self._now(),
        )

    async def twin(self, request: web.Request) -> web.Response:
        """{"deliveries": […], "next": cursor or null}."""
        rows, following, _ = await self._found(request.query)
        return json_answer({"deliveries": rows, "next": following})

    async def _found(self, query: Mapping[str, str]) -> _Found:
        only(query, [each.name for each in _ASKED])
        state = query.get("state", "").strip() or "all"
        if state not in _WHICH:
            raise Wrong("state", "one_of", known=", ".join(_WHICH))
        unit, limit, now = query.get("unit", "").strip() or None, limit_of(query), self._now()

        def read(views: sqlite3.Connection) -> _Found:
            rows, following = in_flight(
                views, now, unit=unit, overdue=state == "overdue", after=query.get("after", ""), limit=limit
            )
            return rows, following, names_of(views, {row[side] for row in rows for side in ("from", "to")})

        return await self._reading.count(read)
