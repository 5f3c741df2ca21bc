"""What text and numbers may be that the agency's software hands in."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["Date", "Line", "Text", "Whole"]

#: Control characters, and halves of surrogate pairs, which cannot be encoded; in text lines may end.
_NOT_IN_LINES: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _line(text: str) -> str:
    return _without(_NOT_IN_LINES, text)


def _text(text: str) -> str:
    return _without(_NOT_IN_TEXT, text)


def _without(unfit: re.Pattern[str], text: str) -> str:
    found = unfit.search(text)
    if found is not None:
        raise ValueError(f"U+{ord(found.group()):04X} is not possible here")
    return text


def _date(text: str) -> str:
    if text:
        date.fromisoformat(text)
    return text


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Line = Annotated[str, AfterValidator(_line)]
Text = Annotated[str, AfterValidator(_text)]
Date = Annotated[
    str,
    Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$", examples=["2026-11-30"]),
    AfterValidator(_date),
]
#: JSON has one kind of number: 1.0 is 1.
Whole = Annotated[int, BeforeValidator(_whole)]
