"""Judging what travels: acceptances bound to documents, receipts to acceptances, one outcome an attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from axispb.v1 import document_pb2, evidence_pb2, journal_pb2

from axis.audit import books as columns
from axis.audit.books import DURATIONS, Attempt, Delivery, Paper, day_of
from axis.audit.line import Line
from axis.audit.terms import listed_words
from axis.core.envelope import Envelope, Kind

if TYPE_CHECKING:
    from axis.audit.judge import Judge

__all__ = ["JUDGES"]

_RECEIVED: Final = evidence_pb2.OUTCOME_RECEIVED
_MAX_AGE: Final = 30 * 86_400_000
_MAX_AHEAD: Final = 5 * 60_000
#: Characters of each text of a document that the views have.
_SHOWN: Final = 2000
_REQUEUED: Final = evidence_pb2.NOTICE_KIND_REQUEUED


def _accepted(judge: Judge, body: journal_pb2.Accepted) -> Line:
    message, envelope = judge.read(body.envelope, Kind(body.kind))
    acceptance, answer = judge.read(body.acceptance, Kind.ACCEPTANCE)
    _check_acceptance(judge, body.kind, message, envelope, acceptance)
    paper = _paper(judge, message, envelope, answer)
    books = judge.books
    known = books.papers.get(message.document_id)
    judge.require(known is None, "accepted_twice", message.document_id)
    books.papers[message.document_id] = paper
    books.ids[judge.sequence] = message.document_id
    day = day_of(judge.at)
    row = books.daily[paper.sender, day, paper.kind]
    row[columns.SENT] += 1
    row[columns.BYTES_SENT] += paper.size
    for ordinal, destination in enumerate(acceptance.deliveries):
        attempt = Attempt(destination.host, judge.sequence, judge.at)
        paper.deliveries[destination.unit] = Delivery(ordinal, [attempt])
        books.daily[destination.unit, day, paper.kind][columns.ADDRESSED] += 1
    hosts = [destination.host for destination in acceptance.deliveries]
    books.into_feeds(judge.sequence, paper.urgent, paper.host, *hosts)
    if paper.kind == "status":
        return Line("status", judge.sequence, code=message.code, reason=message.note)
    return Line("accepted", judge.sequence)


def _check_acceptance(
    judge: Judge, kind: str, message: Any, envelope: Envelope, acceptance: evidence_pb2.Acceptance
) -> None:
    """The acceptance speaks of these very bytes, and of where the register sent them at that place."""
    books = judge.books
    sender = books.primary(message.sender_unit)
    deliveries = [(destination.unit, destination.host) for destination in acceptance.deliveries]
    resolved = [books.primary(code) for code in message.recipients]
    units = [books.units.get(code) for code in (sender, message.acting_organisation, *resolved)]
    checks = (
        ("document_id", acceptance.document_id == message.document_id),
        ("kind", acceptance.kind == kind),
        ("signed_sha256", acceptance.signed_sha256 == envelope.signed_sha256),
        ("signature_sha256", acceptance.signature_sha256 == envelope.signature_sha256),
        ("accepted_at", acceptance.accepted_at == judge.at),
        ("created_at", judge.at - _MAX_AGE <= message.created_at <= judge.at + _MAX_AHEAD),
        ("deliveries", deliveries == [(code, books.host(code)) for code in resolved]),
        ("a recipient twice", len(set(resolved)) == len(resolved)),
        ("a unit that is not registered", None not in units),
        ("a suspended unit", not any(unit is not None and unit.suspended for unit in units)),
        ("acting_organisation", books.host(sender) == message.acting_organisation),
    )
    for what, holds in checks:
        judge.require(holds, "acceptance_mismatch", f"{message.document_id}: {what}")


def _paper(judge: Judge, message: Any, envelope: Envelope, answer: Envelope) -> Paper:
    books = judge.books
    paper = Paper(
        sequence=judge.sequence,
        kind="document",
        sender=books.primary(message.sender_unit) or message.sender_unit,
        host=message.acting_organisation,
        subject="",
        number="",
        issuer_document_id="",
        numbering="",
        relation="",
        about="",
        status_code="",
        at=judge.at,
        size=0,
        urgent=False,
        signed_sha256=envelope.signed_sha256,
        signature_sha256=envelope.signature_sha256,
        acceptance_sha256=answer.signed_sha256,
    )
    if isinstance(message, document_pb2.Status):
        about = books.papers.get(message.about_document_id)
        paper.kind, paper.about, paper.status_code = "status", message.about_document_id, message.code
        paper.urgent = about is not None and about.urgent
        found = about is not None or not message.about_document_id
        judge.require(found, "document_unknown", f"a status about {message.about_document_id}")
        return paper
    fields = message.fields
    paper.subject, paper.issuer_document_id = fields.subject[:_SHOWN], fields.issuer_document_id[:_SHOWN]
    paper.number = "/".join(filter(None, (fields.code_number, fields.code_notation)))[:_SHOWN]
    _business(paper, fields)
    paper.urgent = fields.other.priority in {1, 2, 3, 4}
    for part in message.attachments:
        paper.size += part.size
        books.blobs.setdefault(part.sha256, (message.document_id, judge.sequence, part.size))
    paper.type_name = fields.type.name[:_SHOWN]
    for word in listed_words(paper):
        books.listed.setdefault(word, judge.sequence)
    return paper


def _business(paper: Paper, fields: document_pb2.Fields) -> None:
    """Number in its year, and what a recall (1), update (2) or replacement (3) names."""
    business = fields.business
    year = fields.promulgation_date[:4]
    if len(year) != 4 or not set(year) <= set("0123456789"):
        year = day_of(paper.at)[:4]
    if fields.code_number:
        paper.numbering = f"{year}/{fields.code_number}/{fields.code_notation}"
    names: list[str] = []
    if business.doc_type == 1:
        paper.relation, names = "recall", [each.document_id for each in fields.response_for]
    elif business.doc_type == 2:
        paper.relation, names = "update", [business.document_id]
    elif business.doc_type == 3:
        paper.relation, names = "replacement", [each.document_id for each in business.replacements]
    found = {each.strip()[:200]: None for each in names}
    paper.originals = tuple(name for name in found if name)[:200]


def _attempt(judge: Judge, document_id: str, unit: str, number: int) -> tuple[Paper, Attempt] | None:
    """The attempt that evidence is about; a problem where there is none."""
    paper = judge.books.papers.get(document_id)
    delivery = paper.deliveries.get(unit) if paper else None
    if paper is None or delivery is None or not 1 <= number <= len(delivery.attempts):
        judge.problem("delivery_unknown", f"{document_id} to {unit}, attempt {number}")
        return None
    return paper, delivery.attempts[number - 1]


def _check_receipt(judge: Judge, receipt: evidence_pb2.Receipt, paper: Paper, attempt: Attempt) -> None:
    checks = (
        ("signed_sha256", receipt.signed_sha256 == paper.signed_sha256),
        ("signature_sha256", receipt.signature_sha256 == paper.signature_sha256),
        ("acceptance_sha256", receipt.acceptance_sha256 == paper.acceptance_sha256),
        ("acting_organisation", receipt.acting_organisation == attempt.host),
    )
    for what, holds in checks:
        detail = f"{receipt.document_id} to {receipt.recipient_unit}: {what}"
        judge.require(holds, "receipt_mismatch", detail)


def _close(judge: Judge, attempt: Attempt, state: str, reason: str, closed_by: bytes) -> bool:
    """Enter an outcome, unless the attempt has one: then it is not counted."""
    open_yet = attempt.state == "in_flight"
    judge.require(open_yet, "outcome_repeated", f"this attempt was {attempt.state} at {attempt.outcome}")
    if open_yet:
        attempt.state, attempt.reason, attempt.closed_by = state, reason, closed_by
        attempt.outcome, attempt.outcome_at = judge.sequence, judge.at
    return open_yet


def _receipted(judge: Judge, body: journal_pb2.Receipted) -> Line:
    receipt, envelope = judge.read(body.receipt, Kind.RECEIPT)
    unit, state = receipt.recipient_unit, "received" if receipt.outcome == _RECEIVED else "refused"
    found = _attempt(judge, receipt.document_id, unit, receipt.attempt)
    if found is None:
        return Line("receipted", document_id=receipt.document_id)
    paper, attempt = found
    _check_receipt(judge, receipt, paper, attempt)
    line = Line(state, paper.sequence, unit, outcome=state, reason=receipt.reason)
    if not _close(judge, attempt, state, receipt.reason, envelope.signed_sha256):
        return line
    attempt.stored_at = receipt.stored_at
    books, day = judge.books, day_of(judge.at)
    row = books.daily[unit, day, paper.kind]
    row[columns.RECEIVED if state == "received" else columns.REFUSED] += 1
    row[columns.BYTES_RECEIVED] += paper.size if state == "received" else 0
    row[columns.LATE] += day > day_of(paper.at)
    if paper.kind == "document":
        lasted = judge.at - paper.at
        sums = books.durations[min(limit for limit in DURATIONS if lasted <= limit * 1000)]
        sums[0] += 1
        sums[1] += lasted
    books.into_feeds(judge.sequence, paper.urgent, paper.host)
    return line


def _late_receipt(judge: Judge, body: journal_pb2.LateReceipt) -> Line:
    receipt, envelope = judge.read(body.receipt, Kind.RECEIPT)
    unit, state = receipt.recipient_unit, "received" if receipt.outcome == _RECEIVED else "refused"
    found = _attempt(judge, receipt.document_id, unit, receipt.attempt)
    document = None
    if found is not None:
        paper, attempt = found
        document = paper.sequence
        _check_receipt(judge, receipt, paper, attempt)
        conflict = attempt.state in {"received", "refused"} and attempt.state != state
        name = "outcome_conflict" if conflict else "delivery_closed"
        judge.require(attempt.state != "in_flight", "late_receipt_mismatch", "the attempt was open")
        judge.require(body.code == name, "late_receipt_mismatch", f"{body.code} should be {name}")
        judge.require(not attempt.late, "late_receipt_mismatch", f"one was kept at {attempt.late}")
        attempt.late, attempt.late_sha256 = judge.sequence, envelope.signed_sha256
    return Line("late_receipt", document, unit, outcome=state, code=body.code, reason=receipt.reason)


def _noticed(judge: Judge, body: journal_pb2.Noticed) -> Line:
    notice, envelope = judge.read(body.notice, Kind.NOTICE)
    requeued = notice.kind == _REQUEUED
    unit, state = notice.recipient_unit, "requeued" if requeued else "dead"
    found = _attempt(judge, notice.document_id, unit, notice.attempt - requeued)
    if found is None:
        return Line("noticed", document_id=notice.document_id)
    paper, attempt = found
    bound = notice.acceptance_sha256 == paper.acceptance_sha256 and notice.issued_at == judge.at
    judge.require(bound, "notice_mismatch", f"{notice.document_id} to {unit}")
    books, day = judge.books, day_of(judge.at)
    row = books.daily[unit, day, paper.kind]
    if requeued:
        attempts = paper.deliveries[unit].attempts
        again = attempt.state in {"refused", "dead"} and notice.attempt == len(attempts) + 1
        judge.require(again, "notice_mismatch", f"attempt {notice.attempt} cannot be opened")
        judge.require(notice.host == books.host(unit), "notice_mismatch", f"host {notice.host}")
        attempts.append(Attempt(notice.host, judge.sequence, judge.at))
        row[columns.REQUEUED] += 1
        books.into_feeds(judge.sequence, paper.urgent, paper.host, attempt.host, notice.host)
    elif _close(judge, attempt, "dead", notice.reason, envelope.signed_sha256):
        row[columns.DEAD] += 1
        books.into_feeds(judge.sequence, paper.urgent, paper.host, attempt.host)
    outcome = "" if requeued else "dead"
    return Line(state, paper.sequence, unit, outcome=outcome, reason=notice.reason)


#: By the record's body.
JUDGES: Final[dict[str, Callable[[Judge, Any], Line]]] = {
    "accepted": _accepted,
    "receipted": _receipted,
    "late_receipt": _late_receipt,
    "noticed": _noticed,
}
