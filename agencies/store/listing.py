"""What the store holds, as the local API and the commands show it.

`primary` gives a unit's primary code for any of its codes: a sender may have used an old one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from axispb.v1 import document_pb2, evidence_pb2
from google.protobuf.json_format import MessageToDict

from agencies.packet_signatures import INVALID, stored_shown
from agencies.store.database import Store
from agencies.store.found_marks import contents_state
from agencies.store.originals import flags_of, originals_of, related_to, shown_related
from agencies.store.statuses import exchanges
from agencies.times import rfc3339
from agencies.units import Primary
from axis.core.envelope import Kind
from axis.core.errors import Refusal
from axis.core.exchange import Said
from axis.core.lifecycle import DeliveryState, DocumentState, document_state

__all__ = ["attachment", "inbox_documents", "inbox_one", "is_settled", "sent_documents", "sent_one"]

Json = dict[str, Any]


def sent_documents(
    store: Store, after: int, limit: int, *, kind: str = "document", primary: Primary = str
) -> tuple[list[Json], int]:
    """A page of the outbox in the order of handing in, and the cursor behind it."""
    rows = store.rows(
        "SELECT * FROM sent WHERE number > ? AND kind = ? ORDER BY number LIMIT ?",
        after,
        kind,
        limit,
    )
    deliveries = _by_document(
        store, "SELECT * FROM sent_delivery WHERE document_id IN ({}) ORDER BY unit", rows
    )
    found = [_sent(row, deliveries.get(row["document_id"], []), primary) for row in rows]
    return found, _last(rows, after)


def is_settled(store: Store, document_id: str) -> bool:
    """Whether no outcome is missing. Cheap: asked at every event while somebody waits."""
    row = store.row(
        "SELECT state, EXISTS (SELECT 1 FROM sent_delivery d WHERE d.document_id = sent.document_id"
        " AND d.state = 'in_flight') AS open FROM sent WHERE document_id = ?",
        document_id,
    )
    return row is None or row["state"] == "rejected" or (row["state"] == "accepted" and not row["open"])


def sent_one(store: Store, document_id: str, primary: Primary = str) -> Json:
    """One document or status of the outbox with its header. Refusal `document_unknown`."""
    row = store.row("SELECT * FROM sent WHERE document_id = ?", document_id)
    if row is None:
        raise Refusal("document_unknown", f"no document {document_id[:64]} in the outbox")
    deliveries = store.rows("SELECT * FROM sent_delivery WHERE document_id = ? ORDER BY unit", document_id)
    attachments = store.rows(
        "SELECT * FROM attachment WHERE side = 'sent' AND document_id = ? ORDER BY number", document_id
    )
    packet = store.row("SELECT signature FROM sent_packet WHERE document_id = ?", document_id)
    said = exchanges(store, document_id, primary)
    return _sent(row, deliveries, primary) | {
        **_business(store, document_id),
        "deliveries": [_delivery(one) | _exchange(said, one["unit"]) for one in deliveries],
        "kind": row["kind"],
        "from": primary(row["sender_unit"]),
        "number": row["code_number"],
        "detail": row["detail"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "sequence": row["accepted_sequence"],
        "trace_id": row["trace_id"],
        "attachments": [_attachment(a) for a in attachments],
        "contents": contents_state(store, document_id),
        "header": _header(row["kind"], row["signed"]),
        "packet_signature": stored_shown(packet["signature"]) if packet is not None else None,
    }


def _business(store: Store, document_id: str) -> Json:
    """What a document is to others, and what a clerk should know of it."""
    return {
        "originals": originals_of(store, document_id),
        "related": shown_related(related_to(store, document_id)),
        "flags": flags_of(store, document_id),
    }


def _exchange(said: dict[str, Said], unit: str) -> Json:
    """The exchange with one receiver."""
    found = said.get(unit, Said())
    return {"exchange": found.exchange.state, "statuses": list(found.statuses)}


def _sent(row: sqlite3.Row, deliveries: list[sqlite3.Row], primary: Primary) -> Json:
    state = DocumentState(row["state"])
    if state is DocumentState.ACCEPTED:
        state = document_state(DeliveryState(delivery["state"]) for delivery in deliveries)
    queued = row["state"] == "queued"
    accepted = row["acceptance_signed"]
    return {
        "document_id": row["document_id"],
        # What the axis made of the codes that were given counts, as soon as that is known.
        "to": _recipients(accepted)
        if accepted
        else [primary(code) for code in json.loads(row["recipients"])],
        "subject": row["subject"],
        "state": state.value,
        "code": row["code"],
        "created_at": rfc3339(row["created_at"]),
        "attempts": row["attempts"],
        "next_attempt_at": rfc3339(row["next_attempt_at"] or row["created_at"]) if queued else None,
        "deliveries": [_delivery(delivery) for delivery in deliveries],
    }


def _delivery(row: sqlite3.Row) -> Json:
    outcome = row["state"] if row["state"] != "in_flight" else None
    receipt = outcome and {
        "outcome": outcome,
        "at": rfc3339(row["at"]),
        "stored_at": rfc3339(row["stored_at"]),
        "reason": row["reason"],
    }
    return {
        "to": row["unit"],
        "host": row["host"],
        "state": row["state"],
        "attempt": row["attempt"],
        "receipt": receipt,
    }


def inbox_documents(
    store: Store, after: int, limit: int, *, kind: str = "document", primary: Primary = str
) -> tuple[list[Json], int]:
    """A page of the inbox in the order of arrival, and the cursor behind it."""
    rows = store.rows(
        "SELECT * FROM received WHERE number > ? AND kind = ? ORDER BY number LIMIT ?",
        after,
        kind,
        limit,
    )
    receipts = _by_document(
        store, "SELECT * FROM receipt WHERE document_id IN ({}) ORDER BY unit, attempt", rows
    )
    attachments = _by_document(
        store,
        "SELECT * FROM attachment WHERE side = 'received' AND document_id IN ({}) ORDER BY number",
        rows,
    )
    found = [
        _received(row, receipts.get(row["document_id"], []), attachments.get(row["document_id"], []), primary)
        for row in rows
    ]
    return found, _last(rows, after)


def inbox_one(store: Store, document_id: str, primary: Primary = str) -> Json:
    """One document or status of the inbox with its header. Refusal `document_unknown`."""
    row = store.row("SELECT * FROM received WHERE document_id = ?", document_id)
    if row is None:
        raise Refusal("document_unknown", f"no document {document_id[:64]} in the inbox")
    receipts = store.rows("SELECT * FROM receipt WHERE document_id = ? ORDER BY unit, attempt", document_id)
    attachments = store.rows(
        "SELECT * FROM attachment WHERE side = 'received' AND document_id = ? ORDER BY number", document_id
    )
    said = exchanges(store, document_id, primary)
    verified = row["failure"] in ("", "attachment_mismatch", INVALID)
    return _received(row, receipts, attachments, primary) | {
        "kind": row["kind"],
        "sequence": row["accepted_sequence"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "trace_id": row["trace_id"],
        "recipients": _recipients(row["acceptance_signed"]) if verified else [],
        "header": _header(row["kind"], row["signed"]) if verified else {},
        **_business(store, document_id),
        "deliveries": [
            {
                **_exchange(said, receipt["unit"]),
                "to": receipt["unit"],
                "attempt": receipt["attempt"],
                "state": receipt["outcome"],
                "reason": receipt["reason"],
                "stored_at": rfc3339(receipt["stored_at"]),
                "receipt": receipt["state"],
                "code": receipt["code"],
            }
            for receipt in receipts
        ],
    }


def _received(
    row: sqlite3.Row, receipts: list[sqlite3.Row], attachments: list[sqlite3.Row], primary: Primary
) -> Json:
    latest = {receipt["unit"]: receipt["outcome"] for receipt in receipts}
    outcomes = set(latest.values())
    state = "waiting" if "waiting" in outcomes else "refused" if outcomes == {"refused"} else "received"
    return {
        "document_id": row["document_id"],
        "from": primary(row["sender_unit"]),
        "to": list(latest),
        "subject": row["subject"],
        "number": row["code_number"],
        "received_at": rfc3339(row["received_at"]),
        "state": state,
        "code": row["failure"],
        "urgent": bool(row["urgent"]),
        "attachments": [_attachment(attachment) for attachment in attachments],
        "packet_signature": stored_shown(row["packet_signature"]),
    }


def attachment(store: Store, side: str, document_id: str, number: int) -> sqlite3.Row:
    """One attachment's row. Refusal `document_unknown`."""
    row = store.row(
        "SELECT * FROM attachment WHERE side = ? AND document_id = ? AND number = ?",
        side,
        document_id,
        number,
    )
    if row is None:
        raise Refusal("document_unknown", f"document {document_id[:64]} has no attachment {number} here")
    return row


