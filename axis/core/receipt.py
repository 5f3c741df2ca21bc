"""What a receipt is bound to: the very document, signature and acceptance that the receiver held.

A receipt that was cut out of one exchange and put into another fits none of the three hashes. The axis
checks them before it counts the outcome; the sender's node checks them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from axispb.v1 import evidence_pb2

from axis.core.envelope import Envelope
from axis.core.errors import Refusal

__all__ = ["Binding", "Bound", "build_receipt", "check_receipt_binding"]


class Bound(Protocol):
    """The three hashes: a `facts_pb2.DocumentFact` or a `Binding` has them."""

    @property
    def signed_sha256(self) -> bytes:
        """Of the document's signed bytes."""
        ...

    @property
    def signature_sha256(self) -> bytes:
        """Of the document's signature, as the axis stored it."""
        ...

    @property
    def acceptance_sha256(self) -> bytes:
        """Of the acceptance's signed bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """The three hashes, taken from the envelopes themselves."""

    signed_sha256: bytes
    signature_sha256: bytes
    acceptance_sha256: bytes

    @classmethod
    def of(cls, envelope: Envelope, acceptance: Envelope) -> Binding:
        """What a receipt for this document under this acceptance is bound to."""
        return cls(envelope.signed_sha256, envelope.signature_sha256, acceptance.signed_sha256)


def check_receipt_binding(receipt: evidence_pb2.Receipt, bound: Bound) -> None:
    """Refusal `field_invalid` naming the hash that does not fit: the receipt is for something else.

    Not `signature_invalid`: the receiver's signature over the receipt is sound. Not `document_unknown`:
    the document is there, in other bytes than the receipt speaks of.
    """
    pairs = (
        ("signed_sha256", receipt.signed_sha256, bound.signed_sha256),
        ("signature_sha256", receipt.signature_sha256, bound.signature_sha256),
        ("acceptance_sha256", receipt.acceptance_sha256, bound.acceptance_sha256),
    )
    for field, given, expected in pairs:
        if given != expected:
            raise Refusal(
                "field_invalid", f"{field}: this receipt is bound to other bytes than {receipt.document_id}"
            )


def build_receipt(
    *,
    axis_id: str,
    document_id: str,
    bound: Bound,
    recipient_unit: str,
    acting_organisation: str,
    attempt: int,
    received: bool,
    stored_at: int,
    reason: str = "",
) -> evidence_pb2.Receipt:
    """The message that the receiving organisation signs: one outcome for one attempt of one delivery.

    `recipient_unit` is the primary code that the acceptance names; `stored_at` in milliseconds.
    """
    return evidence_pb2.Receipt(
        axis_id=axis_id,
        document_id=document_id,
        signed_sha256=bound.signed_sha256,
        signature_sha256=bound.signature_sha256,
        acceptance_sha256=bound.acceptance_sha256,
        recipient_unit=recipient_unit,
        acting_organisation=acting_organisation,
        attempt=attempt,
        outcome=evidence_pb2.OUTCOME_RECEIVED if received else evidence_pb2.OUTCOME_REFUSED,
        reason=reason,
        stored_at=stored_at,
    )
