"""Verification: the one way from an `Envelope` to a `Verified` one.

The axis at the door, every recipient's node and the audit call the same function with the same context and
so come to the same answer, for ever: nothing here looks at a clock. An envelope is judged *at a place in the
journal*: at the sequence and time of the record that holds it, or would hold it next.

The checks are numbered and their order is kept: what is cheap comes before what is dear, and nothing that a
stranger wrote is believed before the signature over it is checked. A Refusal carries the number in `check`.

Not handled here: whether sender and recipients are registered, who hosts whom, times and repeats
(axis.core.decide); what a receipt is bound to (axis.core.receipt); signatures inside attachments.
`signing_time` is what the signer claims: shown, never judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from axispb.v1 import document_pb2, evidence_pb2, facts_pb2
from google.protobuf.message import Message

from axis.core import cms
from axis.core.document import check_acceptance, check_document, check_notice, check_receipt, check_status
from axis.core.envelope import MAX_SIGNATURE_BYTES, MAX_SIGNED_BYTES, Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.core.organisation import AXIS
from axis.core.trust import Anchors, CertificateInfo

__all__ = [
    "Certificates",
    "Context",
    "Place",
    "Verified",
    "verify",
    "verify_acceptance",
    "verify_document",
    "verify_notice",
    "verify_receipt",
    "verify_status",
]

M_co = TypeVar("M_co", bound=Message, covariant=True)


class Certificates(Protocol):
    """The certificates that ever counted: from the facts at the axis, from the directory at a node."""

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """What the journal says of a certificate, by the SHA-256 of its DER; None if nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the journal something is judged: a record's sequence and its frame's time (milliseconds)."""

    sequence: int
    at: int


@dataclass(frozen=True, slots=True)
class Context:
    """What verification rests on. `certificates` must know the journal at least up to the place."""

    axis_id: str
    anchors: Anchors
    certificates: Certificates


@dataclass(frozen=True, slots=True)
class Verified(Generic[M_co]):
    """An envelope that passed every check. Made by this module only."""

    kind: Kind
    envelope: Envelope
    message: M_co
    signer: CertificateInfo
    signing_time: int  # claimed by the signer, milliseconds since the epoch


_CHECK_FIELDS: Final[dict[Kind, Callable[[Any], None]]] = {
    Kind.DOCUMENT: check_document,
    Kind.STATUS: check_status,
    Kind.RECEIPT: check_receipt,
    Kind.ACCEPTANCE: check_acceptance,
    Kind.NOTICE: check_notice,
}
_BY_THE_AXIS: Final = frozenset({Kind.ACCEPTANCE, Kind.NOTICE})


def verify(envelope: Envelope, kind: Kind, context: Context, place: Place) -> Verified[Message]:
    """Check an envelope of the kind expected here, at its place.

    Raises Refusal whose `check` is the number of the first check that failed: `header_too_large`,
    `signature_malformed`, `kind_mismatch`, `header_malformed`, `axis_mismatch`, `field_invalid`,
    `algorithm_not_allowed`, `signature_invalid`, `organisation_mismatch` or one of `certificate_*`.
    """
    number = 0
    try:
        # (1) Size, before anything is parsed: no giant message may cost memory or time.
        number = 1
        _check_size(envelope)

        # (2) The kind line: a receipt must never pass as a document.
        number = 2
        _check_kind(envelope, kind)

        # (3) The message parses.
        number = 3
        message: Any = parse(envelope.signed, kind)

        # (4) The axis: what was signed for another axis (a test system, a restored copy under other keys)
        # must not be replayed on this one.
        number = 4
        if message.axis_id != context.axis_id:
            raise Refusal("axis_mismatch", "the signed bytes name another axis")

        # (5) The fields, each by itself.
        number = 5
        _CHECK_FIELDS[kind](message)

        # (6) The signature's form and algorithms: a second signer, a doubled attribute or BER would let two
        # readers see two different signatures.
        number = 6
        signature = cms.read(envelope.signature)

        # (7) The other certificates inside are not signed: no foreign or altered one may travel with them.
        number = 7
        _check_others(signature, context.anchors)

        # (8) The certificate leads to the anchor and was valid at the place: a certificate that names an
        # organisation counts only from the axis's own authority.
        number = 8
        signer = context.anchors.path(signature.certificate_der, place.at)

        # (9) The journal issued it and had not revoked it: a certificate made in secret with a stolen
        # authority key is refused, and so is a stolen signing key from its revocation on.
        number = 9
        _check_journalled(signer, context.certificates, place)

        # (10) It is for signing: a TLS key, which sits on every front server, must not sign documents.
        number = 10
        if signer.usage != "sign":
            raise Refusal("certificate_wrong_usage", "this certificate is for TLS, not for signing")

        # (11) The signature is over exactly these bytes, by exactly this certificate.
        number = 11
        cms.check(signature, envelope.signed)

        # (12) The signer is who the message says acts: no organisation signs in another's name, and none
        # writes acceptances or notices in the axis's.
        number = 12
        _check_acting(message, kind, signer)
    except Refusal as refusal:
        refusal.check = number
        raise
    return Verified(kind, envelope, message, signer, signature.signing_time)


def verify_document(envelope: Envelope, context: Context, place: Place) -> Verified[document_pb2.Document]:
    """`verify` a document."""
    return cast(Verified[document_pb2.Document], verify(envelope, Kind.DOCUMENT, context, place))


def verify_status(envelope: Envelope, context: Context, place: Place) -> Verified[document_pb2.Status]:
    """`verify` a status."""
    return cast(Verified[document_pb2.Status], verify(envelope, Kind.STATUS, context, place))


def verify_receipt(envelope: Envelope, context: Context, place: Place) -> Verified[evidence_pb2.Receipt]:
    """`verify` a receipt."""
    return cast(Verified[evidence_pb2.Receipt], verify(envelope, Kind.RECEIPT, context, place))


def verify_acceptance(
    envelope: Envelope, context: Context, place: Place
) -> Verified[evidence_pb2.Acceptance]:
    """`verify` an acceptance: signed by the axis."""
    return cast(Verified[evidence_pb2.Acceptance], verify(envelope, Kind.ACCEPTANCE, context, place))


def verify_notice(envelope: Envelope, context: Context, place: Place) -> Verified[evidence_pb2.Notice]:
    """`verify` a notice: signed by the axis."""
    return cast(Verified[evidence_pb2.Notice], verify(envelope, Kind.NOTICE, context, place))


def _check_size(envelope: Envelope) -> None:
    if len(envelope.signed) > MAX_SIGNED_BYTES:
        raise Refusal(
            "header_too_large", f"{len(envelope.signed)} signed bytes, the limit is {MAX_SIGNED_BYTES}"
        )
    if len(envelope.signature) > MAX_SIGNATURE_BYTES:
        raise Refusal("signature_malformed", f"a signature has at most {MAX_SIGNATURE_BYTES} bytes")


def _check_kind(envelope: Envelope, kind: Kind) -> None:
    found = envelope.kind()
    if found is not kind:
        raise Refusal("kind_mismatch", f"this is a {found}, a {kind} is expected here")


def _check_others(signature: cms.Signature, anchors: Anchors) -> None:
    for der in signature.certificates:
        if der != signature.certificate_der and not anchors.holds(der):
            raise Refusal("certificate_unknown", "a certificate inside the signature is not of this axis")


def _check_journalled(signer: CertificateInfo, certificates: Certificates, place: Place) -> None:
    fact = certificates.certificate(signer.sha256)
    if fact is None or not 0 < fact.issued_sequence <= place.sequence:
        raise Refusal(
            "certificate_unknown", f"the issuance of certificate {signer.serial} is not in the journal"
        )
    if 0 < fact.revoked_sequence <= place.sequence:
        raise Refusal("certificate_revoked", f"certificate {signer.serial} is revoked")


def _check_acting(message: Any, kind: Kind, signer: CertificateInfo) -> None:
    acting = AXIS if kind in _BY_THE_AXIS else message.acting_organisation
    if signer.organisation != acting:
        raise Refusal("organisation_mismatch", f"signed by {signer.organisation}, not by {acting}")
