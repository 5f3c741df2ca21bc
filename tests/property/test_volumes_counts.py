"""Adding rows keeps every field and the identity."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from axis.core.volumes import Counts, local_day, month_bounds

ROWS = st.builds(Counts, **{field.name: st.integers(0, 10**9) for field in dataclasses.fields(Counts)})


@given(ROWS, ROWS)
def test_a_total_is_the_sum_of_its_rows(one: Counts, other: Counts) -> None:
    total = one + other
    for field in dataclasses.fields(Counts):
        assert getattr(total, field.name) == getattr(one, field.name) + getattr(other, field.name)
    assert total == other + one
    assert one + Counts() == one


@given(ROWS, ROWS)
def test_the_total_of_rows_whose_identity_holds_has_it_too(one: Counts, other: Counts) -> None:
    whole = [
        dataclasses.replace(
            row,
            addressed=row.received + row.refused + row.dead + row.in_flight,
            in_flight_before=0,
            requeued=0,
        )
        for row in (one, other)
    ]
    assert all(row.identity_holds() for row in whole)
    assert (whole[0] + whole[1]).identity_holds()


@given(st.integers(0, 250_000_000_000_000))
def test_a_time_lies_in_the_month_of_its_day(at: int) -> None:
    start, end = month_bounds(local_day(at)[:7])
    assert start <= at < end
