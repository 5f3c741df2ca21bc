"""The inbox: documents and statuses for this node's units, the receipts for them, and what is held back.

Every function that takes a connection is a change for `Store.write` and can be repeated without effect.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from axispb.v1 import api_pb2, evidence_pb2

from agencies.counting import count
from agencies.outbox import AttachmentRow, put_attachments
from agencies.store import Store
from axis.core.envelope import Envelope
from axis.core.lifecycle import InboxEvent, InboxState, inbox_after

__all__ = [
    "Incoming",
    "ReceiptDue",
    "SignedReceipt",
    "close_by_axis",
    "decide",
    "drop_held",
    "hold",
    "next_receipt_due",
    "postpone_receipt",
    "receipts_due",
    "resign_receipt",
    "send_receipts_again",
    "settle_receipt",
    "store_document",
]


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """One outcome for one attempt to one unit; without an envelope the software has yet to decide."""

    unit: str
    attempt: int
    outcome: InboxState
    reason: str
    stored_at: int
    envelope: Envelope | None
    certificate_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document that came and was judged. `failure` is the code it failed with for good, else empty."""

    kind: str
    document_id: str
    failure: str
    envelope: Envelope
    acceptance: Envelope
    accepted_sequence: int
    accepted_at: int
    sender_unit: str
    subject: str
    code_number: str
    urgent: bool
    size: int
    received_at: int
    trace_id: str
    attachments: tuple[AttachmentRow, ...]
    receipts: tuple[SignedReceipt, ...]
    requeued_at: int = 0  # of the notice; 0 for a first attempt


@dataclass(frozen=True, slots=True)
class ReceiptDue:
    """A receipt to be sent now."""

    document_id: str
    unit: str
    attempt: int
    outcome: str
    envelope: Envelope
    certificate_sha256: bytes
    attempts: int


def store_document(connection: sqlite3.Connection, incoming: Incoming) -> bool:
    """Store a document with its receipts. False where nothing was new.

    Under another acceptance than the stored one (the axis lost that) the receipts are replaced.
    """
    row = connection.execute(
        "SELECT acceptance_signed FROM received WHERE document_id = ?", (incoming.document_id,)
    ).fetchone()
    replaced = row is not None and row["acceptance_signed"] != incoming.acceptance.signed
    new = row is None or replaced
    if row is None:
        _insert(connection, incoming)
    elif replaced:
        connection.execute(
            "UPDATE received SET acceptance_signed = ?, acceptance_signature = ?, signature = ?,"
            " accepted_sequence = ?, accepted_at = ?, failure = ? WHERE document_id = ?",
            (
                incoming.acceptance.signed,
                incoming.acceptance.signature,
                incoming.envelope.signature,
                incoming.accepted_sequence,
                incoming.accepted_at,
                incoming.failure,
                incoming.document_id,
            ),
        )
    put_attachments(connection, "received", incoming.document_id, incoming.attachments)
    for receipt in incoming.receipts:
        new = _insert_receipt(connection, incoming, receipt, replaced) or new
    return new


def _insert(connection: sqlite3.Connection, incoming: Incoming) -> None:
    connection.execute(
        "INSERT INTO received (document_id, kind, failure, signed, signature, acceptance_signed,"
        " acceptance_signature, accepted_sequence, accepted_at, sender_unit, subject, code_number, urgent,"
        " bytes, received_at, trace_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            incoming.document_id,
            incoming.kind,
            incoming.failure,
            incoming.envelope.signed,
            incoming.envelope.signature,
            incoming.acceptance.signed,
            incoming.acceptance.signature,
            incoming.accepted_sequence,
            incoming.accepted_at,
            incoming.sender_unit,
            incoming.subject,
            incoming.code_number,
            int(incoming.urgent),
            incoming.size,
            incoming.received_at,
            incoming.trace_id,
        ),
    )


def _insert_receipt(
    connection: sqlite3.Connection, incoming: Incoming, receipt: SignedReceipt, replace: bool
) -> bool:
    """Add one attempt; an attempt that is there stays as it is, unless its acceptance has vanished."""
    added = connection.execute(
        f"INSERT OR {'REPLACE' if replace else 'IGNORE'} INTO receipt (document_id, unit, attempt, outcome,"
        " reason, stored_at, signed, signature, certificate_sha256, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            incoming.document_id,
            receipt.unit,
            receipt.attempt,
            receipt.outcome.value,
            receipt.reason,
            receipt.stored_at,
            receipt.envelope.signed if receipt.envelope else None,
            receipt.envelope.signature if receipt.envelope else None,
            receipt.certificate_sha256,
            "queued" if receipt.envelope else "waiting",
        ),
    ).rowcount
    if added != 1:
        return False
    if incoming.requeued_at and not replace:
        # A later attempt is news to the software: it comes up again behind the cursor.
        connection.execute(
            "UPDATE received SET number = (SELECT max(number) + 1 FROM received) WHERE document_id = ?",
            (incoming.document_id,),
        )
    count(
        connection,
        "requeued" if incoming.requeued_at else "addressed",
        document_id=incoming.document_id,
        unit=receipt.unit,
        attempt=receipt.attempt,
        kind=incoming.kind,
        at=incoming.requeued_at or incoming.accepted_at,
        accepted_at=incoming.accepted_at,
        size=incoming.size,
    )
    return True


