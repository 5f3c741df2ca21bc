"""The outbox: documents and statuses on their way to the axis, and what became of them.

Every function that takes a connection is a change for `Store.write`; it can be repeated without effect
(the feed may bring everything again). The signed bytes of a row never change.
"""

from __future__ import annotations

import enum
import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from axispb.v1 import evidence_pb2

from agencies.attachments import AttachmentRow, put_attachments
from agencies.store.counting import count
from agencies.store.database import Store
from agencies.store.originals import keep_issued
from agencies.store.statuses import keep_status
from axis.blobs.rules import SMALL_BYTES
from axis.core.envelope import Envelope, Kind
from axis.core.lifecycle import (
    DeliveryEvent,
    DeliveryState,
    DocumentEvent,
    DocumentState,
    IllegalEvent,
    delivery_after,
    document_after,
)

__all__ = [
    "TOGETHER_BYTES",
    "Due",
    "Lane",
    "Outgoing",
    "accept",
    "close_delivery",
    "due",
    "forget_outcomes",
    "hurry",
    "keep_packet",
    "next_due",
    "postpone",
    "put",
    "reject",
    "reopen_delivery",
    "resign",
    "send_again",
]


#: More content than this travels by itself; the axis takes 4 MiB in one batch.
TOGETHER_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A signed document or status, to be stored."""

    kind: str
    document_id: str
    envelope: Envelope
    certificate_sha256: bytes
    sender_unit: str
    recipients: tuple[str, ...]
    subject: str
    code_number: str
    urgent: bool
    created_at: int
    trace_id: str
    attachments: tuple[AttachmentRow, ...]
    packet_signature: str = ""  # what was made of it, as JSON; empty for what was made from fields


@dataclass(frozen=True, slots=True)
class Due:
    """An entry to be tried now."""

    document_id: str
    kind: str
    envelope: Envelope
    certificate_sha256: bytes
    attempts: int
    trace_id: str
    bytes: int  # of all its attachments


class Lane(enum.Enum):
    """How entries travel: urgent and ordinary ones together, those with much content each by itself."""

    URGENT = "urgent"
    ORDINARY = "ordinary"
    LARGE = "large"


_LARGE: Final = (
    f"(bytes > {TOGETHER_BYTES} OR EXISTS (SELECT 1 FROM attachment a WHERE a.side = 'sent'"
    f" AND a.document_id = sent.document_id AND a.size > {SMALL_BYTES}))"
)
_IN_LANE: Final = {
    Lane.URGENT: f"urgent = 1 AND NOT {_LARGE}",
    Lane.ORDINARY: f"urgent = 0 AND NOT {_LARGE}",
    Lane.LARGE: _LARGE,
}


def put(connection: sqlite3.Connection, outgoing: Outgoing) -> None:
    """Store a new entry, due at once. The contents of its attachments are durable already."""
    state = document_after(None, DocumentEvent.QUEUED)
    connection.execute(
        "INSERT INTO sent (document_id, kind, signed, signature, certificate_sha256, sender_unit, recipients,"
        " subject, code_number, urgent, bytes, created_at, trace_id, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            outgoing.document_id,
            outgoing.kind,
            outgoing.envelope.signed,
            outgoing.envelope.signature,
            outgoing.certificate_sha256,
            outgoing.sender_unit,
            json.dumps(outgoing.recipients),
            outgoing.subject,
            outgoing.code_number,
            int(outgoing.urgent),
            sum(attachment.size for attachment in outgoing.attachments),
            outgoing.created_at,
            outgoing.trace_id,
            state.value,
        ),
    )
    _keep_signature(connection, outgoing.document_id, outgoing.envelope)
    put_attachments(connection, "sent", outgoing.document_id, outgoing.attachments)
    if outgoing.packet_signature:
        keep_packet(connection, outgoing.document_id, outgoing.packet_signature)
    if outgoing.kind == Kind.STATUS:
        keep_status(connection, "sent", outgoing.envelope, outgoing.created_at)
    else:
        keep_issued(connection, outgoing.envelope, outgoing.sender_unit, outgoing.created_at)


def keep_packet(connection: sqlite3.Connection, document_id: str, signature: str) -> None:
    """What was made of the edXML packet's own signature, as JSON."""
    connection.execute(
        "INSERT OR REPLACE INTO sent_packet (document_id, signature) VALUES (?, ?)", (document_id, signature)
    )


