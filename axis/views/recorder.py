"""Turns records into rows of the views and writes them many at a time.

Every record gives exactly one row of `events`. What a record of a later version is remains a row there too.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from axispb.v1 import document_pb2, evidence_pb2, journal_pb2

from axis.core.envelope import Kind
from axis.core.frame import Frame
from axis.core.references import numbering, references, relation
from axis.core.volumes import local_day, local_hour
from axis.views.queries import query
from axis.views.register import Register
from axis.views.rows import Rows
from axis.views.terms import BLOCK_BITS, block_term, document_terms, operator_terms, side_terms, term
from axis.views.text import words_of
from axis.views.words import WordList

__all__ = ["Recorder"]

_KNOWN_DOCUMENTS: Final = 16_384
_KNOWN_SIDES: Final = 32_768
#: So many characters of a document's subject, number, issuer's id and type are kept and found, of each; its
#: header has all. Every event of a document is entered under its words: a quarter of a megabyte of them, and
#: the receipts of a thousand recipients would take a quarter of a gigabyte.
_TEXT: Final = 2000

_DOCUMENT_LINE: Final = len(Kind.DOCUMENT.line)
_STATUS_LINE: Final = len(Kind.STATUS.line)
_ACCEPTANCE_LINE: Final = len(Kind.ACCEPTANCE.line)
_RECEIPT_LINE: Final = len(Kind.RECEIPT.line)
_NOTICE_LINE: Final = len(Kind.NOTICE.line)


class _Known(NamedTuple):
    """What an outcome needs of its document."""

    sequence: int
    kind: str
    accepted_at: int
    bytes: int
    day: str  # of the acceptance
    sender: str
    terms: str  # what all its events are found by


def _known(
    sequence: int, _id: str, kind: str, sender: str, _host: str, subject: str, type_name: str, number: str,
    issuer_document_id: str, _numbering: str, _relation: str, _about: str, _code: str, at: int, size: int,
) -> _Known:  # fmt: skip
    """From a row of `documents`."""
    terms = document_terms(kind, subject, number, issuer_document_id, type_name)
    return _Known(sequence, kind, at, size, local_day(at), sender, terms)


def _number(fields: document_pb2.Fields) -> str:
    """The document's number as people write it: `274/QĐ-TTg`."""
    return "/".join(part for part in (fields.code_number, fields.code_notation) if part)


def _asked(by: str) -> str:
    """Who asked for a change of the register: empty for the registrar."""
    return f"(by {by})" if by else ""


