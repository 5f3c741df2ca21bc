"""Judges the records in order: every signature at its place, every binding, and enters them in the books.

What is wrong is noted and the record entered all the same, as far as it can be read: a spoiled signature
must not make every count after it look wrong as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from axispb.v1 import envelope_pb2, journal_pb2
from google.protobuf.message import DecodeError

from axis.audit import deliveries, register
from axis.audit.books import Books, row_hash
from axis.audit.chain import Stored
from axis.audit.line import Line
from axis.audit.report import Findings
from axis.audit.terms import terms
from axis.audit.words import Words
from axis.core.envelope import Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.core.trust import Anchors
from axis.core.verify import Context, Place, verify

__all__ = ["Judge"]


class Judge:
    """Takes the records one after another."""

    def __init__(
        self, books: Books, findings: Findings, words: Words, anchors: Sequence[bytes] | None
    ) -> None:
        self.books = books
        self.words = words
        self.findings = findings
        self.signatures = 0
        self.sequence = 0
        self.at = 0
        self._expected_anchors = anchors
        self._context: Context | None = None

    def frame(self, frame: Stored) -> None:
        """Judge a frame's records."""
        for sequence, raw in enumerate(frame.records, frame.first):
            self.sequence, self.at = sequence, frame.at
            try:
                record = journal_pb2.Record.FromString(raw)
                name = record.WhichOneof("body") or ""
                body = getattr(record, name) if name else None
                line = _JUDGES[name](self, body) if name in _JUDGES else Line(name or "unknown")
            except (DecodeError, KeyError, Refusal, UnicodeDecodeError) as error:
                self.problem("record_malformed", f"cannot be entered: {type(error).__name__} {error}")
                continue
            # Whatever else is in the journal, organisations or the axis itself have done.
            self.require(
                name in _ACTS or not record.operator, "record_malformed", f"an operator is named for {name}"
            )
            self._enter(line, record)

    def problem(self, code: str, detail: str) -> None:
        """Note a problem of the record at hand."""
        self.findings.add(self.sequence, code, detail)

    def require(self, holds: bool, code: str, detail: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problem(code, detail)

    def trust(self, founded: journal_pb2.Founded) -> None:
        """Begin with the journal's anchors, which must be those the caller knows, if it knows any."""
        if self._expected_anchors is not None:
            same = list(founded.anchors) == list(self._expected_anchors)
            self.require(same, "anchor_mismatch", "founded with other anchors than this home's")
        try:
            anchors = Anchors(tuple(founded.anchors), tuple(founded.intermediates))
        except ValueError as error:
            self.problem("anchor_mismatch", str(error))
            return
        self.require(anchors.axis_id == founded.axis_id, "axis_mismatch", "axis_id is not the anchor's hash")
        self._context = Context(founded.axis_id, anchors, self.books)

    @property
    def anchors(self) -> Anchors | None:
        """What certificates must lead to; None before the founding record."""
        return self._context.anchors if self._context else None

    def read(self, message: envelope_pb2.Envelope, kind: Kind) -> tuple[Any, Envelope]:
        """The message in an envelope, its signature checked at this place. Refusal if it cannot be read."""
        envelope = Envelope.from_message(message)
        self.signatures += 1
        if self._context is None:
            self.problem("axis_mismatch", "signed before the journal was founded")
        else:
            try:
                place = Place(self.sequence, self.at)
                return verify(envelope, kind, self._context, place).message, envelope
            except Refusal as refusal:
                self.problem(refusal.name, f"{kind}, check {refusal.check}: {refusal.detail}")
        return parse(envelope.signed, kind), envelope

    def _enter(self, line: Line, record: journal_pb2.Record) -> None:
        self.words.add(self.sequence, *terms(self.books, line, self.sequence, record.operator))
        self.books.events[self.sequence] = row_hash(
            (
                self.sequence,
                self.at,
                line.event,
                line.document,
                line.party,
                line.document_id,
                line.outcome,
                line.code,
                ": ".join(text for text in (line.reason, record.remark) if text),
                line.repeats,
                record.trace_id,
                record.operator,
            )
        )


#: What an operator may have done.
_ACTS: Final = frozenset({"registered", "suspended", "resumed", "token_issued", "revoked", "noticed"})

_JUDGES: Final[dict[str, Callable[[Judge, Any], Line]]] = {**register.JUDGES, **deliveries.JUDGES}