def _keep_signature(connection: sqlite3.Connection, document_id: str, envelope: Envelope) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO sent_signature (document_id, signature_sha256, signature) VALUES (?, ?, ?)",
        (document_id, envelope.signature_sha256, envelope.signature),
    )


def due(store: Store, now: int, lane: Lane, limit: int) -> list[Due]:
    """Entries of a lane whose time has come, urgent ones first, then the longest waiting."""
    rows = store.rows(
        "SELECT document_id, kind, signed, signature, certificate_sha256, attempts, trace_id, bytes"
        f" FROM sent WHERE state = 'queued' AND next_attempt_at <= ? AND {_IN_LANE[lane]}"
        " ORDER BY urgent DESC, next_attempt_at, number LIMIT ?",
        now,
        limit,
    )
    return [
        Due(
            row["document_id"],
            row["kind"],
            Envelope(row["signed"], row["signature"]),
            row["certificate_sha256"],
            row["attempts"],
            row["trace_id"],
            row["bytes"],
        )
        for row in rows
    ]


def next_due(store: Store, now: int) -> int | None:
    """When the next entry that is not due yet will be."""
    row = store.row(
        "SELECT min(next_attempt_at) AS at FROM sent WHERE state = 'queued' AND next_attempt_at > ?", now
    )
    return row["at"] if row is not None else None


def resign(
    connection: sqlite3.Connection, document_id: str, envelope: Envelope, certificate_sha256: bytes
) -> None:
    """The same signed bytes under a newer certificate (design decision 8)."""
    connection.execute(
        "UPDATE sent SET signature = ?, certificate_sha256 = ? WHERE document_id = ? AND signed = ?",
        (envelope.signature, certificate_sha256, document_id, envelope.signed),
    )
    _keep_signature(connection, document_id, envelope)


def postpone(connection: sqlite3.Connection, document_id: str, code: str, detail: str, at: int) -> None:
    """A try failed for now: the next one is at `at`."""
    connection.execute(
        "UPDATE sent SET attempts = attempts + 1, next_attempt_at = ?, code = ?, detail = ?"
        " WHERE document_id = ? AND state = 'queued'",
        (at, code, detail, document_id),
    )


def reject(connection: sqlite3.Connection, document_id: str, code: str, detail: str) -> bool:
    """The axis refused for good. False where it is not queued any more: an acceptance that came wins."""
    changed = connection.execute(
        "UPDATE sent SET state = 'rejected', attempts = attempts + 1, code = ?, detail = ?"
        " WHERE document_id = ? AND state = 'queued'",
        (code, detail, document_id),
    )
    return changed.rowcount == 1


def accept(
    connection: sqlite3.Connection, acceptance: Envelope, message: evidence_pb2.Acceptance, sequence: int
) -> bool:
    """An acceptance that was verified and found to bind this entry's bytes. False if it was known.

    Another acceptance than the one stored means that the axis lost that one: deliveries start anew.
    """
    row = connection.execute("SELECT * FROM sent WHERE document_id = ?", (message.document_id,)).fetchone()
    state = document_after(DocumentState(row["state"]), DocumentEvent.ACCEPTED)
    known = row["acceptance_signed"] == acceptance.signed
    connection.execute(
        "UPDATE sent SET state = ?, code = '', detail = '', acceptance_signed = ?, acceptance_signature = ?,"
        " accepted_sequence = ?, accepted_at = ?, attempts = attempts + ? WHERE document_id = ?",
        (
            state.value,
            acceptance.signed,
            acceptance.signature,
            sequence,
            message.accepted_at,
            int(row["state"] == "queued"),
            message.document_id,
        ),
    )
    count(
        connection,
        "sent",
        document_id=message.document_id,
        unit=row["sender_unit"],
        attempt=0,
        kind=row["kind"],
        at=message.accepted_at,
        accepted_at=message.accepted_at,
        size=row["bytes"],
    )
    if known:
        return False
    connection.execute("DELETE FROM sent_delivery WHERE document_id = ?", (message.document_id,))
    connection.executemany(
        "INSERT INTO sent_delivery (document_id, unit, host, attempt, state)"
        " VALUES (?, ?, ?, 1, 'in_flight')",
        [(message.document_id, destination.unit, destination.host) for destination in message.deliveries],
    )
    return True


