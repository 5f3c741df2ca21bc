"""A long list in parts of some hundred rows: which part a page shows, and what leads to the others; or in
pages that go on from a cursor, where nobody counts what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aiohttp import web

from axis.console.told import Wrong
from axis.openapi import Parameter

__all__ = ["PAGING", "ROWS", "Part", "limit_of", "part_of"]

T = TypeVar("T")

ROWS: Final = 300
_DIGITS: Final = 9
_PAGE: Final = 100
_MOST: Final = 1000

#: How a page that goes on from a cursor may be asked for.
PAGING: Final = (
    Parameter(
        "limit",
        "query",
        "at most so many",
        {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _PAGE},
    ),
    Parameter("after", "query", "`next` of the page before"),
)


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Rows from `first` (counted from 0) of `all`; the query's parameter `name` says where it begins."""

    rows: Sequence[T]
    name: str
    first: int
    all: int
    length: int

    @property
    def last(self) -> int:
        """Where the next part begins."""
        return self.first + len(self.rows)

    @property
    def earlier(self) -> int:
        """Where the part before begins."""
        return max(0, self.first - self.length)


def part_of(
    request: web.Request, name: str, rows: Sequence[T], length: int = ROWS, *, newest: bool = False
) -> Part[T]:
    """The part that the query asks for by `name`; without it the first, or the last where the rows are in
    the order of time. Refusal `field_invalid` where it is no number.
    """
    text = request.query.get(name, "") or str(max(0, len(rows) - length) if newest else 0)
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Wrong(name, "row", given=text[:40])
    first = min(int(text), max(0, len(rows) - 1))
    return Part(rows[first : first + length], name, first, len(rows), length)


def limit_of(query: Mapping[str, str]) -> int:
    """How many rows a query asks for, a hundred if it does not say. Refusal `field_invalid`."""
    text = query.get("limit", str(_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST):
        raise Wrong("limit", "between", least=1, most=_MOST)
    return int(text)
