"""Periods that volumes are asked for."""

from __future__ import annotations

import pytest

from axis.core.errors import Refusal
from axis.core.periods import EVER, chosen, days_of


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ({}, EVER),
        ({"month": "2026-11"}, ("2026-11-01", "2026-11-31")),
        ({"quarter": "2026-Q1"}, ("2026-01-01", "2026-03-31")),
        ({"quarter": "2026-Q4"}, ("2026-10-01", "2026-12-31")),
        ({"year": "2026"}, ("2026-01-01", "2026-12-31")),
        ({"first": "2026-11-05"}, ("2026-11-05", EVER[1])),
        ({"last": "2026-11-05"}, ("", "2026-11-05")),
        ({"first": "2026-11-05", "last": "2026-11-05"}, ("2026-11-05", "2026-11-05")),
    ],
)
def test_a_period_has_its_days(given: dict[str, str], days: tuple[str, str]) -> None:
    assert chosen(**given) == days


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"month": "2026-13"}, "2026-13"),
        ({"quarter": "2026-Q5"}, "quarter"),
        ({"quarter": "0026-Q1"}, "year"),
        ({"year": "26"}, "year"),
        ({"first": "yesterday"}, "yesterday"),
        ({"first": "2026-11-06", "last": "2026-11-05"}, "is before"),
        ({"month": "2026-11", "year": "2026"}, "enough"),
        ({"quarter": "2026-Q4", "first": "2026-11-05"}, "enough"),
    ],
)
def test_what_is_no_period_says_why(given: dict[str, str], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        chosen(**given)
    assert refused.value.name == "field_invalid"


def test_a_name_may_be_of_any_kind() -> None:
    assert days_of("2026-11") == ("2026-11-01", "2026-11-31")
    with pytest.raises(Refusal, match="field_invalid"):
        days_of("x")
