"""What each kind of record does, one function a kind; `axis.core.state` applies them.

The functions are called with the record's body and a `Step`. They move deliveries through the table of
`axis.core.lifecycle` only, so a record that cannot follow raises `IllegalEvent` and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from axispb.v1 import document_pb2, evidence_pb2, facts_pb2, journal_pb2
from google.protobuf.message import Message

from axis.core.document import is_urgent
from axis.core.envelope import Envelope, Kind, parse
from axis.core.facts import Changes, Facts
from axis.core.lifecycle import DeliveryEvent, DeliveryState, delivery_after
from axis.core.lookup import (
    FOUNDED_KEY,
    accepted_key,
    alias_key,
    blob_key,
    certificate,
    certificate_key,
    delivery,
    delivery_key,
    document,
    document_key,
    enrolled_key,
    late_key,
    levels_below,
    levels_key,
    open_key,
    organisation_key,
    outcome,
    outcome_key,
    registered_by,
    registered_key,
    resolve,
    serial_key,
    token_key,
    unit,
    unit_key,
)
from axis.core.organisation import AXIS, MAX_LEVELS

__all__ = ["EFFECTS", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One record's place, the facts before it and what it changes."""

    sequence: int
    at: int
    facts: Facts
    changes: Changes

    def put(self, key: str, value: Message | bytes) -> None:
        """Set a fact."""
        raw = value if isinstance(value, bytes) else value.SerializeToString(deterministic=True)
        self.changes.facts[key] = (raw, self.sequence)

    def take(self, key: str) -> None:
        """Take a unique key; the engine refuses the frame if it is taken."""
        self.changes.keys[key] = self.sequence


def _founded(body: journal_pb2.Founded, step: Step) -> None:
    step.take(FOUNDED_KEY)
    step.put(FOUNDED_KEY, body)


def _registered(body: journal_pb2.UnitRegistered, step: Step) -> None:
    known = unit(step.facts, body.code)
    if known is None and body.by:
        step.put(registered_key(body.by), str(registered_by(step.facts, body.by) + 1).encode("ascii"))
    fact = known or facts_pb2.UnitFact(
        code=body.code,
        registered_sequence=step.sequence,
        enrolled=step.facts.get(organisation_key(body.code)) is not None,
    )
    for gone in set(fact.old_codes) - set(body.old_codes):
        step.put(alias_key(gone), b"")
    for code in (body.code, *body.old_codes):
        step.put(alias_key(code), facts_pb2.AliasFact(code=body.code))
    if known is None or known.parent != body.parent:
        _note_levels(body.code, body.parent, step)
    fact.name = body.name
    fact.parent = body.parent
    fact.old_codes[:] = body.old_codes
    fact.mail, fact.mobile, fact.fax = body.mail, body.mobile, body.fax
    step.put(unit_key(body.code), fact)


def _note_levels(code: str, parent: str, step: Step) -> None:
    """Say of everything above a unit's new place how many levels are below it now, where that is more than
    was known; who has as many has said so upwards already.
    """
    levels = levels_below(step.facts, code) + 1
    above = unit(step.facts, parent)
    while above is not None and levels_below(step.facts, above.code) < levels <= MAX_LEVELS:
        step.put(levels_key(above.code), str(levels).encode("ascii"))
        above = unit(step.facts, above.parent)
        levels += 1


def _suspended(body: journal_pb2.UnitSuspended, step: Step) -> None:
    _change_unit(body.code, step, suspended=True, suspended_by=body.by)


def _resumed(body: journal_pb2.UnitResumed, step: Step) -> None:
    _change_unit(body.code, step, suspended=False, suspended_by="")


def _change_unit(code: str, step: Step, **values: bool | str) -> None:
    fact = unit(step.facts, code)
    if fact is not None:
        for name, value in values.items():
            setattr(fact, name, value)
        step.put(unit_key(code), fact)


def _token_issued(body: journal_pb2.TokenIssued, step: Step) -> None:
    fact = facts_pb2.TokenFact(code=body.code, expires_at=body.expires_at)
    step.put(token_key(body.secret_sha256), fact)


