"""Volumes day by day or month by month, without a gap: what a chart of time and the table beside it show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final, Literal

from axis.core.volumes import local_day
from axis.views.volumes import FIELDS, Selection, volumes

__all__ = ["by_period"]

#: Beyond so many days a row is a month.
_DAYS_SHOWN: Final = 62
#: So many months before the last one are shown though nothing happened in them: twenty years.
_EMPTY_MONTHS: Final = 240

_By = Literal["day", "month"]
_Row = dict[str, Any]


def by_period(views: sqlite3.Connection, selection: Selection, now: int) -> dict[str, Any]:
    """Volumes of a selection by day, or by month where that would be too many rows, with `by`.

    From the first to the last of the selection's days, at most until today; a day or month in which nothing
    happened is a row too, unless nothing happened at all.
    """
    first, last = selection.days
    today = local_day(now)
    try:
        days = (date.fromisoformat(min(last, today)) - date.fromisoformat(first)).days
    except ValueError:  # from the beginning, or to a 31st that there is not
        days = 31 if first and first[:7] == last[:7] else _DAYS_SHOWN
    by: _By = "day" if days < _DAYS_SHOWN else "month"
    answer = volumes(views, Selection(by=by, subtree=selection.subtree, days=selection.days), now)
    rows: Any = answer["rows"]
    return {**answer, "by": by, "rows": list(_without_gaps(rows, by, first, min(last, today)))}


def _without_gaps(rows: list[_Row], by: _By, first: str, last: str) -> Iterator[_Row]:
    if not rows:
        return
    known = {row["period"]: row for row in rows}
    in_flight = rows[0]["in_flight_before"]
    periods = _days if by == "day" else _months
    for period in periods(first, rows[0]["period"], max(last, rows[-1]["period"])):
        row = known.get(period)
        if row is None:
            nothing = dict.fromkeys(FIELDS, 0)
            row = {"period": period, **nothing, "in_flight_before": in_flight, "in_flight": in_flight}
        in_flight = row["in_flight"]
        yield row


def _days(first: str, found: str, last: str) -> Iterator[str]:
    """Days from `first`, of which `found` is one; `last` may be a 31st that there is not."""
    at = date.fromisoformat(min(first or found, found))
    while (day := at.isoformat()) <= last:
        yield day
        if at == date.max:
            return
        at += timedelta(1)


def _months(first: str, found: str, last: str) -> Iterator[str]:
    """Months from `first`, but of empty ones before `found` no more than are looked at."""
    begin, known, end = (int(day[:4]) * 12 + int(day[5:7]) - 1 for day in (first or found, found, last))
    for month in range(min(known, max(begin, end - _EMPTY_MONTHS)), end + 1):
        yield f"{month // 12:04}-{month % 12 + 1:02}"
