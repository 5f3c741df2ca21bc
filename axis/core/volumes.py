"""Volumes: what is counted, the identity that always holds, and the calendar that counts go by.

*Sent* counts documents accepted from a unit; everything else counts deliveries to it. An event counts in
the period of its own record; days and months are Vietnam's (UTC+07:00, Decision 28/2018/QĐ-TTg article 14).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

from axis.core.errors import Refusal

__all__ = [
    "VIETNAM",
    "Counts",
    "day_bounds",
    "is_late",
    "local_day",
    "local_hour",
    "local_month",
    "month_bounds",
]

VIETNAM: Final = timezone(timedelta(hours=7), "+07:00")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Counts:
    """One row of volumes. Adding rows of different units gives their total.

    A row without `in_flight_before` covers everything from the beginning.
    """

    sent: int = 0
    addressed: int = 0
    received: int = 0
    refused: int = 0
    dead: int = 0
    requeued: int = 0
    in_flight_before: int = 0
    in_flight: int = 0
    late: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Field by field."""
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    def identity_holds(self) -> bool:
        """Whether every delivery is accounted for, a requeue counting the delivery once more."""
        opened = self.in_flight_before + self.addressed + self.requeued
        return opened == self.received + self.refused + self.dead + self.in_flight


def local_day(at: int) -> str:
    """The Vietnamese calendar day of a time in milliseconds, `YYYY-MM-DD`."""
    return _local(at).date().isoformat()


def local_hour(at: int) -> int:
    """The hour of the Vietnamese day, 0 to 23."""
    return _local(at).hour


def local_month(at: int) -> str:
    """The Vietnamese calendar month of a time in milliseconds, `YYYY-MM`."""
    return local_day(at)[:7]


def is_late(accepted_at: int, outcome_at: int) -> bool:
    """Whether an outcome came on a later day than the acceptance (Decree 30/2020, article 21)."""
    return local_day(outcome_at) > local_day(accepted_at)


def day_bounds(day: str) -> tuple[int, int]:
    """First millisecond of a Vietnamese day and of the next one; Refusal `field_invalid`."""
    try:
        start = datetime.combine(date.fromisoformat(day if _DAY.fullmatch(day) else ""), time(), VIETNAM)
        return _milliseconds(start), _milliseconds(start + timedelta(days=1))
    except (ValueError, OverflowError):
        raise Refusal("field_invalid", f"day: {day[:60]!r} is not YYYY-MM-DD") from None


def month_bounds(month: str) -> tuple[int, int]:
    """First millisecond of a Vietnamese month and of the next one; Refusal `field_invalid`."""
    match = _MONTH.fullmatch(month)
    try:
        year, number = (int(part) for part in match.groups()) if match else (0, 0)
        start = datetime(year, number, 1, tzinfo=VIETNAM)
        after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=VIETNAM)
    except ValueError:
        raise Refusal("field_invalid", f"month: {month[:60]!r} is not YYYY-MM") from None
    return _milliseconds(start), _milliseconds(after)


def _local(at: int) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(VIETNAM)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
