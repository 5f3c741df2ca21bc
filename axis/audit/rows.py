"""The rows of views.sqlite against the books, table by table: changed, missing and added ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from axis.audit import tables
from axis.audit.books import Books, row_hash
from axis.audit.chain import Chain
from axis.audit.report import Findings
from axis.audit.tables import Row, Table
from axis.audit.words import Words

__all__ = ["check_views"]

_VOLUMES = frozenset({"daily", "monthly", "days"})
_EVENT_COLUMNS = (
    "sequence, at, event, document, party, document_id, outcome, code, reason, repeats, trace_id, operator"
)


def check_views(
    books: Books, chain: Chain, words: Words, views: sqlite3.Connection, findings: Findings
) -> bool:
    """Compare every table. Answers whether those that volumes are read from are equal."""
    equal = True
    for table in tables.expected(books, chain):
        same = _check(table, views, findings)
        equal = equal and (same or table.name not in _VOLUMES)
    _check_events(books, views, findings)
    for sequence, detail in words.differences(views):
        findings.add(sequence, "view_row_changed", detail)
    return equal


def _check(table: Table, views: sqlite3.Connection, findings: Findings) -> bool:
    matched, same = 0, True
    names = table.columns.split(", ")
    for row in views.execute(f"SELECT {table.columns} FROM {table.name}"):
        key = row[: table.keys]
        expected = table.row(key)
        place = f"{table.name}: {_shown(key)}"
        if expected is None:
            same = False
            findings.add(table.place(key), "view_row_added", place)
            continue
        matched += 1
        if expected != row[table.keys :]:
            same = False
            wrong = [
                f"{name} is {_shown((value,))}, not {_shown((right,))}"
                for name, value, right in zip(names[table.keys :], row[table.keys :], expected, strict=True)
                if value != right
            ]
            findings.add(table.place(key), "view_row_changed", f"{place}: {'; '.join(wrong)}")
    keys = ", ".join(names[: table.keys])
    missing = _missing(matched, table.all_keys, views, f"SELECT {keys} FROM {table.name}")
    for key in missing:
        findings.add(table.place(key), "view_row_missing", f"{table.name}: {_shown(key)}")
    return same and not missing


def _check_events(books: Books, views: sqlite3.Connection, findings: Findings) -> None:
    """The traffic log: compared by hash, so that the books need not keep every line."""
    matched = 0
    for row in views.execute(f"SELECT {_EVENT_COLUMNS} FROM events"):
        expected = books.events.get(row[0])
        if expected is None:
            findings.add(row[0], "view_row_added", f"events: {row[0]}")
            continue
        matched += 1
        if expected != row_hash(row):
            findings.add(row[0], "view_row_changed", f"events: {row[0]}, shown as {row[2]}")
    keys: Callable[[], Iterable[Row]] = lambda: ((sequence,) for sequence in books.events)  # noqa: E731
    for (sequence,) in _missing(matched, keys, views, "SELECT sequence FROM events"):
        findings.add(sequence, "view_row_missing", f"events: {sequence}")


def _missing(
    matched: int, keys: Callable[[], Iterable[Row]], views: sqlite3.Connection, stored: str
) -> Sequence[Row]:
    """Which keys have no row; looked for only where the numbers differ."""
    if matched == sum(1 for _ in keys()):
        return ()
    found = set(views.execute(stored))
    return [key for key in keys() if key not in found]


def _shown(values: Iterable[Any]) -> str:
    return " ".join(value.hex() if isinstance(value, bytes) else repr(value)[:80] for value in values)
