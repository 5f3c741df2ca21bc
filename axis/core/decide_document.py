"""Deciding whether the axis accepts a document or a status (design: repeats first, then the rest).

The order of the checks is part of the protocol: who calls, whether these bytes are known, who sends, with
which certificate, when, to whom. What was accepted once stays accepted, whatever has become of its sender
or recipients since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from axispb.v1 import document_pb2, evidence_pb2, journal_pb2

from axis.core.commands import Accept, AcceptanceAnswer, Decision
from axis.core.document import check_created
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.core.facts import Facts
from axis.core.lookup import certificate, delivery, document, founded, host_of, resolve, unit

if TYPE_CHECKING:
    from axis.core.trust import CertificateInfo

__all__ = ["accept", "axis_id_of", "check_acting", "check_peer", "check_signer"]

#: The kinds of bad recipients; the first that occurs gives the refusal its code.
_RECIPIENT_CODES: Final = ("recipient_unknown", "recipient_suspended", "recipient_duplicate")


def accept(command: Accept, facts: Facts, now: int, sign: Callable[[bytes], bytes]) -> Decision:
    """One `accepted` record with the signed acceptance, or the place of the one that is there."""
    verified, message = command.verified, command.verified.message
    envelope = verified.envelope
    check_peer(command.peer, message.acting_organisation)
    known = document(facts, message.document_id)
    if known is not None:
        if known.signed_sha256 != envelope.signed_sha256:
            raise Refusal("id_reused", f"{message.document_id} belongs to other bytes")
        return Decision((), AcceptanceAnswer(None, known.accepted_sequence, repeated=True))
    sender = _check_sender(message, facts)
    check_signer(verified.signer, facts, now)
    check_created(message.created_at, now)
    recipients = _resolve_recipients(message.recipients, facts)
    if isinstance(message, document_pb2.Status):
        _check_exchange(message, sender, recipients[0], facts)
    acceptance = evidence_pb2.Acceptance(
        axis_id=axis_id_of(facts),
        document_id=message.document_id,
        kind=verified.kind.value,
        signed_sha256=envelope.signed_sha256,
        signature_sha256=envelope.signature_sha256,
        deliveries=[evidence_pb2.Destination(unit=u, host=host_of(facts, u)) for u in recipients],
        accepted_at=now,
    )
    signed = signed_bytes(Kind.ACCEPTANCE, acceptance)
    answer = Envelope(signed, sign(signed))
    accepted = journal_pb2.Accepted(
        kind=verified.kind.value, envelope=envelope.to_message(), acceptance=answer.to_message()
    )
    record = journal_pb2.Record(trace_id=command.trace_id, accepted=accepted)
    return Decision((record,), AcceptanceAnswer(answer, None, repeated=False))


def axis_id_of(facts: Facts) -> str:
    """Which axis this journal belongs to; Refusal `unavailable` before it is founded."""
    origin = founded(facts)
    if origin is None:
        raise Refusal("unavailable", "this journal has not been founded")
    return origin.axis_id


def check_peer(peer: str, acting_organisation: str) -> None:
    """Only the organisation that signed may hand its bytes in: what is answered is for it alone."""
    if peer != acting_organisation:
        detail = f"the TLS certificate names {peer}, the signed bytes name {acting_organisation}"
        raise Refusal("organisation_mismatch", detail)


def check_acting(organisation: str, facts: Facts) -> None:
    """A suspended organisation may do nothing at all. Refusal `sender_not_registered`, `sender_suspended`."""
    acting = unit(facts, organisation)
    if acting is None:
        raise Refusal("sender_not_registered", f"{organisation} is not registered")
    if acting.suspended:
        raise Refusal("sender_suspended", f"{organisation} is suspended")


def check_signer(signer: CertificateInfo, facts: Facts, now: int) -> None:
    """Judge the signing certificate at the very place of the record: the head may have moved since.

    Refusals `certificate_unknown`, `certificate_revoked`, `certificate_expired`,
    `certificate_not_yet_valid`.
    """
    fact = certificate(facts, signer.sha256)
    if fact is None:
        raise Refusal("certificate_unknown", f"certificate {signer.serial} is not in the journal")
    if fact.revoked_sequence:
        raise Refusal("certificate_revoked", f"certificate {signer.serial}: {fact.revocation_reason}")
    if now > signer.not_after:
        raise Refusal("certificate_expired", f"certificate {signer.serial} has expired")
    if now < signer.not_before:
        raise Refusal("certificate_not_yet_valid", f"certificate {signer.serial} is not valid yet")


def _check_sender(message: document_pb2.Document | document_pb2.Status, facts: Facts) -> str:
    """The sending unit's primary code."""
    sender = resolve(facts, message.sender_unit)
    fact = unit(facts, sender) if sender is not None else None
    if sender is None or fact is None:
        raise Refusal("sender_not_registered", f"{message.sender_unit} is not registered")
    check_acting(message.acting_organisation, facts)
    if fact.suspended:
        raise Refusal("sender_suspended", f"{sender} is suspended")
    if host_of(facts, sender) != message.acting_organisation:
        raise Refusal("not_host_of_unit", f"{message.acting_organisation} does not host {sender}")
    return sender


def _resolve_recipients(codes: Iterable[str], facts: Facts) -> list[str]:
    """Primary codes in the order given; one Refusal that names every bad recipient."""
    resolved: dict[str, None] = {}
    problems: dict[str, str] = {}
    for given in codes:
        primary = resolve(facts, given)
        fact = unit(facts, primary) if primary is not None else None
        if primary is None or fact is None:
            problems[given] = "recipient_unknown"
        elif primary in resolved:
            problems.setdefault(given, "recipient_duplicate")
        else:
            resolved[primary] = None
            if fact.suspended:
                problems[given] = "recipient_suspended"
    for name in _RECIPIENT_CODES:
        if name in problems.values():
            detail = ", ".join(f"{given} ({problem})" for given, problem in problems.items())
            raise Refusal(name, f"bad recipients: {detail}", extra={"recipients": problems})
    return list(resolved)


def _check_exchange(status: document_pb2.Status, sender: str, recipient: str, facts: Facts) -> None:
    """A status goes from one side of a document's exchange to the other. Which codes may follow which is
    the nodes' business: a status out of order is kept and flagged there.
    """
    if not status.about_document_id:
        return  # an edXML message about a document that nobody could find: delivered all the same
    about = document(facts, status.about_document_id)
    if about is None or about.kind != Kind.DOCUMENT:
        raise Refusal("document_unknown", f"no document {status.about_document_id}")
    sides = {(sender, recipient), (recipient, sender)}
    receivers = [r for s, r in sides if s == about.sender_unit]
    deliveries = [delivery(facts, status.about_document_id, receiver) for receiver in receivers]
    if all(fact is None for fact in deliveries):
        detail = f"{sender} and {recipient} are not the two sides of {status.about_document_id}"
        raise Refusal("not_a_recipient", detail)
