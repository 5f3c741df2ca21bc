"""Deliveries that have no outcome yet: which documents wait for whom, and which of them are overdue."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from axis.core.errors import Refusal
from axis.core.volumes import day_bounds, local_day
from axis.views.criteria import sequence_at
from axis.views.file import read_position, snapshot
from axis.views.queries import query
from axis.views.text import rfc3339
from axis.views.volumes import resolve

__all__ = ["due_before", "in_flight", "owing"]

_OWING: Final = 10
_NO_END: Final = (1 << 63) - 1


def due_before(connection: sqlite3.Connection, now: int) -> int:
    """The first place of today. A receipt is due on the day of the acceptance (Decree 30/2020, art. 21)."""
    position = read_position(connection)
    return sequence_at(connection, day_bounds(local_day(now))[0], position.sequence if position else 0)


def in_flight(
    connection: sqlite3.Connection,
    now: int,
    *,
    unit: str | None = None,
    overdue: bool = False,
    after: str = "",
    limit: int = 100,
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of them, the one that waits longest first, and the cursor of the next page.

    `unit`: addressed to exactly this unit, by any of its codes. `overdue`: of documents that were accepted
    before today. Raises Refusal `field_invalid` where nobody has the code, or `after` is no cursor.
    """
    opened_at, document, last = _place(after)
    with snapshot(connection):
        due = due_before(connection, now)
        asked = {
            "opened_at": opened_at,
            "document": document,
            "after": last,
            "unit": resolve(connection, unit) if unit else "",
            "accepted_before": due if overdue else _NO_END,
            "count": limit + 1,
        }
        found = connection.execute(query("in_flight"), asked).fetchall()
    page = found[:limit]
    end = page[-1] if len(found) > limit else None
    cursor = f"{end['opened_at']}-{end['document']}-{end['unit']}" if end else None
    return [_delivery(row, due) for row in page], cursor


def owing(connection: sqlite3.Connection, now: int) -> list[dict[str, Any]]:
    """The ten units with most overdue deliveries: `[{"code", "name", "deliveries"}]`."""
    with snapshot(connection):
        asked = {"first": due_before(connection, now), "count": _OWING}
        return [dict(row) for row in connection.execute(query("owing"), asked)]


def _delivery(row: sqlite3.Row, due: int) -> dict[str, Any]:
    return {
        "document_id": row["document_id"],
        "from": row["sender"],
        "to": row["unit"],
        "host": row["host"],
        "subject": row["subject"],
        "number": row["number"] or None,
        "attempt": row["attempt"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "opened_at": rfc3339(row["opened_at"]),
        "overdue": row["document"] < due,
    }


def _place(cursor: str) -> tuple[int, int, str]:
    """After which delivery a page begins: when its attempt was opened, its document's place, its unit."""
    opened_at, _, rest = (cursor or "0").partition("-")
    document, _, unit = (rest or "0").partition("-")
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in (opened_at, document)):
        raise Refusal("field_invalid", "after: this is no cursor of a page before")
    return int(opened_at), int(document), unit
