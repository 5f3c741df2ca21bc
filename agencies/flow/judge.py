"""What this node itself makes of what the feed brings: nothing is believed because the axis sent it.

Pure: a feed item, the context and this node's code go in; verified messages, or a Refusal, come out. Each
item is judged at its own place in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass

from axispb.v1 import api_pb2, document_pb2, evidence_pb2
from google.protobuf.message import DecodeError

from axis.core.envelope import Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.core.receipt import Binding, check_receipt_binding
from axis.core.verify import (
    Context,
    Place,
    Verified,
    verify_acceptance,
    verify_document,
    verify_notice,
    verify_receipt,
    verify_status,
)

__all__ = [
    "Accepted",
    "Known",
    "addressed_to",
    "check_binding",
    "judge_acceptance",
    "judge_accepted",
    "judge_again",
    "judge_notice",
    "judge_receipt",
]

Original = document_pb2.Document | document_pb2.Status


@dataclass(frozen=True, slots=True)
class Known:
    """A document of ours with the acceptance that was verified when it was answered."""

    signed: bytes
    acceptance: Envelope
    sequence: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document or status with its acceptance, both verified and bound to each other."""

    kind: Kind
    envelope: Envelope
    message: Original
    acceptance: Verified[evidence_pb2.Acceptance]
    sequence: int
    certificate_sha256: bytes  # of the sender's signing certificate

    def units_of(self, host: str) -> list[str]:
        """The units to which this host takes it."""
        return [d.unit for d in self.acceptance.message.deliveries if d.host == host]

    @property
    def binding(self) -> Binding:
        """What receipts for it are bound to."""
        return Binding.of(self.envelope, self.acceptance.envelope)


def check_binding(acceptance: evidence_pb2.Acceptance, envelope: Envelope, document_id: str) -> None:
    """The acceptance must speak of these very bytes and signature; Refusal `field_invalid` if not."""
    pairs = (
        ("document_id", acceptance.document_id, document_id),
        ("signed_sha256", acceptance.signed_sha256, envelope.signed_sha256),
        ("signature_sha256", acceptance.signature_sha256, envelope.signature_sha256),
    )
    for field, given, expected in pairs:
        if given != expected:
            raise Refusal("field_invalid", f"{field}: the acceptance is for something else")


def judge_acceptance(
    acceptance: Envelope, envelope: Envelope, document_id: str, context: Context, sequence: int
) -> Verified[evidence_pb2.Acceptance]:
    """An acceptance that the axis gave for bytes we hold.

    Its own accepted_at is the frame's time, so it names its place itself; a false one would only move the
    moment at which the axis's own certificate is judged.
    """
    claimed = parse(acceptance.signed, Kind.ACCEPTANCE)
    at = claimed.accepted_at if isinstance(claimed, evidence_pb2.Acceptance) else 0
    verified = verify_acceptance(acceptance, context, Place(sequence, at))
    check_binding(verified.message, envelope, document_id)
    return verified


def judge_again(item: api_pb2.FeedItem, context: Context, known: Known) -> bool:
    """Whether an item is the very acceptance that this node has verified, and holds at its place.

    The document is ours, byte for byte, and so is bound; what may be new is the axis's own certificate's
    state, now that the directory is as new as the item.
    """
    same = (
        item.envelope.signed == known.signed
        and item.acceptance.signed == known.acceptance.signed
        and item.acceptance.signature == known.acceptance.signature
        and item.sequence == known.sequence
    )
    if same:
        verify_acceptance(known.acceptance, context, Place(item.sequence, item.at))
    return same


def judge_accepted(item: api_pb2.FeedItem, context: Context) -> Accepted:
    """The document or status of an `accepted` or requeued item. Refusals are final for the item."""
    place = Place(item.accepted_sequence or item.sequence, item.accepted_at or item.at)
    envelope = Envelope.from_message(item.envelope)
    acceptance = verify_acceptance(Envelope.from_message(item.acceptance), context, place)
    kind = Kind(acceptance.message.kind)
    original: Verified[document_pb2.Document] | Verified[document_pb2.Status] = (
        verify_document(envelope, context, place)
        if kind is Kind.DOCUMENT
        else verify_status(envelope, context, place)
    )
    check_binding(acceptance.message, envelope, original.message.document_id)
    if acceptance.message.accepted_at != place.at:
        raise Refusal("field_invalid", "accepted_at: the acceptance names another time than its record")
    return Accepted(kind, envelope, original.message, acceptance, place.sequence, original.signer.sha256)


def judge_receipt(item: api_pb2.FeedItem, context: Context, bound: Binding) -> Verified[evidence_pb2.Receipt]:
    """A receipt for a document of ours, bound to what we hold."""
    place = Place(item.sequence, item.at)
    verified = verify_receipt(Envelope.from_message(item.receipt), context, place)
    check_receipt_binding(verified.message, bound)
    return verified


def judge_notice(item: api_pb2.FeedItem, context: Context) -> Verified[evidence_pb2.Notice]:
    """A notice of the axis. The caller compares its acceptance with the one it holds."""
    return verify_notice(Envelope.from_message(item.notice), context, Place(item.sequence, item.at))


def addressed_to(item: api_pb2.FeedItem, host: str) -> list[str]:
    """The units that an *unverified* acceptance names for this host: to whom a bad item would have gone."""
    acceptance = evidence_pb2.Acceptance()
    signed = item.acceptance.signed
    if not signed.startswith(Kind.ACCEPTANCE.line):
        return []
    try:
        acceptance.ParseFromString(signed[len(Kind.ACCEPTANCE.line) :])
    except (DecodeError, UnicodeDecodeError):
        return []
    return [destination.unit for destination in acceptance.deliveries if destination.host == host]
