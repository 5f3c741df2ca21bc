"""Volumes of units: the tree level by level, ranked, for any period."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date
from itertools import groupby
from typing import Any, Final

from aiohttp import web

from axis.console.api import json_answer
from axis.console.filters import SUBTREE
from axis.console.over_time import by_period
from axis.console.paging import part_of
from axis.console.periods import PERIOD, Asked, asked, choices
from axis.console.reading import Reading
from axis.console.shapes import units as shapes
from axis.console.shapes.volumes import Branches
from axis.console.site import Site
from axis.console.told import Wrong
from axis.core.errors import Refusal
from axis.core.volumes import local_day
from axis.openapi import Parameter, Route
from axis.views.file import snapshot
from axis.views.queries import query
from axis.views.traffic import parties
from axis.views.unit import unit
from axis.views.units import GROUPS, branches, names_of
from axis.views.volumes import Selection

__all__ = ["COLUMNS", "SERIES", "Units"]

_UNIT: Final = Parameter("code", "path", "the unit's code, any that it has or had")

#: What the table shows of each unit, and may be sorted by.
COLUMNS: Final = (
    "sent", "received", "refused", "in_flight", "late", "on_time", "bytes_sent", "bytes_received",
)  # fmt: skip
#: What the table over time shows.
SERIES: Final = ("sent", "addressed", "received", "refused", "dead", "in_flight", "late")
_SORTABLE: Final = ("rank", "code", "name", *COLUMNS)


class Units:
    """`/units` and its twin."""

    def __init__(
        self,
        site: Site,
        reading: Reading,
        now: Callable[[], int],
        contacts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._site, self._reading, self._now, self._contacts = site, reading, now, contacts

    def twins(self) -> tuple[Route, ...]:
        """What is served to programs."""
        return (
            Route(
                "GET",
                "/api/v1/units",
                self.twin,
                "Branches of units, level by level, ranked by receipts on time. No period: this month.",
                Branches,
                parameters=(*PERIOD, SUBTREE),
                codes=("field_invalid", "unavailable"),
            ),
            Route(
                "GET",
                "/api/v1/units/{code}",
                self.one_twin,
                "One unit: volumes, hours, partners, certificates, recent documents. No period: this month.",
                shapes.Unit,
                parameters=(_UNIT, *PERIOD),
                codes=("field_invalid", "unavailable", "unit_unknown"),
            ),
        )

    async def page(self, request: web.Request) -> web.Response:
        """A table for each group of units, sorted as the query says; and how volumes went over the period."""
        now = self._now()
        period = asked(request, now, others=("subtree", "sort", "order", "row"))
        subtree = request.query.get("subtree") or None
        selection = Selection(subtree=subtree, days=period.days)
        column, falling = _order(request)

        def read(views: sqlite3.Connection) -> tuple[dict[str, Any], dict[str, Any]]:
            return branches(views, selection, now), by_period(views, selection, now)

        counted, over_time = await self._reading.count(read)
        rows = _sorted(counted["rows"], column, falling)
        # Group by group, as they stand on the page, which may end within one.
        ordered = [(group, row) for group, members in _grouped(rows, counted["path"]) for row in members]
        part = part_of(request, "row", ordered)
        groups = [(group, [row for _, row in some]) for group, some in groupby(part.rows, lambda one: one[0])]
        values: dict[str, Any] = {
            "counted": counted,
            "part": part,
            "groups": groups,
            "over_time": over_time,
            "columns": COLUMNS,
            "series": SERIES,
            "column": column,
            "falling": falling,
            "period": period,
            "choices": choices(date.fromisoformat(local_day(now))),
            "subtree": subtree,
            "query": _query(period, subtree),
        }
        return await self._reading.compute(lambda: self._site.page(request, "units", **values))

    async def twin(self, request: web.Request) -> web.Response:
        """The same branches as JSON."""
        now = self._now()
        days = asked(request, now, others=("subtree",)).days
        selection = Selection(subtree=request.query.get("subtree") or None, days=days)
        found = await self._reading.count(lambda views: branches(views, selection, now))
        return await self._reading.compute(lambda: json_answer(found))

    async def one(self, request: web.Request) -> web.Response:
        """The page of a unit, by any of its codes; 404 in words for a code that nobody has."""
        now = self._now()
        period = asked(request, now, others=("row",))
        found, over_time = await self._found(request, period, now)
        values: dict[str, Any] = {
            "unit": found,
            "names": await self._reading.read(lambda views: names_of(views, parties(found["recent"]))),
            "part": part_of(request, "row", found["children"]),
            "over_time": over_time,
            "columns": COLUMNS,
            "series": SERIES,
            "period": period,
            "choices": choices(date.fromisoformat(local_day(now))),
            "query": _query(period, found["code"]),
        }
        return await self._reading.compute(lambda: self._site.page(request, "unit", **values))

    async def one_twin(self, request: web.Request) -> web.Response:
        """The same as JSON."""
        now = self._now()
        found, _ = await self._found(request, asked(request, now), now)
        return await self._reading.compute(lambda: json_answer(found))

    async def _found(
        self, request: web.Request, period: Asked, now: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The unit, and its volumes over the period: of one head."""
        code, contacts = request.match_info["code"], dict(self._contacts())

        def read(views: sqlite3.Connection) -> tuple[dict[str, Any], dict[str, Any]] | None:
            with snapshot(views):
                if views.execute(query("resolve_unit"), {"code": code}).fetchone() is None:
                    return None
                found = unit(views, code, Selection(days=period.days), now, contacts)
                below = Selection(subtree=found["code"], days=period.days)
                return found, by_period(views, below, now)

        found = await self._reading.count(read)
        if found is None:
            raise Refusal("unit_unknown", f"{code[:60]!r} is no registered unit's code")
        return found


def _order(request: web.Request) -> tuple[str, bool]:
    # The founding documents ask who sends, and how much: whoever sent most comes first.
    column = request.query.get("sort") or "sent"
    if column not in _SORTABLE:
        raise Wrong("sort", "one_of", known=", ".join(_SORTABLE))
    order = request.query.get("order") or ("asc" if request.query.get("sort") else "desc")
    if order not in {"asc", "desc"}:
        raise Wrong("order", "one_of", known="asc, desc")
    return column, order == "desc"


def _sorted(rows: list[dict[str, Any]], column: str, falling: bool) -> list[dict[str, Any]]:
    """Units without a value come last either way."""
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: row[column], reverse=falling)
    return known + [row for row in rows if row[column] is None]


def _grouped(
    rows: list[dict[str, Any]], path: list[dict[str, str]]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """(name of the group, its rows); below a unit there is one group, after the unit itself alone."""
    if not path:
        groups = [(group, [row for row in rows if row["group"] == group]) for group in GROUPS]
        return [(group, members) for group, members in groups if members]
    root = path[-1]["code"]
    return [("below", sorted(rows, key=lambda row: row["code"] != root))]


def _query(period: Asked, subtree: str | None) -> dict[str, str]:
    """What leads to the same period and unit elsewhere."""
    return period.query | ({"subtree": subtree} if subtree else {})
