"""What documents are to each other, and how far each exchange has come: computed when somebody asks.

Nothing of it changes an outcome: the axis counts what was signed.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from axis.core.exchange import ANSWERS, RECALL, UPDATE, Said, Saying, exchanges_of
from axis.core.references import Candidate, original
from axis.views.queries import query
from axis.views.text import rfc3339

__all__ = ["exchanges", "originals", "related"]

Json = dict[str, object]

#: What a document can say of an earlier one.
_SPOKEN: Final = frozenset({RECALL, UPDATE})
#: Said by a document's sender.
_TAKING_BACK: Final = "13"


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
    sayings: list[Saying] = []
    spoken = [row for row in speaking if row["relation"] in _SPOKEN]
    for row in spoken:
        for delivery in connection.execute(query("deliveries"), {"document": row["sequence"]}):
            if delivery["attempt"] == 1:
                sayings.append(Saying((row["sequence"], ""), delivery["unit"], row["relation"], None))
    for about in (document["document_id"], *(row["document_id"] for row in spoken)):
        for status in connection.execute(query("statuses"), {"document_id": about}):
            by_sender = status["code"] == _TAKING_BACK
            unit, sender = ("recipient", "sender") if by_sender else ("sender", "recipient")
            if status[sender] != document["sender"]:
                continue
            if about == document["document_id"] or status["code"] in ANSWERS:
                place = (status["sequence"], "")
                sayings.append(Saying(place, status[unit], status["code"], _shown(status)))
    return exchanges_of(sayings)


def _shown(row: sqlite3.Row) -> Json:
    return {
        "code": row["code"],
        "at": rfc3339(row["at"]),
        "note": row["note"],
        "from": row["sender"],
        "document_id": row["document_id"],
    }
