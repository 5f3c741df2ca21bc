"""Statuses in the store: what was said about a document, by whom, and whether it was in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, cast

from axispb.v1 import document_pb2

from agencies.store import Store
from agencies.times import rfc3339
from axis.core.envelope import Envelope, Kind, parse
from axis.core.exchange import Exchange

__all__ = ["exchange_of", "keep_status", "statuses_about"]

Json = dict[str, Any]
Primary = Callable[[str], str]

#: Said by the document's sender; everything else by a receiver.
_BY_THE_SENDER = "13"


def keep_status(connection: sqlite3.Connection, side: str, envelope: Envelope, at: int) -> None:
    """Note a status that was `sent` or `received`; repeats change nothing."""
    status = cast(document_pb2.Status, parse(envelope.signed, Kind.STATUS))
    unit = status.recipients[0] if status.code == _BY_THE_SENDER else status.sender_unit
    connection.execute(
        "INSERT OR IGNORE INTO status (document_id, side, about, unit, sender_unit, code, note, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            status.document_id,
            side,
            status.about_document_id,
            unit,
            status.sender_unit,
            status.code,
            status.note,
            at,
        ),
    )


def statuses_about(store: Store, document_id: str, primary: Primary) -> dict[str, list[Json]]:
    """By unit, in order: {"document_id","code","note","at","from","in_order"}. Refused ones are left out."""
    rows = store.rows(
        "SELECT s.* FROM status s LEFT JOIN sent ON s.side = 'sent' AND sent.document_id = s.document_id"
        " WHERE s.about = ? AND coalesce(sent.state, '') <> 'rejected' ORDER BY s.at, s.document_id",
        document_id,
    )
    said: dict[str, list[Json]] = {}
    exchanges: dict[str, Exchange] = {}
    for row in rows:
        unit = primary(row["unit"])
        exchanges[unit], in_order = exchanges.get(unit, Exchange()).after(row["code"])
        said.setdefault(unit, []).append(
            {
                "document_id": row["document_id"],
                "code": row["code"],
                "note": row["note"],
                "at": rfc3339(row["at"]),
                "from": primary(row["sender_unit"]),
                "in_order": in_order,
            }
        )
    return said


def exchange_of(store: Store, document_id: str, unit: str, primary: Primary) -> Exchange:
    """How far the exchange of a document with one of its receivers has come."""
    exchange = Exchange()
    for status in statuses_about(store, document_id, primary).get(unit, []):
        exchange, _ = exchange.after(status["code"])
    return exchange
