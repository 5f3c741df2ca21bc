"""What stands: the outcome that closed an attempt, told to the host whose receipt it was, or comes too late.

A node that was restored from an older copy does not know what it has said. Told what stands, it can take it
over instead of saying something else, and its counts are the axis's again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from axispb.v1 import api_pb2, evidence_pb2, journal_pb2

from axis.core import state
from axis.core.envelope import Kind, parse
from axis.core.lifecycle import DeliveryState
from axis.ports import Journal, JournalBroken

__all__ = ["standing", "standing_receipts"]


def standing(journal: Journal, document_id: str, unit: str, attempt: int) -> api_pb2.Standing | None:
    """What closed this attempt; None while it is open. JournalBroken where the record is missing."""
    closed = state.outcome(journal, document_id, unit, attempt)
    if closed is None:
        return None
    stored = journal.record(closed.sequence)
    if stored is None:
        raise JournalBroken(f"record {closed.sequence} is missing")
    found = api_pb2.Standing(
        unit=unit,
        attempt=attempt,
        outcome=DeliveryState.from_fact(closed.state),
        sequence=stored.sequence,
        at=stored.at,
    )
    record = journal_pb2.Record.FromString(stored.raw)
    if record.WhichOneof("body") == "receipted":
        found.receipt.CopyFrom(record.receipted.receipt)
    return found


def standing_receipts(journal: Journal, item: api_pb2.FeedItem, reader: str) -> Iterator[api_pb2.Standing]:
    """The reader's own receipts for the attempts that an item opened to units of its own."""
    for document_id, unit, attempt in _opened(item, reader):
        found = standing(journal, document_id, unit, attempt)
        if found is not None and found.HasField("receipt"):
            yield found


def _opened(item: api_pb2.FeedItem, reader: str) -> Iterator[tuple[str, str, int]]:
    if item.event == "accepted":
        acceptance = cast(evidence_pb2.Acceptance, parse(item.acceptance.signed, Kind.ACCEPTANCE))
        for delivery in acceptance.deliveries:
            if delivery.host == reader:
                yield acceptance.document_id, delivery.unit, 1
    elif item.event == "noticed":
        notice = cast(evidence_pb2.Notice, parse(item.notice.signed, Kind.NOTICE))
        if notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED and notice.host == reader:
            yield notice.document_id, notice.recipient_unit, notice.attempt
