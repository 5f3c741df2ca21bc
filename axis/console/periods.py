"""Which period a page is asked for: `period=2026-11`, `2026-Q4`, `2026` or `all`, or `from` and `until`.

A range has a name too, as a form sends it: `2026-11-01..2026-11-15`. Without any it is the month that is
running, since volumes are published by month. What the API calls `month`, `quarter` and `year` is
understood too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from aiohttp import web

from axis.console.filters import only
from axis.console.shown import dated
from axis.console.told import Wrong
from axis.console.words import Language, Translate
from axis.core.errors import Refusal
from axis.core.periods import EVER, Days, chosen, days_of
from axis.core.volumes import local_month
from axis.openapi import Parameter

__all__ = ["ALL", "PERIOD", "Asked", "asked", "choices", "written"]

ALL: Final = "all"
#: How a period is asked for: by its name, or by one of the others.
PERIOD: Final = (
    Parameter("period", "query", "2026-11, 2026-Q4, 2026, 2026-11-01..2026-11-15 or all"),
    Parameter("month", "query", "YYYY-MM"),
    Parameter("quarter", "query", "YYYY-Qn"),
    Parameter("year", "query", "YYYY"),
    Parameter("from", "query", "the first day, YYYY-MM-DD"),
    Parameter("until", "query", "the last day, counted too"),
)
_NAMES: Final = frozenset(parameter.name for parameter in PERIOD)
_GIVEN: Final = _NAMES - {"period"}
_NAMED: Final = ("month", "quarter", "year")
#: Between the days of a range.
_TO: Final = ".."
_MONTHS: Final = 24
_QUARTERS: Final = 8
_YEARS: Final = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A period: its days, its name (empty for a range of days), and the query that asks for it again."""

    days: Days
    name: str
    query: dict[str, str]

    @property
    def first(self) -> str:
        """For a form's field: empty where there is no first day."""
        return self.query.get("from", "")

    @property
    def last(self) -> str:
        """For a form's field."""
        return self.query.get("until", "")


def asked(request: web.Request, now: int, *, others: Collection[str] = (), default: str = "") -> Asked:
    """The period of a request, whose query holds but that and `others`; `default` instead of this month.

    Refusal `field_invalid` says what is wrong with it.
    """
    only(request.query, _NAMES.union(others))
    # A form sends its empty fields too.
    wanted = {each: text for each, text in request.query.items() if text}
    name = wanted.get("period")
    given = {each: text for each, text in wanted.items() if each in _GIVEN}
    if name is not None and _TO in name and not given:
        ends = zip(("from", "until"), name.split(_TO, 1), strict=True)
        given = {each: day for each, day in ends if day}
        name = None if given else name
    if not given:
        name = name or default or local_month(now)
        try:
            days = EVER if name == ALL else days_of(name)
        except Refusal as refusal:
            raise Wrong("period", "period", detail=refusal.detail, given=name[:40]) from refusal
        return Asked(days, name, {"period": name})
    if name is not None:
        raise Wrong("period", "together", others=", ".join(sorted(given)))
    for each, text in given.items():
        _chosen({each: text}, each, each if each in _NAMED else "day")
    ranged = given.keys() <= {"from", "until"}
    days = _chosen(given, "until" if ranged else "period", "range" if ranged else "one_period")
    named = next((given[each] for each in _NAMED if each in given), "")
    return Asked(days, named, {"period": named} if named else given)


def _chosen(given: Mapping[str, str], field: str, word: str) -> Days:
    """Their days; what is wrong with them is wrong with `field`."""
    try:
        return chosen(
            month=given.get("month"),
            quarter=given.get("quarter"),
            year=given.get("year"),
            first=given.get("from"),
            last=given.get("until"),
        )
    except Refusal as refusal:
        raise Wrong(field, word, detail=refusal.detail, given=given.get(field, "")[:40]) from refusal


def written(say: Translate, language: Language, period: Asked) -> str:
    """A period as people write it."""
    if period.name:
        return say("period.all") if period.name == ALL else dated(period.name, language)
    return " – ".join(dated(day, language) or "…" for day in (period.first, period.last))


def choices(today: date) -> list[tuple[str, list[str]]]:
    """What a form offers: the last months, quarters and years, newest first."""
    month = today.year * 12 + today.month - 1
    quarter = month // 3
    return [
        ("month", [f"{at // 12}-{at % 12 + 1:02}" for at in range(month, month - _MONTHS, -1)]),
        ("quarter", [f"{at // 4}-Q{at % 4 + 1}" for at in range(quarter, quarter - _QUARTERS, -1)]),
        ("year", [str(at) for at in range(today.year, today.year - _YEARS, -1)]),
    ]