def _attachment(row: sqlite3.Row) -> Json:
    return {
        "name": row["name"],
        "media_type": row["media_type"],
        "size": row["size"],
        "sha256": row["sha256"].hex(),
    }


def _header(kind: str, signed: bytes) -> Json:
    """The signed message as JSON, without the attachments, which are listed by themselves."""
    message = document_pb2.Document() if kind == Kind.DOCUMENT else document_pb2.Status()
    message.ParseFromString(signed[len(Kind(kind).line) :])
    header: Json = MessageToDict(message, preserving_proto_field_name=True)
    header.pop("attachments", None)
    header["created_at"] = rfc3339(message.created_at)
    return header


def _recipients(acceptance_signed: bytes) -> list[str]:
    acceptance = evidence_pb2.Acceptance.FromString(acceptance_signed[len(Kind.ACCEPTANCE.line) :])
    return [destination.unit for destination in acceptance.deliveries]


def _by_document(store: Store, sql: str, rows: Iterable[sqlite3.Row]) -> dict[str, list[sqlite3.Row]]:
    ids = [row["document_id"] for row in rows]
    found: dict[str, list[sqlite3.Row]] = {}
    if ids:
        for row in store.rows(sql.format(", ".join("?" * len(ids))), *ids):
            found.setdefault(row["document_id"], []).append(row)
    return found


def _last(rows: list[sqlite3.Row], after: int) -> int:
    return rows[-1]["number"] if rows else after
