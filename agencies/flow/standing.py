"""What stands at the axis of this node's own receipts, taken over by a store that does not know it.

A home that was restored from an older copy would sign other receipts for what it receipted before. The axis
says which receipt closed the attempt; it counts only because this organisation has signed it, with
keys of its own: a certificate in its name for keys of somebody else proves nothing here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from axispb.v1 import api_pb2, evidence_pb2

from agencies.flow.effects import Effect, Happened
from agencies.flow.own_certificates import OwnCertificates
from agencies.identity import Identity
from agencies.store.receipt_queue import count_outcome
from axis.core.envelope import Envelope
from axis.core.errors import Refusal
from axis.core.receipt import Binding, check_receipt_binding
from axis.core.verify import Place, verify_receipt
from axis.logs import get_logger

__all__ = ["Standing", "adopt", "adoption", "judge_standing"]

_OUTCOMES = {evidence_pb2.OUTCOME_RECEIVED: "received", evidence_pb2.OUTCOME_REFUSED: "refused"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A receipt of ours that closed an attempt."""

    document_id: str
    unit: str
    attempt: int
    outcome: str
    reason: str
    stored_at: int
    envelope: Envelope
    certificate_sha256: bytes
    sequence: int
    at: int  # of its record


def judge_standing(
    given: api_pb2.Standing,
    document_id: str,
    bound: Binding,
    identity: Identity,
    own_certificates: OwnCertificates,
) -> Standing | None:
    """Verify what the axis says that stands; None for its own notice of death, which the feed brings.

    The directory is at least as new as the axis's record. Raises Refusal for what does not hold.
    """
    if given.outcome == "dead":
        return None
    envelope = Envelope.from_message(given.receipt)
    verified = verify_receipt(envelope, identity.context, Place(given.sequence, given.at))
    message = verified.message
    check_receipt_binding(message, bound)
    ours = (document_id, given.unit, given.attempt, given.outcome, identity.code)
    outcome = _OUTCOMES[message.outcome]
    if ours != (
        message.document_id,
        message.recipient_unit,
        message.attempt,
        outcome,
        message.acting_organisation,
    ):
        raise Refusal("field_invalid", "the receipt that stands is about something else")
    issued = identity.context.certificates.certificate(verified.signer.sha256)
    if issued is None or not own_certificates.may_be_ours(verified.signer, issued.issued_sequence):
        raise Refusal("certificate_unknown", f"certificate {verified.signer.serial} is not for keys of ours")
    return Standing(
        document_id=document_id,
        unit=given.unit,
        attempt=given.attempt,
        outcome=outcome,
        reason=message.reason,
        stored_at=message.stored_at,
        envelope=envelope,
        certificate_sha256=verified.signer.sha256,
        sequence=given.sequence,
        at=given.at,
    )


def adopt(connection: sqlite3.Connection, stands: Standing) -> None:
    """Put the receipt that stands in the place of whatever this store would have said. Repeatable.

    Nothing for an attempt that has not come here.
    """
    key = (stands.document_id, stands.unit, stands.attempt)
    changed = connection.execute(
        "UPDATE receipt SET outcome = ?, reason = ?, stored_at = ?, signed = ?, signature = ?,"
        " certificate_sha256 = ?, state = 'taken', code = '', sequence = ?"
        " WHERE document_id = ? AND unit = ? AND attempt = ?",
        (
            stands.outcome,
            stands.reason,
            stands.stored_at,
            stands.envelope.signed,
            stands.envelope.signature,
            stands.certificate_sha256,
            stands.sequence,
            *key,
        ),
    )
    if not changed.rowcount:
        return
    connection.execute(
        "DELETE FROM counted WHERE document_id = ? AND unit = ? AND attempt = ?"
        " AND event IN ('received', 'refused')",
        key,
    )
    count_outcome(connection, *key, stands.outcome, stands.at)


def adoption(
    standing: Iterable[api_pb2.Standing],
    document_id: str,
    bound: Binding,
    identity: Identity,
    own_certificates: OwnCertificates,
) -> Effect:
    """The effect of what a feed item says that stands. What does not hold is logged and left out."""
    holding = []
    for given in standing:
        try:
            stands = judge_standing(given, document_id, bound, identity, own_certificates)
        except Refusal as refusal:
            get_logger().error("standing_invalid", document_id=document_id, code=refusal.name)
            continue
        if stands is not None:
            holding.append(stands)

    def apply(connection: sqlite3.Connection) -> Happened:
        for stands in holding:
            adopt(connection, stands)
        return []

    return apply
