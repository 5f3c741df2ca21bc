"""The inbox: documents and statuses for this node's units, decisions on them, and what is held back.

Every function that takes a connection is a change for `Store.write` and can be repeated without effect.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from axispb.v1 import api_pb2, evidence_pb2

from agencies.attachments import AttachmentRow, put_attachments
from agencies.store.counting import count
from agencies.store.database import Store
from agencies.store.originals import keep_issued
from agencies.store.receipt_queue import count_outcome, forget_outcome
from agencies.store.statuses import keep_status
from axis.core.envelope import Envelope, Kind
from axis.core.errors import Refusal
from axis.core.lifecycle import InboxEvent, InboxState, inbox_after
from axis.core.receipt import Binding

__all__ = [
    "Incoming",
    "SignedReceipt",
    "binding",
    "close_by_axis",
    "decide",
    "drop_held",
    "hold",
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
    sender_unit: str  # primary code; empty where the document does not verify
    subject: str
    code_number: str
    urgent: bool
    size: int
    received_at: int
    trace_id: str
    attachments: tuple[AttachmentRow, ...]
    receipts: tuple[SignedReceipt, ...]
    requeued_at: int = 0  # of the notice; 0 for a first attempt
    packet_signature: str = ""  # what was made of it, as JSON; empty without a packet


def store_document(connection: sqlite3.Connection, incoming: Incoming) -> bool:
    """Store a document with its receipts. False where nothing was new.

    Under another acceptance than the stored one (the axis lost that) the receipts are replaced, and what was
    counted under it is counted anew. Refusal `unavailable` where the software has decided since the receipts
    were made: they must be made again.
    """
    row = connection.execute(
        "SELECT acceptance_signed FROM received WHERE document_id = ?", (incoming.document_id,)
    ).fetchone()
    replaced = row is not None and row["acceptance_signed"] != incoming.acceptance.signed
    new = row is None or replaced
    if row is None:
        _insert(connection, incoming)
    elif replaced:
        _replace(connection, incoming)
    elif incoming.requeued_at and not incoming.failure:
        # What kept the content away at the attempt before does not any more; the header was verified then.
        connection.execute(
            "UPDATE received SET failure = '' WHERE document_id = ?"
            " AND failure IN ('attachment_mismatch', 'packet_signature_invalid')",
            (incoming.document_id,),
        )
    put_attachments(connection, "received", incoming.document_id, incoming.attachments)
    if incoming.kind == Kind.STATUS and not incoming.failure:
        keep_status(connection, "received", incoming.envelope, incoming.accepted_at)
    if incoming.kind == Kind.DOCUMENT and not incoming.failure:
        keep_issued(connection, incoming.envelope, incoming.sender_unit, incoming.accepted_at)
    for receipt in incoming.receipts:
        new = _put_receipt(connection, incoming, receipt, replaced) or new
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
    return new


def _replace(connection: sqlite3.Connection, incoming: Incoming) -> None:
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
    connection.execute(
        "DELETE FROM counted WHERE document_id = ? AND event <> 'sent'", (incoming.document_id,)
    )


def _insert(connection: sqlite3.Connection, incoming: Incoming) -> None:
    connection.execute(
        "INSERT INTO received (document_id, kind, failure, signed, signature, acceptance_signed,"
        " acceptance_signature, accepted_sequence, accepted_at, sender_unit, subject, code_number, urgent,"
        " bytes, received_at, trace_id, packet_signature)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            incoming.packet_signature,
        ),
    )


def _put_receipt(
    connection: sqlite3.Connection, incoming: Incoming, receipt: SignedReceipt, replaced: bool
) -> bool:
    """Add one attempt; one that is there stays as it is, unless it was for a vanished acceptance."""
    row = connection.execute(
        "SELECT state, signed FROM receipt WHERE document_id = ? AND unit = ? AND attempt = ?",
        (incoming.document_id, receipt.unit, receipt.attempt),
    ).fetchone()
    waits = receipt.envelope is None
    if (replaced and waits) or (row is None and incoming.requeued_at):
        # News to the software: it comes up again behind the cursor, which may be ahead of a restored store.
        connection.execute(
            "UPDATE received SET number = 1 + max((SELECT max(number) FROM received),"
            " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'received'), 0)) WHERE document_id = ?",
            (incoming.document_id,),
        )
    if row is not None and row["signed"] is None and (not replaced or (waits and row["state"] == "waiting")):
        return False
    if row is not None and row["signed"] is not None:
        if _acceptance_of(row["signed"]) == incoming.acceptance.signed_sha256:
            return False
        if waits:
            raise Refusal("unavailable", "the software has decided meanwhile")
    connection.execute(
        "INSERT OR REPLACE INTO receipt (document_id, unit, attempt, outcome,"
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
    )
    return True


def _acceptance_of(receipt_signed: bytes) -> bytes:
    """SHA-256 of the acceptance that a receipt of ours is bound to."""
    return evidence_pb2.Receipt.FromString(receipt_signed[len(Kind.RECEIPT.line) :]).acceptance_sha256


def binding(store: Store, document_id: str) -> Binding:
    """What receipts for a document that came are bound to. Refusal `document_unknown`."""
    row = store.row("SELECT * FROM received WHERE document_id = ?", document_id)
    if row is None:
        raise Refusal("document_unknown", f"no document {document_id[:64]} in the inbox")
    return Binding.of(
        Envelope(row["signed"], row["signature"]),
        Envelope(row["acceptance_signed"], row["acceptance_signature"]),
    )


def decide(connection: sqlite3.Connection, document_id: str, receipt: SignedReceipt) -> bool:
    """The software's decision on an attempt that waits for it. False where it was decided before.

    Refusal `unavailable` where the document has got another acceptance since the receipt was made.
    """
    if receipt.envelope is None:
        raise ValueError("a decision has a signed receipt")
    row = connection.execute(
        "SELECT acceptance_signed FROM received WHERE document_id = ?", (document_id,)
    ).fetchone()
    if hashlib.sha256(row["acceptance_signed"]).digest() != _acceptance_of(receipt.envelope.signed):
        raise Refusal("unavailable", "the axis was restored meanwhile; decide again")
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


def close_by_axis(connection: sqlite3.Connection, notice: evidence_pb2.Notice, at: int) -> str:
    """The axis closed an attempt that this node had: no receipt is needed any more.

    Where one was taken before, the axis lost it, and was closed before it came again: it counts no more.
    The state in which the receipt was; empty where the attempt is unknown here.
    """
    key = (notice.document_id, notice.recipient_unit, notice.attempt)
    row = connection.execute(
        "SELECT state FROM receipt WHERE document_id = ? AND unit = ? AND attempt = ?", key
    ).fetchone()
    if row is None:
        return ""
    connection.execute(
        "UPDATE receipt SET state = 'stopped', code = 'delivery_closed', sequence = 0"
        " WHERE document_id = ? AND unit = ? AND attempt = ? AND state IN ('waiting', 'queued', 'taken')",
        key,
    )
    forget_outcome(connection, *key)
    count_outcome(connection, *key, "dead", at)
    return str(row["state"])


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
