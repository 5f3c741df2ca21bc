"""How a period is read: whole months from what is kept by the month, what is left of others day by day.

So volumes cost what the period holds, not what came before it. Pure: nothing is read here.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import asdict, dataclass

from axis.core.periods import Days

__all__ = ["Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """A period's parts, all bounds included; None where there is no such part.

    `first_month` to `last_month` are whole; before them come `first` to `early`, after them `late` to
    `last`. What is in flight when the period begins is what was at the beginning of `month`, and what came of
    the days from `since` until before `first`.
    """

    first: str
    last: str
    month: str
    since: str | None
    early: str | None
    first_month: str | None
    last_month: str | None
    late: str | None

    @classmethod
    def of(cls, days: Days, *, by_day: bool = False) -> Span:
        """The parts of these days; with `by_day` no month is taken as a whole."""
        first, last = days
        month = first[:7]
        begins = not first or first.endswith("-01")  # with a month
        ends = int(last[8:]) >= _length(last)  # also on a 31st that there is not
        since = None if begins else f"{month}-01"
        low = 0 if not first else _number(first) + (not begins)
        high = _number(last) - (not ends)
        if by_day or low > high:
            return cls(first, last, month, since, last, None, None, None)
        early = None if begins else f"{month}-{_length(first)}"
        late = None if ends else f"{last[:7]}-01"
        return cls(first, last, month, since, early, _name(low), _name(high), late)

    def parameters(self) -> dict[str, str | None]:
        """For queries with `parts`, and others that name them."""
        return asdict(self)

    def odd_days(self) -> list[Days]:
        """First and last day of each part that is no whole month."""
        parts = ((self.first, self.early), (self.late, self.last))
        return [(first, last) for first, last in parts if first is not None and last is not None]


def _length(day: str) -> int:
    """Days of a day's month."""
    return monthrange(int(day[:4]), int(day[5:7]))[1]


def _number(day: str) -> int:
    """A day's month, counted from the year 0."""
    return int(day[:4]) * 12 + int(day[5:7]) - 1


def _name(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"