def decide(connection: sqlite3.Connection, document_id: str, receipt: SignedReceipt) -> bool:
    """The software's decision on an attempt that waits for it. False where it was decided before."""
    if receipt.envelope is None:
        raise ValueError("a decision has a signed receipt")
    after = inbox_after(InboxState.WAITING, InboxEvent(receipt.outcome.value))
    changed = connection.execute(
        "UPDATE receipt SET outcome = ?, reason = ?, stored_at = ?, signed = ?, signature = ?,"
        " certificate_sha256 = ?, state = 'queued', next_attempt_at = 0"
        " WHERE document_id = ? AND unit = ? AND attempt = ? AND outcome = 'waiting' AND state = 'waiting'",
        (
            after.value,
            receipt.reason,
            receipt.stored_at,
            receipt.envelope.signed,
            receipt.envelope.signature,
            receipt.certificate_sha256,
            document_id,
            receipt.unit,
            receipt.attempt,
        ),
    )
    return changed.rowcount == 1


def receipts_due(store: Store, now: int, limit: int) -> list[ReceiptDue]:
    """Receipts whose time has come, those of urgent documents first."""
    rows = store.rows(
        "SELECT r.document_id, r.unit, r.attempt, r.outcome, r.signed, r.signature, r.certificate_sha256,"
        " r.attempts FROM receipt r JOIN received d USING (document_id)"
        " WHERE r.state = 'queued' AND r.next_attempt_at <= ?"
        " ORDER BY d.urgent DESC, r.next_attempt_at, d.number LIMIT ?",
        now,
        limit,
    )
    return [
        ReceiptDue(
            row["document_id"],
            row["unit"],
            row["attempt"],
            row["outcome"],
            Envelope(row["signed"], row["signature"]),
            row["certificate_sha256"],
            row["attempts"],
        )
        for row in rows
    ]


def next_receipt_due(store: Store, now: int) -> int | None:
    """When the next receipt that is not due yet will be."""
    row = store.row(
        "SELECT min(next_attempt_at) AS at FROM receipt WHERE state = 'queued' AND next_attempt_at > ?", now
    )
    return row["at"] if row is not None else None


_THIS = " WHERE document_id = ? AND unit = ? AND attempt = ? AND signed = ?"


def _this(due: ReceiptDue) -> tuple[object, ...]:
    return due.document_id, due.unit, due.attempt, due.envelope.signed


def resign_receipt(
    connection: sqlite3.Connection, due: ReceiptDue, envelope: Envelope, certificate_sha256: bytes
) -> None:
    """The same signed bytes under a newer certificate."""
    connection.execute(
        "UPDATE receipt SET signature = ?, certificate_sha256 = ?" + _THIS,
        (envelope.signature, certificate_sha256, *_this(due)),
    )


def postpone_receipt(connection: sqlite3.Connection, due: ReceiptDue, code: str, at: int) -> None:
    """A try failed for now."""
    connection.execute(
        "UPDATE receipt SET attempts = attempts + 1, code = ?, next_attempt_at = ?" + _THIS,
        (code, at, *_this(due)),
    )


def settle_receipt(
    connection: sqlite3.Connection, due: ReceiptDue, *, sequence: int, code: str, at: int
) -> None:
    """The axis answered for good: taken at `sequence`, or stopped with `code`."""
    connection.execute(
        "UPDATE receipt SET attempts = attempts + 1, state = ?, code = ?, sequence = ?" + _THIS,
        ("stopped" if code else "taken", code, sequence, *_this(due)),
    )
    if not code:
        _count_outcome(connection, due.document_id, due.unit, due.attempt, due.outcome, at)


def _count_outcome(
    connection: sqlite3.Connection, document_id: str, unit: str, attempt: int, event: str, at: int
) -> None:
    row = connection.execute(
        "SELECT kind, accepted_at, bytes FROM received WHERE document_id = ?", (document_id,)
    ).fetchone()
    count(
        connection,
        event,
        document_id=document_id,
        unit=unit,
        attempt=attempt,
        kind=row["kind"],
        at=at,
        accepted_at=row["accepted_at"],
        size=row["bytes"],
    )


def close_by_axis(connection: sqlite3.Connection, notice: evidence_pb2.Notice, at: int) -> bool:
    """The axis closed an attempt that this node had: no receipt is needed any more.

    False where the attempt is unknown here.
    """
    key = (notice.document_id, notice.recipient_unit, notice.attempt)
    changed = connection.execute(
        "UPDATE receipt SET state = 'stopped', code = 'delivery_closed'"
        " WHERE document_id = ? AND unit = ? AND attempt = ? AND state IN ('waiting', 'queued')",
        key,
    ).rowcount
    if not connection.execute(
        "SELECT 1 FROM receipt WHERE document_id = ? AND unit = ? AND attempt = ?", key
    ).fetchone():
        return False
    _count_outcome(connection, *key, "dead", at)
    return changed == 1


def send_receipts_again(connection: sqlite3.Connection, since: int) -> int:
    """After the axis lost part of its journal: every receipt signed since then is sent once more."""
    return connection.execute(
        "UPDATE receipt SET state = 'queued', attempts = 0, next_attempt_at = 0"
        " WHERE state IN ('taken', 'stopped', 'queued') AND signed IS NOT NULL AND stored_at >= ?",
        (since,),
    ).rowcount


def hold(connection: sqlite3.Connection, item: api_pb2.FeedItem, code: str, detail: str, at: int) -> None:
    """Keep a feed item that cannot be finished yet; the next try is at `at`."""
    connection.execute(
        "INSERT INTO held (sequence, item, code, detail, attempts, next_attempt_at) VALUES (?, ?, ?, ?, 0, ?)"
        " ON CONFLICT (sequence) DO UPDATE SET code = excluded.code, detail = excluded.detail,"
        " attempts = attempts + 1, next_attempt_at = excluded.next_attempt_at",
        (item.sequence, item.SerializeToString(), code, detail, at),
    )


def drop_held(connection: sqlite3.Connection, sequence: int) -> None:
    """The item is finished."""
    connection.execute("DELETE FROM held WHERE sequence = ?", (sequence,))