def _enrolled(body: journal_pb2.Enrolled, step: Step) -> None:
    fact = facts_pb2.EnrolledFact(
        code=body.code,
        tls_key_sha256=body.tls_key_sha256,
        sign_key_sha256=body.sign_key_sha256,
        tls_serial=body.tls_serial,
        sign_serial=body.sign_serial,
    )
    step.take(enrolled_key(body.secret_sha256))
    step.put(enrolled_key(body.secret_sha256), fact)
    _change_unit(body.code, step, enrolled=True)


def _issued(body: journal_pb2.CertificateIssued, step: Step) -> None:
    sha256 = hashlib.sha256(body.certificate).digest()
    fact = facts_pb2.CertificateFact(
        organisation=body.organisation,
        usage=body.usage,
        serial=body.serial,
        certificate=body.certificate,
        hierarchy=body.hierarchy,
        issued_sequence=step.sequence,
    )
    step.take(serial_key(body.serial))
    step.put(serial_key(body.serial), sha256.hex().encode("ascii"))
    step.put(certificate_key(sha256), fact)
    if body.organisation != AXIS:
        # Whoever holds a certificate has a node; said by the enrolment too, which a journal that was
        # restored from an older copy may have lost. It may have lost the registration, too: that comes
        # again later, and finds what is noted here.
        if unit(step.facts, body.organisation) is not None:
            _change_unit(body.organisation, step, enrolled=True)
        elif step.facts.get(organisation_key(body.organisation)) is None:
            step.put(organisation_key(body.organisation), b"1")
        step.changes.add_feed([body.organisation], False, step.sequence)


def _revoked(body: journal_pb2.CertificateRevoked, step: Step) -> None:
    fact = certificate(step.facts, body.certificate_sha256)
    if fact is not None:
        fact.revoked_sequence = step.sequence
        fact.revoked_at = body.revoked_at
        fact.revocation_reason = body.reason
        step.put(certificate_key(body.certificate_sha256), fact)


def _accepted(body: journal_pb2.Accepted, step: Step) -> None:
    envelope = Envelope.from_message(body.envelope)
    signed_acceptance = Envelope.from_message(body.acceptance)
    acceptance = cast(evidence_pb2.Acceptance, parse(signed_acceptance.signed, Kind.ACCEPTANCE))
    message = cast("document_pb2.Document | document_pb2.Status", parse(envelope.signed, Kind(body.kind)))
    fact = facts_pb2.DocumentFact(
        kind=body.kind,
        accepted_sequence=step.sequence,
        sender_unit=resolve(step.facts, message.sender_unit) or message.sender_unit,
        sender_host=message.acting_organisation,
        signed_sha256=envelope.signed_sha256,
        signature_sha256=envelope.signature_sha256,
        acceptance_sha256=signed_acceptance.signed_sha256,
        accepted_at=step.at,
    )
    if isinstance(message, document_pb2.Document):
        fact.urgent = is_urgent(message.fields)
        fact.bytes = sum(attachment.size for attachment in message.attachments)
        for attachment in message.attachments:
            if step.facts.get(blob_key(attachment.sha256)) is None:
                step.put(blob_key(attachment.sha256), message.document_id.encode("ascii"))
    else:
        # A status travels in the lane of what it is about, so that it does not overtake or trail it far.
        about = document(step.facts, message.about_document_id)
        fact.urgent = about is not None and about.urgent
        fact.about_document_id = message.about_document_id
    step.take(accepted_key(message.document_id))
    step.put(document_key(message.document_id), fact)
    for destination in acceptance.deliveries:
        opened = facts_pb2.DeliveryFact(unit=destination.unit)
        _open(message.document_id, opened, destination.host, DeliveryEvent.ADDRESSED, step)
    hosts = [destination.host for destination in acceptance.deliveries]
    step.changes.add_feed([*hosts, fact.sender_host], fact.urgent, step.sequence)


