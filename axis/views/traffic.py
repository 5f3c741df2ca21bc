"""The traffic log: one line per record of the journal, filtered.

A document's own events name its sender and recipients; a delivery's events the sender and the one
recipient; what is about a unit (registered, suspended, issued, rejected …) names it in `from`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from axis.views.queries import query
from axis.views.text import match_words, rfc3339
from axis.views.volumes import resolve

__all__ = ["Filter", "traffic"]

_CONDITIONS: Final = {
    "sender": "(documents.sender = :sender OR (events.document IS NULL AND events.party = :sender))",
    "recipient": "((events.document IS NOT NULL AND events.party = :recipient) OR EXISTS ("
    "SELECT 1 FROM deliveries WHERE deliveries.document = events.sequence AND unit = :recipient))",
    "document_id": "(events.document = (SELECT sequence FROM documents WHERE document_id = :document_id)"
    " OR events.document_id = :document_id)",
    "first": "events.sequence >= :first",
    "before": "events.sequence < :before",
    "event": "events.event = :event",
    "code": "events.code = :code",
    # "*": anybody. The first half is what the index asks for.
    "operator": "(events.operator <> '' AND :operator IN ('*', events.operator))",
    "words": "events.document IN (SELECT rowid FROM search WHERE search MATCH :words)",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines: all that is given must hold. Codes may be any of a unit's; times in milliseconds."""

    sender: str | None = None
    recipient: str | None = None
    document_id: str | None = None
    since: int | None = None
    until: int | None = None
    event: str | None = None
    code: str | None = None
    text: str | None = None
    limit: int = 100
    after: int = 0  # only sequences over it
    operator: str | None = None  # what this operator did; "*": what any did


def traffic(connection: sqlite3.Connection, wanted: Filter) -> list[dict[str, object]]:
    """The newest `limit` lines that match, oldest first, each in the contract's shape.

    Raises Refusal `field_invalid` for a code that no unit has.
    """
    given: dict[str, object] = {
        "sender": wanted.sender and resolve(connection, wanted.sender),
        "recipient": wanted.recipient and resolve(connection, wanted.recipient),
        "document_id": wanted.document_id,
        "first": _first(connection, wanted),
        "before": None if wanted.until is None else _sequence_at(connection, wanted.until + 1),
        "event": wanted.event,
        "code": wanted.code,
        "operator": wanted.operator,
    }
    if wanted.text is not None:
        given["words"] = match_words(wanted.text) or '""'
    given = {name: value for name, value in given.items() if value is not None}
    filters = " AND ".join(_CONDITIONS[name] for name in given) or "TRUE"
    statement = query("traffic").replace("/* filters */", filters)
    rows = connection.execute(statement, {**given, "limit": wanted.limit}).fetchall()
    return [_line(row) for row in reversed(rows)]


def _first(connection: sqlite3.Connection, wanted: Filter) -> int | None:
    first = wanted.after + 1
    if wanted.since is not None:
        first = max(first, _sequence_at(connection, wanted.since))
    return first if first > 1 else None


def _sequence_at(connection: sqlite3.Connection, at: int) -> int:
    """The first sequence whose time is `at` or later; one over the newest if there is none."""
    low, high = 1, int(connection.execute("SELECT ifnull(max(sequence), 0) FROM events").fetchone()[0]) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query("first_sequence_at"), {"sequence": middle}).fetchone()
        if row is not None and row[0] < at:
            low = middle + 1
        else:
            high = middle
    return low


def _line(row: sqlite3.Row) -> dict[str, object]:
    about_delivery = row["kind"] is not None and row["recipients"] is None
    recipients = json.loads(row["recipients"]) if row["recipients"] is not None else []
    line: dict[str, object] = {
        "sequence": row["sequence"],
        "at": rfc3339(row["at"]),
        "event": row["event"],
        "document_id": row["document_id"] or None,
        "kind": row["kind"],
        "from": (row["sender"] if row["kind"] is not None else row["party"]) or None,
        "to": [row["party"]] if about_delivery else recipients,
        "subject": row["subject"] or None,
        "number": row["number"] or None,
        "outcome": row["outcome"] or None,
        "code": row["code"] or None,
        "reason": row["reason"] or None,
        "bytes": row["bytes"],
        "trace_id": row["trace_id"] or None,
        "operator": row["operator"] or None,
    }
    if row["event"] == "rejected":
        line["count"] = row["repeats"]
    if row["about"]:
        line["about"] = row["about"]
    return line
