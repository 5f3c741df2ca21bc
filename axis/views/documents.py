"""Everything known about one document: its header, its deliveries with every attempt, its events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, cast

from axispb.v1 import document_pb2, journal_pb2
from google.protobuf.json_format import MessageToDict

from axis.core.envelope import Kind, parse
from axis.core.errors import Refusal
from axis.core.exchange import Said
from axis.core.lifecycle import DeliveryState, document_state
from axis.ports import StoredRecord
from axis.views.business import exchanges, originals, related
from axis.views.file import snapshot
from axis.views.queries import query
from axis.views.text import rfc3339
from axis.views.traffic import Filter, traffic

__all__ = ["show"]

_EVENTS: Final = 10_000  # 1,000 recipients with several attempts each


def show(
    connection: sqlite3.Connection, document_id: str, record: Callable[[int], StoredRecord | None]
) -> dict[str, object]:
    """The contract's answer of `axis show`; `record` reads the journal, which alone holds the header.

    Everything at one head. Raises Refusal `document_unknown`.
    """
    with snapshot(connection):
        return _show(connection, document_id, record)


def _show(
    connection: sqlite3.Connection, document_id: str, record: Callable[[int], StoredRecord | None]
) -> dict[str, object]:
    row = connection.execute(query("document"), {"document_id": document_id}).fetchone()
    if row is None:
        raise Refusal("document_unknown", f"no document {document_id[:60]!r} was accepted")
    speaking = related(connection, row)
    deliveries = _deliveries(connection, row, exchanges(connection, row, speaking))
    spoken_of = originals(connection, row)
    header, attachments = _header(record(row["sequence"]), row["kind"])
    return {
        "document_id": document_id,
        "kind": row["kind"],
        "from": row["sender"],
        "to": [delivery["to"] for delivery in deliveries],
        "subject": row["subject"] or None,
        "number": row["number"] or None,
        "state": str(document_state(DeliveryState(str(delivery["state"])) for delivery in deliveries)),
        "sequence": row["sequence"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "about": row["about"] or None,
        "code": row["status_code"] or None,
        "header": header,
        "attachments": attachments,
        "deliveries": deliveries,
        "originals": spoken_of,
        "related": [
            {
                "document_id": one["document_id"],
                "relation": one["relation"],
                "at": rfc3339(one["accepted_at"]),
            }
            for one in speaking
        ],
        "flags": _flags(connection, row) + [str(one["flag"]) for one in spoken_of if one["flag"]],
        "events": traffic(connection, Filter(document_id=document_id, limit=_EVENTS)),
    }


def _deliveries(
    connection: sqlite3.Connection, document: sqlite3.Row, said: dict[str, Said]
) -> list[dict[str, object]]:
    by_unit: dict[str, list[sqlite3.Row]] = {}
    for row in connection.execute(query("deliveries"), {"document": document["sequence"]}):
        by_unit.setdefault(row["unit"], []).append(row)
    return [_delivery(attempts, said.get(unit, Said())) for unit, attempts in by_unit.items()]


def _delivery(attempts: list[sqlite3.Row], said: Said) -> dict[str, object]:
    latest = attempts[-1]
    unit = latest["unit"]
    return {
        "to": unit,
        "host": latest["host"],
        "state": latest["state"],
        "attempt": latest["attempt"],
        "receipt": _receipt(latest),
        "reason": latest["reason"] or None,
        "exchange": said.exchange.state,
        "statuses": list(said.statuses),
        "attempts": [
            {
                "attempt": row["attempt"],
                "host": row["host"],
                "state": row["state"],
                "opened_at": rfc3339(row["opened_at"]),
                "outcome_at": rfc3339(row["outcome_at"]) if row["outcome_sequence"] else None,
                "reason": row["reason"] or None,
            }
            for row in attempts
        ],
    }


def _receipt(row: sqlite3.Row) -> dict[str, object] | None:
    """What the receiver signed; a delivery that is open or dead has none."""
    if row["state"] not in {"received", "refused"}:
        return None
    return {
        "outcome": row["state"],
        "at": rfc3339(row["outcome_at"]),
        "stored_at": rfc3339(row["stored_at"]),
        "reason": row["reason"] or None,
    }


def _flags(connection: sqlite3.Connection, document: sqlite3.Row) -> list[str]:
    """Warnings (Decree 30/2020, annex VI): never a reason to refuse."""
    names = ("sequence", "sender", "numbering", "issuer_document_id")
    row = connection.execute(query("flags"), {name: document[name] for name in names}).fetchone()
    return [name for name in row.keys() if row[name]]  # noqa: SIM118 (a Row iterates over its values)


def _header(stored: StoredRecord | None, kind: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The signed fields as JSON, and the attachments apart."""
    if stored is None:
        return {}, []
    signed = journal_pb2.Record.FromString(stored.raw).accepted.envelope.signed
    message = parse(signed, Kind(kind))
    header = cast("dict[str, object]", MessageToDict(message, preserving_proto_field_name=True))
    header.pop("attachments", None)
    if isinstance(message, document_pb2.Document | document_pb2.Status):
        header["created_at"] = rfc3339(message.created_at)
    if not isinstance(message, document_pb2.Document):
        return header, []
    return header, [
        {"name": part.name, "media_type": part.media_type, "size": part.size, "sha256": part.sha256.hex()}
        for part in message.attachments
    ]
