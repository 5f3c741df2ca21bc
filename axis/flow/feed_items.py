"""Feed items from records: everything that a node needs to verify and file what a record says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import cast

from axispb.v1 import api_pb2, evidence_pb2, facts_pb2, journal_pb2

from axis.core import state
from axis.core.envelope import Kind, parse
from axis.ports import Journal, JournalBroken, StoredRecord

__all__ = ["FeedItems"]


class FeedItems:
    """Renders records for feeds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def render(self, sequences: list[int], urgent: bool) -> Iterator[api_pb2.FeedItem]:
        """The items of these records, in order. JournalBroken for a row whose record is missing."""
        for stored in self._journal.records(sequences):
            record = journal_pb2.Record.FromString(stored.raw)
            item = api_pb2.FeedItem(
                sequence=stored.sequence,
                at=stored.at,
                urgent=urgent,
                trace_id=record.trace_id,
                event=record.WhichOneof("body") or "",
            )
            self._fill(item, record, stored)
            yield item

    def _fill(self, item: api_pb2.FeedItem, record: journal_pb2.Record, stored: StoredRecord) -> None:
        if item.event == "accepted":
            _accepted(item, record.accepted, stored)
        elif item.event == "receipted":
            item.receipt.CopyFrom(record.receipted.receipt)
            receipt = cast(evidence_pb2.Receipt, parse(item.receipt.signed, Kind.RECEIPT))
            self._about(item, receipt.document_id)
        elif item.event == "noticed":
            item.notice.CopyFrom(record.noticed.notice)
            notice = cast(evidence_pb2.Notice, parse(item.notice.signed, Kind.NOTICE))
            fact = self._about(item, notice.document_id)
            if notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED:
                accepted = self._record(fact.accepted_sequence)
                _accepted(item, journal_pb2.Record.FromString(accepted.raw).accepted, accepted)
        elif item.event == "issued":
            sha256 = hashlib.sha256(record.issued.certificate).digest()
            # As it stands today, revoked or not.
            certificate = state.certificate(self._journal, sha256)
            item.certificate.CopyFrom(cast(facts_pb2.CertificateFact, certificate))

    def _about(self, item: api_pb2.FeedItem, document_id: str) -> facts_pb2.DocumentFact:
        fact = state.document(self._journal, document_id)
        if fact is None:
            raise JournalBroken(f"record {item.sequence} is about {document_id}, which was never accepted")
        item.kind = fact.kind
        item.accepted_sequence = fact.accepted_sequence
        item.accepted_at = fact.accepted_at
        return fact

    def _record(self, sequence: int) -> StoredRecord:
        stored = self._journal.record(sequence)
        if stored is None:
            raise JournalBroken(f"record {sequence} is missing")
        return stored


def _accepted(item: api_pb2.FeedItem, body: journal_pb2.Accepted, stored: StoredRecord) -> None:
    item.kind = body.kind
    item.envelope.CopyFrom(body.envelope)
    item.acceptance.CopyFrom(body.acceptance)
    item.accepted_sequence = stored.sequence
    item.accepted_at = stored.at
