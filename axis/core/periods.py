"""Periods that volumes are asked for: months, quarters, years and ranges of days, by Vietnam's calendar.

Decision 28/2018/QĐ-TTg, article 15: the Office of the Government reports quarterly.
"""

from __future__ import annotations

import re
from typing import Final

from axis.core.errors import Refusal
from axis.core.volumes import day_bounds, month_bounds

__all__ = ["EVER", "Days", "chosen", "days_of"]

#: First and last day, `YYYY-MM-DD`, both included. Days compare as text.
Days = tuple[str, str]

#: From the beginning to the end; no day comes before `""`.
EVER: Final[Days] = ("", "9999-12-31")

_QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)
_YEAR: Final = re.compile(r"[1-9]\d{3}", re.ASCII)


def days_of(period: str) -> Days:
    """The days of `2026-11`, `2026-Q4` or `2026`; Refusal `field_invalid`."""
    if quarter := _QUARTER.fullmatch(period):
        year, last = quarter[1], 3 * int(quarter[2])
        _check_year(year)
        return f"{year}-{last - 2:02}-01", f"{year}-{last:02}-31"
    if _YEAR.fullmatch(period):
        return f"{period}-01-01", f"{period}-12-31"
    month_bounds(period)
    return f"{period}-01", f"{period}-31"


def chosen(
    *,
    month: str | None = None,
    quarter: str | None = None,
    year: str | None = None,
    first: str | None = None,
    last: str | None = None,
) -> Days:
    """The days of the one period that is given; all there are if none is.

    Raises Refusal `field_invalid` for a period that is none, for two at once and for a range that ends
    before it begins.
    """
    named = {name: text for name, text in (("month", month), ("quarter", quarter), ("year", year)) if text}
    ranged = first is not None or last is not None
    if len(named) + ranged > 1:
        raise Refusal("field_invalid", "month, quarter, year, or from and until: one of them is enough")
    if month is not None:
        month_bounds(month)
    if quarter is not None and not _QUARTER.fullmatch(quarter):
        raise Refusal("field_invalid", f"quarter: {quarter[:60]!r} is not YYYY-Q1 to YYYY-Q4")
    if year is not None and not _YEAR.fullmatch(year):
        raise Refusal("field_invalid", f"year: {year[:60]!r} is not YYYY")
    for text in named.values():
        return days_of(text)
    for day in (first, last):
        if day is not None:
            day_bounds(day)
    days = (EVER[0] if first is None else first, EVER[1] if last is None else last)
    if days[0] > days[1]:
        raise Refusal("field_invalid", f"until: {days[1]} is before {days[0]}")
    return days


def _check_year(year: str) -> None:
    if not _YEAR.fullmatch(year):
        raise Refusal("field_invalid", f"year: {year!r} is not YYYY")
