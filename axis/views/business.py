"""What documents are to each other, and how far each exchange has come: computed when somebody asks.

Nothing of it changes an outcome: the axis counts what was signed.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from axis.core.exchange import RECALL, UPDATE, Exchange
from axis.core.references import Candidate, original
from axis.views.queries import query
from axis.views.text import rfc3339

__all__ = ["Said", "exchanges", "originals", "related"]

Json = dict[str, object]

#: What a document can say of an earlier one, and the answers to it.
_SPOKEN: Final = frozenset({RECALL, UPDATE})
_ANSWERS: Final = frozenset({"15", "16"})
#: Said by a document's sender.
_TAKING_BACK: Final = "13"


@dataclass(frozen=True, slots=True)
class Said:
    """The exchange of a document with one receiver."""

    exchange: Exchange = field(default_factory=Exchange)
    statuses: tuple[Json, ...] = ()


def originals(connection: sqlite3.Connection, document: sqlite3.Row) -> list[Json]:
    """What a document speaks of: [{"relation", "issuer_document_id", "document_id", "flag"}]."""
    if not document["relation"]:
        return []
    rows = connection.execute(query("originals"), {"sequence": document["sequence"]}).fetchall()
    found: list[Json] = []
    for name in [row["named"] for row in rows] or [""]:
        tied, flag = _original(connection, document, name)
        found.append(
            {
                "relation": document["relation"],
                "issuer_document_id": name,
                "document_id": tied or None,
                "flag": flag or None,
            }
        )
    return found


def _original(connection: sqlite3.Connection, speaking: sqlite3.Row, name: str) -> tuple[str, str]:
    names = {"named": name, "sequence": speaking["sequence"], "sender": speaking["sender"]}
    rows = connection.execute(query("candidates"), names)
    return original((Candidate(row["document_id"], row["sender"]) for row in rows), speaking["sender"])


def related(connection: sqlite3.Connection, document: sqlite3.Row) -> list[sqlite3.Row]:
    """The documents that speak of this one, in order."""
    names = {name: document[name] for name in ("issuer_document_id", "document_id", "sequence", "sender")}
    rows = connection.execute(query("related"), names).fetchall()
    return [row for row in rows if _original(connection, row, row["named"])[0] == document["document_id"]]


def exchanges(
    connection: sqlite3.Connection, document: sqlite3.Row, speaking: list[sqlite3.Row]
) -> dict[str, Said]:
    """By receiver. Recalls and updates are said by the sender too, and may be answered under their own id."""
    events: list[tuple[int, str, str, sqlite3.Row | None]] = []
    spoken = [row for row in speaking if row["relation"] in _SPOKEN]
    for row in spoken:
        for delivery in connection.execute(query("deliveries"), {"document": row["sequence"]}):
            if delivery["attempt"] == 1:
                events.append((row["sequence"], delivery["unit"], row["relation"], None))
    for about in (document["document_id"], *(row["document_id"] for row in spoken)):
        for status in connection.execute(query("statuses"), {"document_id": about}):
            by_sender = status["code"] == _TAKING_BACK
            unit, sender = ("recipient", "sender") if by_sender else ("sender", "recipient")
            if status[sender] != document["sender"]:
                continue
            if about == document["document_id"] or status["code"] in _ANSWERS:
                events.append((status["sequence"], status[unit], status["code"], status))
    found: dict[str, Said] = {}
    for _, unit, said, status in sorted(events, key=lambda event: event[0]):
        before = found.get(unit, Said())
        exchange, in_order = before.exchange.after(said)
        shown = (_shown(status, in_order),) if status is not None else ()
        found[unit] = Said(exchange, before.statuses + shown)
    return found


def _shown(row: sqlite3.Row, in_order: bool) -> Json:
    return {
        "code": row["code"],
        "at": rfc3339(row["at"]),
        "note": row["note"],
        "from": row["sender"],
        "document_id": row["document_id"],
        "in_order": in_order,
    }
