"""Statuses in the store: what was said about a document, by whom, and whether it was in order."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, cast

from axispb.v1 import document_pb2

from agencies.store.database import Store
from agencies.store.originals import related_to, units_of
from agencies.times import rfc3339
from agencies.units import Primary
from axis.core.envelope import Envelope, Kind, parse
from axis.core.exchange import ANSWERS, RECALL, UPDATE, Said, Saying, exchanges_of

__all__ = ["exchanges", "is_about_known", "keep_status"]

Json = dict[str, Any]

#: What a document can say of an earlier one.
_SPOKEN: Final = frozenset({RECALL, UPDATE})

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


def is_about_known(store: Store, status_id: str) -> bool:
    """Whether a status is about a document that the axis accepted once: its acceptance is here."""
    return bool(
        store.rows(
            "SELECT 1 FROM status s WHERE document_id = ? AND (EXISTS (SELECT 1 FROM received"
            " WHERE document_id = s.about) OR EXISTS (SELECT 1 FROM sent WHERE document_id = s.about"
            " AND acceptance_signed IS NOT NULL))",
            status_id,
        )
    )


def exchanges(store: Store, document_id: str, primary: Primary) -> dict[str, Said]:
    """The exchanges of a document, by receiver. What the axis refused does not count.

    Recalls and updates of the document are said by its sender too, and may be answered under their own id.
    """
    related = [each for each in related_to(store, document_id) if each["relation"] in _SPOKEN]
    sayings = [
        Saying((each["at"], each["document_id"]), unit, each["relation"], None)
        for each in related
        for unit in units_of(store, each["document_id"], primary)
    ]
    for about in (document_id, *(each["document_id"] for each in related)):
        sayings += [
            Saying((row["at"], row["document_id"]), primary(row["unit"]), row["code"], _shown(row, primary))
            for row in _statuses(store, about)
            if about == document_id or row["code"] in ANSWERS
        ]
    return exchanges_of(sayings)


def _statuses(store: Store, about: str) -> list[sqlite3.Row]:
    return store.rows(
        "SELECT s.* FROM status s LEFT JOIN sent ON s.side = 'sent' AND sent.document_id = s.document_id"
        " WHERE s.about = ? AND coalesce(sent.state, '') <> 'rejected'",
        about,
    )


def _shown(row: sqlite3.Row, primary: Primary) -> Json:
    return {
        "document_id": row["document_id"],
        "code": row["code"],
        "note": row["note"],
        "at": rfc3339(row["at"]),
        "from": primary(row["sender_unit"]),
    }
