"""What a journal's records say, by reading each once: shares nothing with views, facts and audit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from axispb.v1 import evidence_pb2, journal_pb2

from axis.core.envelope import Kind, parse
from axis.ports import Journal

__all__ = ["NUMBERS", "Told", "in_flight", "recount", "vietnam_day"]

#: What volumes count of records; what is in flight follows.
NUMBERS = (
    "sent", "addressed", "received", "refused", "dead", "requeued", "late", "bytes_sent", "bytes_received",
)  # fmt: skip


def _counters() -> defaultdict[Any, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Told:
    """Counts of the records of some days."""

    units: defaultdict[str, Counter[str]] = field(default_factory=_counters)
    hours: defaultdict[tuple[str, int], Counter[str]] = field(default_factory=_counters)
    #: (unit, partner) → documents addressed to the partner, received from it.
    partners: defaultdict[tuple[str, str], Counter[str]] = field(default_factory=_counters)
    #: By the minute since the epoch.
    minutes: defaultdict[int, Counter[str]] = field(default_factory=_counters)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    #: (document, unit) of what has no outcome at the end → the day of its acceptance.
    waiting: dict[tuple[str, str], str] = field(default_factory=dict)

    def overdue(self, today: str) -> Counter[str]:
        """Deliveries by unit that wait since before a day."""
        return Counter(unit for (_, unit), accepted in self.waiting.items() if accepted < today)

    def total(self, *units: str) -> Counter[str]:
        """Of these units together; of all if none is named."""
        return sum((self.units[code] for code in units or list(self.units)), Counter())


def vietnam_day(at: int) -> str:
    """The calendar day in Viet Nam of a time in milliseconds."""
    return str(_vietnam(at).date())


def in_flight(counts: Counter[str]) -> int:
    """What counts of everything until then leave in flight."""
    ended = counts["received"] + counts["refused"] + counts["dead"]
    return counts["addressed"] + counts["requeued"] - ended


def recount(
    journal: Journal, kind: str = "document", within: Callable[[str], bool] = lambda day: True
) -> Told:
    """What happened on the days that are `within`, to documents or to statuses."""
    told = Told()
    primary: dict[str, str] = {}
    documents: dict[str, tuple[str, str, int, str]] = {}
    for frame in journal.frames(0, 100_000):
        day, hour, minute = vietnam_day(frame.at), _vietnam(frame.at).hour, frame.at // 60_000
        counting = within(day)
        for raw in frame.records:
            record = journal_pb2.Record.FromString(raw)
            body = record.WhichOneof("body")
            if body == "registered":
                codes = (record.registered.code, *record.registered.old_codes)
                primary |= dict.fromkeys(codes, record.registered.code)
            elif body == "accepted":
                message: Any = parse(record.accepted.envelope.signed, Kind(record.accepted.kind))
                acceptance: Any = parse(record.accepted.acceptance.signed, Kind.ACCEPTANCE)
                size = sum(part.size for part in getattr(message, "attachments", ()))
                sender = primary[message.sender_unit]
                documents[message.document_id] = (record.accepted.kind, day, size, sender)
                if counting and record.accepted.kind == kind:
                    told.units[sender].update(sent=1, bytes_sent=size)
                    told.hours[sender, hour].update(sent=1)
                    told.minutes[minute].update(sent=1)
                    for destination in acceptance.deliveries:
                        told.units[destination.unit].update(addressed=1)
                        told.waiting[message.document_id, destination.unit] = day
                        told.partners[sender, destination.unit].update(sent=1)
            elif body == "receipted":
                receipt: Any = parse(record.receipted.receipt.signed, Kind.RECEIPT)
                of_kind, accepted, size, sender = documents[receipt.document_id]
                if not counting or of_kind != kind:
                    continue
                unit = receipt.recipient_unit
                received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
                name = "received" if received else "refused"
                told.waiting.pop((receipt.document_id, unit), None)
                told.units[unit].update({name: 1, "late": int(day > accepted)})
                told.minutes[minute].update({name: 1})
                if received:
                    told.units[unit].update(bytes_received=size)
                    told.hours[unit, hour].update(received=1)
                    told.partners[unit, sender].update(received=1)
                else:
                    told.reasons[receipt.reason] += 1
            elif body == "noticed":
                notice: Any = parse(record.noticed.notice.signed, Kind.NOTICE)
                if counting and documents[notice.document_id][0] == kind:
                    requeued = notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED
                    delivery = (notice.document_id, notice.recipient_unit)
                    if requeued:
                        told.waiting[delivery] = documents[notice.document_id][1]
                    else:
                        told.waiting.pop(delivery, None)
                    told.units[notice.recipient_unit].update({"requeued" if requeued else "dead": 1})
            elif body == "rejected" and counting:
                told.rejected[record.rejected.code] += max(record.rejected.count, 1)
    return told


def _vietnam(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC) + timedelta(hours=7)
