"""What the feed says of this node's own documents: acceptances, receipts, notices.

Refusal `unavailable` means that something that must come first has not come yet; the item waits.
"""

from __future__ import annotations

import hashlib
import sqlite3

from axispb.v1 import api_pb2, evidence_pb2
from google.protobuf.message import DecodeError

from agencies.flow.effects import Effect, Happened, as_listed, document_changed
from agencies.flow.found_again import put_found
from agencies.flow.judge import Accepted, Known, judge_again, judge_receipt
from agencies.identity import Identity
from agencies.store import outbox
from agencies.store.database import Store
from axis.core.envelope import Envelope, Kind
from axis.core.errors import Refusal
from axis.core.lifecycle import DeliveryEvent, DeliveryState, document_state
from axis.core.receipt import Binding
from axis.logs import get_logger

__all__ = [
    "acceptance_effect",
    "binding_of",
    "claimed_document",
    "is_known",
    "notice_effect",
    "receipt_effect",
]

_ID_LIMIT = 64


def acceptance_effect(accepted: Accepted, trace_id: str, *, expected: bool) -> Effect:
    """The journal holds a document of ours: that wins over whatever was answered before.

    `expected`: this home was restored from an older copy, which need not know the document.
    """
    outgoing = as_listed(accepted, trace_id)
    acceptance = accepted.acceptance

    def apply(connection: sqlite3.Connection) -> Happened:
        happened: Happened = []
        row = connection.execute(
            "SELECT signed FROM sent WHERE document_id = ?", (outgoing.document_id,)
        ).fetchone()
        if row is None:
            # Signed with our key, but not by this store: an older copy of the home was brought back, or
            # somebody else has the key.
            if not expected:
                get_logger().error("own_document_unknown", document_id=outgoing.document_id)
                happened = [("alarm", {"what": "own_document_unknown", "document_id": outgoing.document_id})]
            put_found(connection, outgoing)
        elif row["signed"] != accepted.envelope.signed:
            get_logger().error("own_document_differs", document_id=outgoing.document_id)
            return [("alarm", {"what": "own_document_differs", "document_id": outgoing.document_id})]
        new = outbox.accept(connection, acceptance.envelope, acceptance.message, accepted.sequence)
        return happened + (document_changed(outgoing.document_id, "accepted") if new else [])

    return apply


def is_known(item: api_pb2.FeedItem, identity: Identity, store: Store) -> bool:
    """Whether an `accepted` item only repeats what the axis answered to a submission of ours.

    Refusal for an acceptance that does not hold at its place.
    """
    row = store.row(
        "SELECT signed, acceptance_signed, acceptance_signature FROM sent"
        " WHERE accepted_sequence = ? AND state = 'accepted'",
        item.sequence,
    )
    if row is None:
        return False
    acceptance = Envelope(row["acceptance_signed"], row["acceptance_signature"])
    return judge_again(item, identity.context, Known(row["signed"], acceptance, item.sequence))


def receipt_effect(item: api_pb2.FeedItem, identity: Identity, store: Store) -> Effect:
    """A receipt closes a delivery. Refusal for one that does not verify or is not for what we hold."""
    bound = binding_of(store, claimed_document(item.receipt.signed, Kind.RECEIPT), item.accepted_sequence)
    receipt = judge_receipt(item, identity.context, bound)
    message = receipt.message
    _check_host(store, message)
    received = message.outcome == evidence_pb2.OUTCOME_RECEIVED

    def apply(connection: sqlite3.Connection) -> Happened:
        closed = outbox.close_delivery(
            connection,
            document_id=message.document_id,
            unit=message.recipient_unit,
            attempt=message.attempt,
            event=DeliveryEvent.RECEIVED if received else DeliveryEvent.REFUSED,
            reason=message.reason,
            at=item.at,
            stored_at=message.stored_at,
            evidence=receipt.envelope,
        )
        return _changed(connection, message, "received" if received else "refused") if closed else []

    return apply


def notice_effect(message: evidence_pb2.Notice, evidence: Envelope, at: int) -> Effect:
    """What a notice does to a delivery of our own document, if it is one."""

    def apply(connection: sqlite3.Connection) -> Happened:
        if message.kind == evidence_pb2.NOTICE_KIND_REQUEUED:
            changed = outbox.reopen_delivery(
                connection,
                document_id=message.document_id,
                unit=message.recipient_unit,
                attempt=message.attempt,
                host=message.host,
            )
            return _changed(connection, message, "requeued") if changed else []
        changed = outbox.close_delivery(
            connection,
            document_id=message.document_id,
            unit=message.recipient_unit,
            attempt=message.attempt,
            event=DeliveryEvent.CLOSED,
            reason=message.reason,
            at=at,
            stored_at=0,
            evidence=evidence,
        )
        return _changed(connection, message, "dead") if changed else []

    return apply


def _check_host(store: Store, receipt: evidence_pb2.Receipt) -> None:
    """Only the host that the acceptance, or a notice, named may receipt, whatever the axis let through."""
    row = store.row(
        "SELECT host, attempt FROM sent_delivery WHERE document_id = ? AND unit = ?",
        receipt.document_id,
        receipt.recipient_unit,
    )
    if row is None:
        raise Refusal("not_a_recipient", f"{receipt.recipient_unit} is no recipient of this document")
    if row["attempt"] < receipt.attempt:
        raise Refusal("unavailable", f"the notice that opened attempt {receipt.attempt} has not come yet")
    if row["attempt"] == receipt.attempt and row["host"] != receipt.acting_organisation:
        raise Refusal("not_a_recipient", f"{receipt.acting_organisation} is not the delivery's host")


def binding_of(store: Store, document_id: str, accepted_sequence: int) -> Binding:
    """What evidence about a document of ours must be bound to; "not now" while we do not hold it."""
    row = store.row(
        "SELECT signed, acceptance_signed, acceptance_signature, accepted_sequence FROM sent"
        " WHERE document_id = ?",
        document_id,
    )
    if row is None or row["acceptance_signed"] is None or row["accepted_sequence"] != accepted_sequence:
        raise Refusal("unavailable", f"the acceptance of {document_id} has not come yet")
    signed = row["acceptance_signed"]
    acceptance = evidence_pb2.Acceptance.FromString(signed[len(Kind.ACCEPTANCE.line) :])
    return Binding(
        signed_sha256=hashlib.sha256(row["signed"]).digest(),
        signature_sha256=acceptance.signature_sha256,
        acceptance_sha256=hashlib.sha256(signed).digest(),
    )


def claimed_document(signed: bytes, kind: Kind) -> str:
    """The document id that unverified bytes name, to look up what they are about; empty if unreadable."""
    message = evidence_pb2.Receipt() if kind is Kind.RECEIPT else evidence_pb2.Acceptance()
    try:
        message.ParseFromString(signed[len(kind.line) :] if signed.startswith(kind.line) else b"")
    except (DecodeError, UnicodeDecodeError):
        return ""
    return message.document_id[:_ID_LIMIT]


def _changed(
    connection: sqlite3.Connection, message: evidence_pb2.Receipt | evidence_pb2.Notice, outcome: str
) -> Happened:
    """What a delivery's change is to those who watch: the delivery's, and the document's state now."""
    rows = connection.execute(
        "SELECT state FROM sent_delivery WHERE document_id = ?", (message.document_id,)
    ).fetchall()
    state = document_state(DeliveryState(row["state"]) for row in rows)
    delivery: dict[str, object] = {
        "document_id": message.document_id,
        "to": message.recipient_unit,
        "delivery": outcome,
    }
    return [("delivery_changed", delivery), *document_changed(message.document_id, state.value)]