class Recorder:
    """Rows that are waiting, over one connection. The caller owns the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._register = Register(connection)
        self._words = WordList(connection)
        self._sides: dict[tuple[str, str], str] = {}  # of units where they stand now
        self._rows = Rows()
        self._day = ""  # of the frame that is being read
        self._hour = 0
        self._handlers: dict[str, Callable[[journal_pb2.Record, int, int], None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    @property
    def waiting(self) -> int:
        """Records added since the last `write`."""
        return len(self._rows.events)

    def add(self, frame: Frame) -> None:
        """Take a frame's records."""
        self._day, self._hour = local_day(frame.at), local_hour(frame.at)
        for sequence, raw in enumerate(frame.records, frame.first_sequence):
            record = journal_pb2.Record.FromString(raw)
            body = record.WhichOneof("body")
            handler = self._handlers.get(body) if body else None
            if handler is None:  # of a later version: the log shows that something is there
                self._event(record, sequence, frame.at, body or "unknown")
            else:
                handler(record, sequence, frame.at)

    def write(self) -> None:
        """Write what is waiting."""
        rows, self._rows = self._rows, Rows()
        self._register.settle()
        rows.write(self._connection, self._register.above)
        self._words.write()

    def reset(self) -> None:
        """Forget everything: the transaction was rolled back, or the views were emptied."""
        self._rows = Rows()
        self._known.clear()
        self._register.reset()
        self._sides.clear()
        self._words.forget()

    # Accepted, receipted, noticed: the hot path.

    def _on_accepted(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        body = record.accepted
        acceptance = evidence_pb2.Acceptance.FromString(body.acceptance.signed[_ACCEPTANCE_LINE:])
        kind = acceptance.kind
        size = 0
        if kind == "status":
            status = document_pb2.Status.FromString(body.envelope.signed[_STATUS_LINE:])
            sender, host = self._register.resolve(status.sender_unit), status.acting_organisation
            texts = ("", "", "", "", "", "", status.about_document_id, status.code)
            event, code, reason = "status", status.code, status.note
        else:
            document = document_pb2.Document.FromString(body.envelope.signed[_DOCUMENT_LINE:])
            sender, host = self._register.resolve(document.sender_unit), document.acting_organisation
            size = sum(part.size for part in document.attachments)
            fields = document.fields
            texts = (
                fields.subject[:_TEXT],
                fields.type.name[:_TEXT],
                _number(fields)[:_TEXT],
                fields.issuer_document_id[:_TEXT],
                numbering(fields, at),
                relation(fields),
                "",
                "",
            )
            self._rows.originals += [(sequence, named) for named in references(fields)]
            event, code, reason = "accepted", "", ""
        subject, type_name, number, issuer_document_id, *_ = texts
        self._words.add(words_of(f"{subject} {number} {issuer_document_id} {type_name}"))
        terms = document_terms(kind, subject, number, issuer_document_id, type_name)
        document_id = acceptance.document_id
        known = _Known(sequence, kind, at, size, self._day, sender, terms)
        self._remember(document_id, known)
        units = [destination.unit for destination in acceptance.deliveries]
        self._event(record, sequence, at, event, known, code=code, reason=reason, to=units)
        self._rows.documents.append((sequence, document_id, kind, sender, host, *texts, at, size))
        day = self._day
        counts = self._rows.count(sender, day, kind)
        counts.sent += 1
        counts.bytes_sent += size
        if kind == "document":
            self._rows.sent_at(sender, day[:7], self._hour, units)
        for ordinal, destination in enumerate(acceptance.deliveries):
            row = (sequence, destination.unit, 1, ordinal, destination.host, sequence, at)
            self._rows.deliveries.append(row)
            self._rows.count(destination.unit, day, kind).addressed += 1

    def _on_receipted(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        receipt = evidence_pb2.Receipt.FromString(record.receipted.receipt.signed[_RECEIPT_LINE:])
        known = self._lookup(receipt.document_id)
        if known is None:  # no journal of ours holds this; the audit says what is wrong
            self._event(record, sequence, at, "receipted", document_id=receipt.document_id)
            return
        received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
        outcome = "received" if received else "refused"
        unit = receipt.recipient_unit
        self._rows.outcomes.append(
            (outcome, sequence, at, receipt.stored_at, receipt.reason, known.sequence, unit, receipt.attempt)
        )
        counts = self._rows.count(unit, self._day, known.kind)
        if received:
            counts.received += 1
            counts.bytes_received += known.bytes
        else:
            counts.refused += 1
        if self._day > known.day:  # Decree 30/2020, article 21: within the same day
            counts.late += 1
        if known.kind == "document":
            if received:
                self._rows.received_at(unit, self._day[:7], self._hour, known.sender)
            else:
                refusals = self._rows.refusals
                refusals[receipt.reason] = refusals.get(receipt.reason, 0) + 1
            self._rows.measure(at - known.accepted_at)
        self._event(record, sequence, at, outcome, known, unit, outcome=outcome, reason=receipt.reason)

    def _on_noticed(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        notice = evidence_pb2.Notice.FromString(record.noticed.notice.signed[_NOTICE_LINE:])
        known = self._lookup(notice.document_id)
        if known is None:
            self._event(record, sequence, at, "noticed", document_id=notice.document_id)
            return
        unit, day = notice.recipient_unit, self._day
        if notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED:
            event = "requeued"
            self._rows.requeues.append((notice.attempt, notice.host, sequence, at, known.sequence, unit))
            self._rows.count(unit, day, known.kind).requeued += 1
        else:
            event = "dead"
            self._rows.outcomes.append(
                ("dead", sequence, at, 0, notice.reason, known.sequence, unit, notice.attempt)
            )
            self._rows.count(unit, day, known.kind).dead += 1
        outcome = "dead" if event == "dead" else ""
        self._event(record, sequence, at, event, known, unit, outcome=outcome, reason=notice.reason)

    def _on_late_receipt(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        body = record.late_receipt
        receipt = evidence_pb2.Receipt.FromString(body.receipt.signed[_RECEIPT_LINE:])
        known = self._lookup(receipt.document_id)
        self._event(
            record,
            sequence,
            at,
            "late_receipt",
            known,
            receipt.recipient_unit,
            outcome="received" if receipt.outcome == evidence_pb2.OUTCOME_RECEIVED else "refused",
            code=body.code,
            reason=receipt.reason,
        )

    def _on_rejected(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        body = record.rejected
        repeats = max(body.count, 1)
        rejections = self._rows.rejections
        rejections[body.code] = rejections.get(body.code, 0) + repeats
        self._event(
            record,
            sequence,
            at,
            "rejected",
            party=body.organisation,
            document_id=body.document_id,
            code=body.code,
            reason=body.detail,
            repeats=repeats,
        )

    # The register and the certificates: rare, written at once.

    def _on_founded(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._event(record, sequence, at, "founded", party="axis")

    def _on_registered(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._register.registered(record.registered, sequence)
        self._sides.clear()
        body = record.registered
        self._event(record, sequence, at, "registered", party=body.code, reason=_asked(body.by))

    def _on_suspended(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        body = record.suspended
        self._register.suspended(body.code, True)
        reason = " ".join(filter(None, (body.reason, _asked(body.by))))
        self._event(record, sequence, at, "suspended", party=body.code, reason=reason)

    def _on_resumed(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._register.suspended(record.resumed.code, False)
        body = record.resumed
        self._event(record, sequence, at, "resumed", party=body.code, reason=_asked(body.by))

    def _on_token_issued(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._event(record, sequence, at, "token_issued", party=record.token_issued.code)

    def _on_enrolled(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._register.enrolled(record.enrolled.code)
        self._event(record, sequence, at, "enrolled", party=record.enrolled.code)

    def _on_issued(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        self._register.issued(record.issued, sequence)
        self._event(record, sequence, at, "issued", party=record.issued.organisation)

    def _on_revoked(self, record: journal_pb2.Record, sequence: int, at: int) -> None:
        organisation = self._register.revoked(record.revoked, sequence)
        self._event(record, sequence, at, "revoked", party=organisation, reason=record.revoked.reason)

    # Helpers.

    def _event(
        self,
        record: journal_pb2.Record,
        sequence: int,
        at: int,
        event: str,
        known: _Known | None = None,
        party: str = "",
        *,
        to: Sequence[str] = (),
        document_id: str = "",
        outcome: str = "",
        code: str = "",
        reason: str = "",
        repeats: int = 1,
    ) -> None:
        document = known.sequence if known else None
        reason = ": ".join(filter(None, (reason, record.remark)))
        who = (record.trace_id, record.operator)
        self._rows.events.append(
            (sequence, at, event, document, party, document_id, outcome, code, reason, repeats, *who)
        )
        terms = [term("event", event), block_term(sequence >> BLOCK_BITS)]
        if outcome:
            terms.append(term("outcome", outcome))
        if code:
            terms.append(term("code", code))
        if record.operator:
            terms += operator_terms(record.operator)
        if known:
            terms += (known.terms, self._side("from", known.sender))
            terms += (self._side("to", unit) for unit in to or [party])
        elif party:
            terms.append(self._side("from", party))
        self._rows.terms.append((sequence, " ".join(terms)))

    def _side(self, side: str, unit: str) -> str:
        terms = self._sides.get((side, unit))
        if terms is None:
            if len(self._sides) >= _KNOWN_SIDES:
                self._sides.clear()
            terms = self._sides[side, unit] = side_terms(side, self._register.line(unit))
        return terms

    def _remember(self, document_id: str, known: _Known) -> None:
        self._known[document_id] = known
        if len(self._known) > _KNOWN_DOCUMENTS:
            self._known.popitem(last=False)

    def _lookup(self, document_id: str) -> _Known | None:
        known = self._known.get(document_id)
        if known is None:
            row = self._connection.execute(query("document"), {"document_id": document_id}).fetchone()
            if row is not None:
                known = _known(*row)
                self._remember(document_id, known)
        return known
