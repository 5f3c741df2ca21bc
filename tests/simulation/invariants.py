"""What must hold once everything is quiet, whatever happened before.

Read from the raw frames, and compared with what the machines' own stores, the views and the audit say.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from axispb.v1 import evidence_pb2, journal_pb2

from agencies.store.counting import volumes as own_volumes
from axis.audit import audit
from axis.core.document import DELIVERY_LIFE_MS
from axis.core.envelope import Kind, parse
from axis.core.lookup import host_of
from axis.core.volumes import local_day
from axis.views.projection import Views
from axis.views.volumes import Selection, volumes
from tests.simulation.country import CLOSED, Country
from tests.world import recount

__all__ = ["check", "check_own_volumes", "forget_what_was_lost"]

#: What a promised document may be refused with for good, once somebody was suspended.
SUSPENDED = {"recipient_suspended", "sender_suspended"}
#: And once a month has passed.
TOO_OLD = {"created_too_old"}


@dataclass
class Recount:
    """The journal, read without its index."""

    raws: list[bytes] = field(default_factory=list)
    #: message and units by document, of documents and statuses
    accepted: dict[str, tuple[Any, list[str]]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, int], str] = field(default_factory=dict)
    #: (document, unit) → latest attempt
    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    accepted_at: dict[str, int] = field(default_factory=dict)
    statuses: set[str] = field(default_factory=set)
    #: (document, unit, attempt) → when it was opened
    opened_at: dict[tuple[str, str, int], int] = field(default_factory=dict)
    #: (kind, unit) → outcomes by a receipt that came on a later day
    late: Counter[tuple[str, str]] = field(default_factory=Counter)

    def records(self) -> list[tuple[int, journal_pb2.Record]]:
        return [(n, journal_pb2.Record.FromString(raw)) for n, raw in enumerate(self.raws, 1)]

    def take(self, record: journal_pb2.Record, at: int) -> None:
        body = record.WhichOneof("body")
        if body == "accepted":
            acceptance: Any = parse(record.accepted.acceptance.signed, Kind.ACCEPTANCE)
            assert acceptance.document_id not in self.accepted, "accepted twice"
            units = [delivery.unit for delivery in acceptance.deliveries]
            message = parse(record.accepted.envelope.signed, Kind(record.accepted.kind))
            self.accepted_at[acceptance.document_id] = at
            self.accepted[acceptance.document_id] = message, units
            if record.accepted.kind == Kind.STATUS:
                self.statuses.add(acceptance.document_id)
            self.attempts |= {(acceptance.document_id, unit): 1 for unit in units}
            self.opened_at |= {(acceptance.document_id, unit, 1): at for unit in units}
        elif body == "receipted":
            receipt: Any = parse(record.receipted.receipt.signed, Kind.RECEIPT)
            received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
            self._close(receipt, "received" if received else "refused")
            if local_day(at) > local_day(self.accepted_at[receipt.document_id]):
                kind = "status" if receipt.document_id in self.statuses else "document"
                self.late[kind, receipt.recipient_unit] += 1
        elif body == "noticed":
            notice: Any = parse(record.noticed.notice.signed, Kind.NOTICE)
            if notice.kind == evidence_pb2.NOTICE_KIND_DEAD:
                self._close(notice, "dead")
                opened = self.opened_at[notice.document_id, notice.recipient_unit, notice.attempt]
                assert notice.reason == CLOSED or at - opened >= DELIVERY_LIFE_MS, "dead before its time"
            else:
                self.opened_at[notice.document_id, notice.recipient_unit, notice.attempt] = at
                self.attempts[notice.document_id, notice.recipient_unit] = notice.attempt

    def _close(self, said: Any, outcome: str) -> None:
        key = (said.document_id, said.recipient_unit, said.attempt)
        assert key not in self.outcomes, f"two outcomes: {key}"
        self.outcomes[key] = outcome


def check(country: Country, *, audited: bool) -> None:
    """Raise AssertionError for the first thing that is lost, doubled or unequal."""
    read = Recount()
    frames = country.axis.journal.frames(0, 100_000)
    for axis in country.axes.values():
        assert axis.journal.frames(0, 100_000) == frames, "two nodes hold two journals"
        assert axis.cluster is None or axis.cluster.stored == [frame.raw for frame in frames]
    for frame in frames:
        read.raws.extend(frame.records)
        for raw in frame.records:
            read.take(journal_pb2.Record.FromString(raw), frame.at)
    _promises(country, read)
    _inboxes(country, read)
    _senders_agree(country, read)
    _nodes_agree(country, read)
    _counts(country, read, audited=audited)


def forget_what_was_lost(country: Country) -> None:
    """What a lost machine had promised, and had not handed to the axis: nobody else knew of it."""
    accepted = {key.removeprefix("document/") for key, _, _ in country.axis.journal.facts("document/")}
    for document_id, sender in list(country.promised.items()):
        row = _store(country, sender).row("SELECT 1 FROM sent WHERE document_id = ?", document_id)
        if row is None and document_id not in accepted:
            del country.promised[document_id]


def check_own_volumes(country: Country) -> None:
    """What a node has counted for its units is what the axis counts for them."""
    with closing(Views.open(country.folder / "own.sqlite")) as views:
        views.catch_up(country.axis.journal)
        with closing(views.reader()) as reader:
            for kind in ("document", "status"):
                found: Any = volumes(reader, Selection(kind=kind), country.clock.now())["rows"]  # type: ignore[arg-type]
                of_axis = {row["code"]: row for row in found}
                for code in country.agencies:
                    for unit, counts in own_volumes(_store(country, code), kind=kind):
                        mine = asdict(counts)
                        theirs = {name: of_axis[unit][name] for name in mine}
                        assert mine == theirs, f"{kind} {unit}: {mine}, the axis says {theirs}"


def _promises(country: Country, read: Recount) -> None:
    """What a node has promised to send was accepted, or refused for good; nothing else was accepted."""
    for document_id, sender in country.promised.items():
        row = _store(country, sender).row("SELECT state, code FROM sent WHERE document_id = ?", document_id)
        assert row is not None, f"{document_id}: promised, and not in the outbox"
        if row["state"] == "rejected":
            allowed = (SUSPENDED if country.suspended else set()) | (TOO_OLD if country.aged else set())
            assert row["code"] in allowed, f"{document_id}: refused with {row['code']}"
            assert document_id not in read.accepted, f"{document_id}: refused, and accepted"
        elif row["state"] == "queued":
            assert country.waits_for_what_is_lost(sender, document_id), f"{document_id}: queued"
            assert document_id not in read.accepted, f"{document_id}: queued, and accepted"
        else:
            assert row["state"] == "accepted", f"{document_id}: {row['state']}"
            assert document_id in read.accepted, f"{document_id}: accepted without a record"
    assert read.accepted.keys() <= country.promised.keys(), "accepted what nobody was promised"


def _inboxes(country: Country, read: Recount) -> None:
    """Each inbox holds exactly what was accepted for its units, with the contents that were sent."""
    for code, agency in country.agencies.items():
        store = _store(country, code)
        here = {row["document_id"]: row["failure"] for row in store.rows("SELECT * FROM received")}
        meant = {
            document_id
            for document_id, (_, units) in read.accepted.items()
            if any(host_of(country.axis.journal, unit) == code for unit in units)
        }
        closed = {document_id for (document_id, _, _), outcome in read.outcomes.items() if outcome == "dead"}
        # What came before the axis lost it stays, also where that does not take it any more.
        lost = {document_id for document_id in here if country.older and document_id not in read.accepted}
        assert meant - closed <= here.keys() - lost <= meant, f"{code}: differs by {set(here) ^ meant}"
        assert not any(here.values()), f"{code}: not readable: {here}"
        assert agency.node is not None
        for document_id in here:
            rows = store.rows(
                "SELECT sha256 FROM attachment WHERE side = 'received' AND document_id = ? ORDER BY number",
                document_id,
            )
            sent = country.files.get(document_id, [])
            assert [row["sha256"] for row in rows] == [sha256 for sha256, _ in sent]
            for sha256, size in sent:
                assert agency.node.parts.blobs.size(sha256) == size, f"{document_id}: no content"


def _senders_agree(country: Country, read: Recount) -> None:
    """Every attempt has its one outcome, and the sender's outbox says the same."""
    for (document_id, unit), attempt in read.attempts.items():
        outcome = read.outcomes.get((document_id, unit, attempt))
        assert outcome is not None, f"{document_id} to {unit}: attempt {attempt} is in flight"
        row = _store(country, country.promised[document_id]).row(
            "SELECT attempt, state FROM sent_delivery WHERE document_id = ? AND unit = ?", document_id, unit
        )
        assert row is not None, f"{document_id}: the sender knows of no delivery to {unit}"
        assert (row["attempt"], row["state"]) == (attempt, outcome), f"{document_id} to {unit}: {tuple(row)}"