def _open(
    document_id: str, fact: facts_pb2.DeliveryFact, host: str, event: DeliveryEvent, step: Step
) -> None:
    """Begin a delivery's next attempt. `hosts[attempt - 1]` stays the host of that attempt."""
    before = DeliveryState.from_fact(fact.state) if fact.attempt else None
    fact.state = delivery_after(before, event).fact
    fact.attempt += 1
    fact.host = host
    fact.hosts.append(host)
    fact.opened_at = step.at
    fact.outcome_sequence = 0
    step.put(delivery_key(document_id, fact.unit), fact)
    step.put(open_key(fact.opened_at, document_id, fact.unit), b"1")


def _close(
    document_id: str, fact: facts_pb2.DeliveryFact, event: DeliveryEvent, signed: Envelope, step: Step
) -> None:
    """End the attempt that is in flight, once and for all."""
    fact.state = delivery_after(DeliveryState.from_fact(fact.state), event).fact
    fact.outcome_sequence = step.sequence
    key = outcome_key(document_id, fact.unit, fact.attempt)
    closed = facts_pb2.OutcomeFact(
        state=fact.state, sequence=step.sequence, signed_sha256=signed.signed_sha256
    )
    step.take(key)
    step.put(key, closed)
    step.put(delivery_key(document_id, fact.unit), fact)
    step.put(open_key(fact.opened_at, document_id, fact.unit), b"")


def _receipted(body: journal_pb2.Receipted, step: Step) -> None:
    envelope = Envelope.from_message(body.receipt)
    receipt = cast(evidence_pb2.Receipt, parse(envelope.signed, Kind.RECEIPT))
    about, fact = _exchange(receipt.document_id, receipt.recipient_unit, step.facts)
    received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
    event = DeliveryEvent.RECEIVED if received else DeliveryEvent.REFUSED
    _close(receipt.document_id, fact, event, envelope, step)
    step.changes.add_feed([about.sender_host], about.urgent, step.sequence)


def _late_receipt(body: journal_pb2.LateReceipt, step: Step) -> None:
    envelope = Envelope.from_message(body.receipt)
    receipt = cast(evidence_pb2.Receipt, parse(envelope.signed, Kind.RECEIPT))
    place = receipt.document_id, receipt.recipient_unit, receipt.attempt
    fact = outcome(step.facts, *place) or facts_pb2.OutcomeFact()
    fact.late_signed_sha256 = envelope.signed_sha256
    fact.late_sequence = step.sequence
    step.take(late_key(*place))
    step.put(outcome_key(*place), fact)


def _noticed(body: journal_pb2.Noticed, step: Step) -> None:
    envelope = Envelope.from_message(body.notice)
    notice = cast(evidence_pb2.Notice, parse(envelope.signed, Kind.NOTICE))
    about, fact = _exchange(notice.document_id, notice.recipient_unit, step.facts)
    before = fact.host
    if notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED:
        _open(notice.document_id, fact, notice.host, DeliveryEvent.REQUEUED, step)
    else:
        _close(notice.document_id, fact, DeliveryEvent.CLOSED, envelope, step)
    step.changes.add_feed([about.sender_host, fact.host, before], about.urgent, step.sequence)


def _exchange(
    document_id: str, unit_code: str, facts: Facts
) -> tuple[facts_pb2.DocumentFact, facts_pb2.DeliveryFact]:
    """The document and the delivery that a record is about; KeyError where the journal holds none."""
    about, fact = document(facts, document_id), delivery(facts, document_id, unit_code)
    if about is None or fact is None:
        raise KeyError(f"no delivery of {document_id} to {unit_code}")
    return about, fact


#: Which function a record's body is for.
EFFECTS: Final[dict[str, Callable[[Any, Step], None]]] = {
    "founded": _founded,
    "registered": _registered,
    "suspended": _suspended,
    "resumed": _resumed,
    "token_issued": _token_issued,
    "enrolled": _enrolled,
    "issued": _issued,
    "revoked": _revoked,
    "accepted": _accepted,
    "receipted": _receipted,
    "late_receipt": _late_receipt,
    "noticed": _noticed,
}
