"""The code lists: whole, and what is said of what does not fit them."""

from __future__ import annotations

import pytest

from agencies.edxml.code_lists import (
    BUSINESS_DOC_TYPES,
    COPY_ABBREVIATIONS,
    DOCUMENT_TYPES,
    NOTATION_ABBREVIATIONS,
    PRIORITIES,
    STATUS_MEANINGS,
    STATUSES,
    STEERING_TYPES,
    priority_warning,
    status_text,
    type_warning,
)
from axis.core.document import STATUS_CODES


def test_the_lists_are_whole() -> None:
    assert STATUSES.keys() == STATUS_MEANINGS.keys() == STATUS_CODES
    assert (list(BUSINESS_DOC_TYPES), list(PRIORITIES), list(STEERING_TYPES)) == (
        [0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2],
    )
    numbers = {group: [int(detail) for g, detail in DOCUMENT_TYPES if g == group] for group in "12"}
    assert numbers == {"1": list(range(1, 14)), "2": list(range(1, 27))}
    doubtful = [int(detail) for (_, detail), meaning in DOCUMENT_TYPES.items() if not meaning.verified]
    assert doubtful == list(range(10, 18))
    assert DOCUMENT_TYPES["2", "18"].vietnamese == "Công văn"
    assert DOCUMENT_TYPES["1", "13"].vietnamese.startswith("VB")
    assert DOCUMENT_TYPES["2", "26"].vietnamese == "Giấy giới thiệu"
    assert len(NOTATION_ABBREVIATIONS) == 27
    assert COPY_ABBREVIATIONS.keys() == {"SY", "TrS", "SL"}


def test_a_status_for_a_person() -> None:
    assert status_text("06") == "06 Hoàn thành (done)"
    assert status_text("99") == "99"


@pytest.mark.parametrize(
    ("group", "detail", "name", "odd"),
    [
        ("2", "18", "Công văn", False),
        ("2", "18", " công  VĂN", False),
        ("2", "07", "Thông báo", False),
        ("", "", "Công văn", False),
        ("2", "18", "", False),
        ("2", "14", "Tờ trình", False),  # a number that was not verified says nothing
        ("1", "0", "Công văn", True),
        ("2", "18", "Thông báo", True),
        ("3", "1", "Luật", True),
    ],
)
def test_of_a_type_and_its_numbers_the_name_counts(group: str, detail: str, name: str, odd: bool) -> None:
    assert bool(type_warning(group, detail, name)) == odd


def test_priorities_of_one_vendor() -> None:
    assert [bool(priority_warning(number)) for number in range(7)] == [False] * 4 + [True, True, False]
    assert "Hỏa tốc hẹn giờ" in priority_warning(4)
