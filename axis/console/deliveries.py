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
from axis.views.file import snapshot
from axis.views.in_flight import in_flight, owing
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

#: The twin's answer, and the names of the units in it.
_Found = tuple[dict[str, Any], dict[str, str]]
_NOTHING: Final[_Found] = ({"owing": [], "deliveries": [], "next": None}, {})


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
        found, names = _NOTHING
        try:
            found, names = await self._found(request.query)
        except Refusal as refusal:
            if refusal.name != "field_invalid":
                raise
            problem = refusal
        return self._site.page(
            request,
            "deliveries",
            status=422 if problem else 200,
            given=given,
            found=found,
            names=names,
            states=_WHICH,
            problem=problem,
            now=self._now(),
        )

    async def twin(self, request: web.Request) -> web.Response:
        """{"owing": […], "deliveries": […], "next": cursor or null}."""
        found, _ = await self._found(request.query)
        return json_answer(found)

    async def _found(self, query: Mapping[str, str]) -> _Found:
        only(query, [each.name for each in _ASKED])
        state = query.get("state", "").strip() or "all"
        if state not in _WHICH:
            raise Wrong("state", "one_of", known=", ".join(_WHICH))
        unit, after = query.get("unit", "").strip() or None, query.get("after", "")
        limit, now = limit_of(query), self._now()

        def read(views: sqlite3.Connection) -> _Found:
            with snapshot(views):
                owes = owing(views, now) if unit is None and not after else []
                rows, following = in_flight(
                    views, now, unit=unit, overdue=state == "overdue", after=after, limit=limit
                )
                named = {row[side] for row in rows for side in ("from", "to")}
                return {"owing": owes, "deliveries": rows, "next": following}, names_of(views, named)

        return await self._reading.count(read)
