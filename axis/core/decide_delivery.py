"""Deciding what becomes of a delivery: receipts, and the operator's and the deadlines' acts.

One outcome per delivery and attempt (design decision 5). The same signed bytes again get the first answer,
whatever has happened since; another receipt for an attempt that is closed is refused, and the first such
receipt is kept as evidence without being counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from axispb.v1 import evidence_pb2, facts_pb2, journal_pb2

from axis.core.commands import Close, Decision, DeliveryAnswer, Expire, ReceiptAnswer, Requeue, TakeReceipt
from axis.core.decide_document import axis_id_of, check_acting, check_peer, check_signer
from axis.core.document import DELIVERY_LIFE_MS, check_text
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.core.facts import Facts
from axis.core.lifecycle import OPEN_AGAIN, DeliveryState
from axis.core.lookup import delivery, document, host_of, outcome, resolve, unit
from axis.core.receipt import check_receipt_binding

__all__ = ["close", "expire", "requeue", "take_receipt"]

_Sign = Callable[[bytes], bytes]

_STATES: Final = {
    evidence_pb2.OUTCOME_RECEIVED: facts_pb2.DELIVERY_STATE_RECEIVED,
    evidence_pb2.OUTCOME_REFUSED: facts_pb2.DELIVERY_STATE_REFUSED,
}
_BY_RECEIPT: Final = frozenset(_STATES.values())


def take_receipt(command: TakeReceipt, facts: Facts, now: int, _sign: _Sign) -> Decision:
    """One `receipted` record; for an attempt that is closed a Refusal, the first time with a record."""
    receipt, envelope = command.verified.message, command.verified.envelope
    check_peer(command.peer, receipt.acting_organisation)
    about = document(facts, receipt.document_id)
    if about is None:
        raise Refusal("document_unknown", f"no document {receipt.document_id}")
    closed = outcome(facts, receipt.document_id, receipt.recipient_unit, receipt.attempt)
    if closed is not None and closed.signed_sha256 == envelope.signed_sha256:
        return Decision((), ReceiptAnswer(closed.sequence, repeated=True))
    _check_host(receipt, facts)
    check_acting(receipt.acting_organisation, facts)
    check_signer(command.verified.signer, facts, now)
    check_receipt_binding(receipt, about)
    if closed is not None:
        return _late(command, closed)
    receipted = journal_pb2.Receipted(receipt=envelope.to_message())
    record = journal_pb2.Record(trace_id=command.trace_id, receipted=receipted)
    return Decision((record,), ReceiptAnswer(None, repeated=False))


def _check_host(receipt: evidence_pb2.Receipt, facts: Facts) -> None:
    """Only the host of this very attempt may receipt; a requeue may have named another."""
    fact = delivery(facts, receipt.document_id, receipt.recipient_unit)
    if fact is None:
        detail = f"{receipt.recipient_unit} is no recipient of {receipt.document_id}"
        raise Refusal("not_a_recipient", detail)
    if receipt.acting_organisation not in fact.hosts:
        detail = f"{receipt.acting_organisation} does not take this delivery for {receipt.recipient_unit}"
        raise Refusal("not_a_recipient", detail)
    if not 1 <= receipt.attempt <= fact.attempt:
        raise Refusal("field_invalid", f"attempt: there is no attempt {receipt.attempt}")
    if fact.hosts[receipt.attempt - 1] != receipt.acting_organisation:
        detail = f"{receipt.acting_organisation} was not the host of attempt {receipt.attempt}"
        raise Refusal("not_a_recipient", detail)


def _late(command: TakeReceipt, closed: facts_pb2.OutcomeFact) -> Decision:
    receipt, envelope = command.verified.message, command.verified.envelope
    conflict = closed.state in _BY_RECEIPT and closed.state != _STATES[receipt.outcome]
    name = "outcome_conflict" if conflict else "delivery_closed"
    state = DeliveryState.from_fact(closed.state)
    refusal = Refusal(name, f"attempt {receipt.attempt} to {receipt.recipient_unit} is {state}")
    if closed.late_sequence:
        return Decision((), refusal)
    late = journal_pb2.LateReceipt(receipt=envelope.to_message(), code=name)
    return Decision((journal_pb2.Record(trace_id=command.trace_id, late_receipt=late),), refusal)


def requeue(command: Requeue, facts: Facts, now: int, sign: _Sign) -> Decision:
    """One `noticed` record that opens the next attempt, at the unit's host of today.

    Refusals `delivery_closed` when it was received, `field_invalid` when it is in flight,
    `recipient_suspended`.
    """
    about, fact = _find(command.document_id, command.unit, facts)
    state = DeliveryState.from_fact(fact.state)
    if state is DeliveryState.RECEIVED:
        raise Refusal("delivery_closed", f"{fact.unit} has received {command.document_id}")
    if state not in OPEN_AGAIN:
        raise Refusal("field_invalid", f"attempt: number {fact.attempt} is still in flight")
    registered = unit(facts, fact.unit)
    if registered is not None and registered.suspended:
        raise Refusal("recipient_suspended", f"{fact.unit} is suspended")
    notice = evidence_pb2.Notice(
        attempt=fact.attempt + 1,
        kind=evidence_pb2.NOTICE_KIND_REQUEUED,
        host=host_of(facts, fact.unit),
        reason=_reason(command.reason),
    )
    return _notice(notice, command.document_id, about, fact, facts, now, sign)


def close(command: Close, facts: Facts, now: int, sign: _Sign) -> Decision:
    """One `noticed` record that ends the attempt in flight; Refusal `delivery_closed` if none is."""
    about, fact = _find_open(command.document_id, command.unit, facts)
    return _dead(_reason(command.reason), command.document_id, about, fact, facts, now, sign)


def expire(command: Expire, facts: Facts, now: int, sign: _Sign) -> Decision:
    """One `noticed` record that ends an attempt after 30 days.

    Refusals `delivery_closed` if none is in flight, `unavailable` before its time.
    """
    about, fact = _find_open(command.document_id, command.unit, facts)
    if now < fact.opened_at + DELIVERY_LIFE_MS:
        raise Refusal("unavailable", f"attempt {fact.attempt} to {fact.unit} still has time")
    return _dead("nobody took it within 30 days", command.document_id, about, fact, facts, now, sign)


def _find(
    document_id: str, any_code: str, facts: Facts
) -> tuple[facts_pb2.DocumentFact, facts_pb2.DeliveryFact]:
    about = document(facts, document_id)
    if about is None:
        raise Refusal("document_unknown", f"no document {document_id[:60]}")
    fact = delivery(facts, document_id, resolve(facts, any_code) or any_code)
    if fact is None:
        raise Refusal("not_a_recipient", f"{any_code[:60]} is no recipient of {document_id}")
    return about, fact


def _find_open(
    document_id: str, any_code: str, facts: Facts
) -> tuple[facts_pb2.DocumentFact, facts_pb2.DeliveryFact]:
    about, fact = _find(document_id, any_code, facts)
    state = DeliveryState.from_fact(fact.state)
    if state is not DeliveryState.IN_FLIGHT:
        raise Refusal("delivery_closed", f"attempt {fact.attempt} to {fact.unit} is {state}")
    return about, fact


def _reason(text: str) -> str:
    check_text(text, "reason")
    return text


def _dead(
    reason: str,
    document_id: str,
    about: facts_pb2.DocumentFact,
    fact: facts_pb2.DeliveryFact,
    facts: Facts,
    now: int,
    sign: _Sign,
) -> Decision:
    notice = evidence_pb2.Notice(attempt=fact.attempt, kind=evidence_pb2.NOTICE_KIND_DEAD, reason=reason)
    return _notice(notice, document_id, about, fact, facts, now, sign)


def _notice(
    notice: evidence_pb2.Notice,
    document_id: str,
    about: facts_pb2.DocumentFact,
    fact: facts_pb2.DeliveryFact,
    facts: Facts,
    now: int,
    sign: _Sign,
) -> Decision:
    """Bind the notice to its delivery and acceptance, and sign it as the axis."""
    notice.axis_id = axis_id_of(facts)
    notice.document_id = document_id
    notice.acceptance_sha256 = about.acceptance_sha256
    notice.recipient_unit = fact.unit
    notice.issued_at = now
    signed = signed_bytes(Kind.NOTICE, notice)
    envelope = Envelope(signed, sign(signed))
    record = journal_pb2.Record(noticed=journal_pb2.Noticed(notice=envelope.to_message()))
    host = notice.host or fact.host
    return Decision((record,), DeliveryAnswer(document_id, fact.unit, notice.attempt, host))