def _nodes_agree(country: Country, read: Recount) -> None:
    """A node counts what it has sent, and how each attempt that it has ended in the journal, once each."""
    for code in country.agencies:
        store = _store(country, code)
        counted = [tuple(row) for row in store.rows("SELECT document_id, unit, attempt, event FROM counted")]
        expected = [
            (document_id, message.sender_unit, 0, "sent")
            for document_id, (message, _) in read.accepted.items()
            if country.promised[document_id] == code
        ]
        for row in store.rows("SELECT document_id, unit, attempt FROM receipt"):
            key = (row["document_id"], row["unit"], row["attempt"])
            if country.older and key not in read.outcomes:
                counted = [each for each in counted if each[:3] != key]
                continue
            expected.append((*key, "addressed" if row["attempt"] == 1 else "requeued"))
            expected.append((*key, read.outcomes[key]))
        assert sorted(counted) == sorted(expected), f"{code} counted otherwise"


def _counts(country: Country, read: Recount, *, audited: bool) -> None:
    """accepted = received + refused + dead; views count the same; audited, so do the signatures."""
    path = country.folder / "views.sqlite"
    country.template.new_views(path)
    with closing(Views.open(path)) as views:
        views.catch_up(country.axis.journal)
        with closing(views.reader()) as reader:
            for kind in ("document", "status"):
                found: Any = volumes(reader, Selection(kind=kind), country.clock.now())["rows"]  # type: ignore[arg-type]
                counted = recount(read, kind)  # type: ignore[arg-type]
                for row in found:
                    mine = asdict(counted[row["code"]]) if row["code"] in counted else {}
                    for name in ("sent", "addressed", "requeued", "received", "refused", "dead", "in_flight"):
                        assert row[name] == mine.get(name, 0), f"{kind} {row['code']}: {name}"
                    assert row["late"] == read.late[kind, row["code"]], f"{kind} {row['code']}: late"
                assert sum(row["in_flight"] for row in found) == 0
    if audited:
        report = audit(country.axis.path, path, anchors=country.template.axis.anchors.anchors)
        assert not report.problems, report.problems
        assert report.volumes_equal


def _store(country: Country, code: str) -> Any:
    node = country.agencies[code].node
    assert node is not None
    return node.store
