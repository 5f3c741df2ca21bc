"""Counts and Vietnam's calendar."""

from __future__ import annotations

import dataclasses

import pytest

from axis.core.errors import Refusal
from axis.core.volumes import Counts, day_bounds, is_late, local_day, local_month, month_bounds

HOUR = 3_600_000
#: 2026-11-22T17:00:00Z is midnight in Vietnam.
MIDNIGHT = 1_795_366_800_000


def test_a_day_begins_at_midnight_in_vietnam() -> None:
    assert local_day(MIDNIGHT - 1) == "2026-11-22"
    assert local_day(MIDNIGHT) == "2026-11-23"
    assert local_day(0) == "1970-01-01"
    assert day_bounds("2026-11-23") == (MIDNIGHT, MIDNIGHT + 24 * HOUR)


@pytest.mark.parametrize(("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-12", 31)])
def test_a_month_reaches_to_the_next(month: str, days: int) -> None:
    start, end = month_bounds(month)
    assert end - start == days * 24 * HOUR
    assert (local_month(start), local_month(end - 1)) == (month, month)
    assert local_month(start - 1) != month != local_month(end)


def test_late_means_a_later_day_not_24_hours() -> None:
    assert is_late(MIDNIGHT - 1, MIDNIGHT)
    assert not is_late(MIDNIGHT, MIDNIGHT + 24 * HOUR - 1)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "0000-01", "9999-12", "2026-1", "x" * 90])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="field_invalid: month: "):
        month_bounds(text)


@pytest.mark.parametrize("text", ["", "2026-02-29", "20261122", "2026-W01-1", "9999-12-31"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="field_invalid: day: "):
        day_bounds(text)


def test_the_identity_counts_a_requeue_once_more() -> None:
    row = Counts(in_flight_before=1, addressed=2, requeued=1, received=1, refused=1, dead=1, in_flight=1)
    assert row.identity_holds()
    assert not dataclasses.replace(row, received=2).identity_holds()


def test_rows_add_up() -> None:
    assert Counts(sent=1, late=2) + Counts(sent=3, bytes_sent=4) == Counts(sent=4, late=2, bytes_sent=4)