def close_delivery(
    connection: sqlite3.Connection,
    *,
    document_id: str,
    unit: str,
    attempt: int,
    event: DeliveryEvent,
    reason: str,
    at: int,
    stored_at: int,
    evidence: Envelope,
) -> bool:
    """A delivery's outcome, from a verified receipt or notice. False where it is not news."""
    row = connection.execute(
        "SELECT attempt, state, evidence_signed FROM sent_delivery WHERE document_id = ? AND unit = ?",
        (document_id, unit),
    ).fetchone()
    if row is None or row["attempt"] > attempt:
        return False
    try:
        # A higher attempt than ours: its requeue is still held here, but the outcome is sound.
        before = DeliveryState(row["state"]) if row["attempt"] == attempt else DeliveryState.IN_FLIGHT
        after = delivery_after(before, event)
    except IllegalEvent:
        return False
    connection.execute(
        "UPDATE sent_delivery SET state = ?, attempt = ?, reason = ?, at = ?, stored_at = ?,"
        " evidence_signed = ?, evidence_signature = ? WHERE document_id = ? AND unit = ?",
        (after.value, attempt, reason, at, stored_at, evidence.signed, evidence.signature, document_id, unit),
    )
    return bool(row["evidence_signed"] != evidence.signed)


def reopen_delivery(
    connection: sqlite3.Connection, *, document_id: str, unit: str, attempt: int, host: str
) -> bool:
    """A requeue opened the next attempt."""
    changed = connection.execute(
        "UPDATE sent_delivery SET state = 'in_flight', attempt = ?, host = ?, reason = '', at = 0,"
        " stored_at = 0, evidence_signed = NULL, evidence_signature = NULL"
        " WHERE document_id = ? AND unit = ? AND attempt < ?",
        (attempt, host, document_id, unit, attempt),
    )
    return changed.rowcount == 1


def send_again(connection: sqlite3.Connection, since: int) -> int:
    """After the axis lost part of its journal: everything accepted since then is submitted once more.

    The acceptance stays as evidence, without a place in the journal: it may have vanished.
    """
    connection.execute(
        "DELETE FROM counted WHERE event = 'sent' AND document_id IN"
        " (SELECT document_id FROM sent WHERE created_at >= ? AND state = 'accepted')",
        (since,),
    )
    changed = connection.execute(
        "UPDATE sent SET state = 'queued', next_attempt_at = 0, attempts = 0, accepted_sequence = 0,"
        " accepted_at = 0 WHERE created_at >= ? AND state = 'accepted'",
        (since,),
    )
    connection.execute("UPDATE sent SET next_attempt_at = 0 WHERE state = 'queued'")
    return changed.rowcount


def forget_outcomes(connection: sqlite3.Connection) -> None:
    """The axis may have lost receipts and notices: what they closed or opened is as accepted, until they
    come again. Where the axis lost a receipt, its operator may have closed the delivery before the recipient
    handed it in again: then that is what holds.

    The evidence of a receipt is kept: when the same comes again, nothing is told.
    """
    connection.execute(
        "UPDATE sent_delivery SET state = 'in_flight' WHERE state IN ('received', 'refused') AND attempt = 1"
    )
    rows = connection.execute(
        "SELECT d.document_id, d.unit, s.acceptance_signed"
        " FROM sent_delivery d JOIN sent s USING (document_id)"
        " WHERE (d.attempt > 1 OR d.state = 'dead') AND s.acceptance_signed IS NOT NULL"
    ).fetchall()
    for row in rows:
        accepted = evidence_pb2.Acceptance.FromString(row["acceptance_signed"][len(Kind.ACCEPTANCE.line) :])
        host = next(one.host for one in accepted.deliveries if one.unit == row["unit"])
        connection.execute(
            "UPDATE sent_delivery SET state = 'in_flight', attempt = 1, host = ?, reason = '', at = 0,"
            " stored_at = 0, evidence_signed = NULL, evidence_signature = NULL"
            " WHERE document_id = ? AND unit = ?",
            (host, row["document_id"], row["unit"]),
        )


def hurry(connection: sqlite3.Connection) -> None:
    """The axis is in reach again: what only waited for that is due now."""
    connection.execute("UPDATE sent SET next_attempt_at = 0 WHERE state = 'queued' AND code = 'unavailable'")
    connection.execute(
        "UPDATE receipt SET next_attempt_at = 0 WHERE state = 'queued' AND code = 'unavailable'"
    )
    connection.execute("UPDATE held SET next_attempt_at = 0 WHERE code = 'unavailable'")
