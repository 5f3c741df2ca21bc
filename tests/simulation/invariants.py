"""What must hold once everything is quiet, whatever happened before."""

from __future__ import annotations

from axispb.v1 import document_pb2, evidence_pb2, journal_pb2

from axis.core.envelope import Kind, parse
from tests.simulation.country import Country

__all__ = ["check"]


def check(country: Country) -> None:
    """Raise AssertionError for the first thing that is lost, doubled or unequal."""
    accepted, outcomes = _read(country)
    _nothing_lost(country, accepted)
    _inboxes(country, accepted)
    _senders_agree(country, accepted, outcomes)


def _read(
    country: Country,
) -> tuple[dict[str, tuple[document_pb2.Document, list[str]]], dict[tuple[str, str, int], str]]:
    """From the raw frames alone: accepted documents with their units, and the outcome of each attempt."""
    accepted: dict[str, tuple[document_pb2.Document, list[str]]] = {}
    outcomes: dict[tuple[str, str, int], str] = {}
    for frame in country.axis.journal.frames(0, 100_000):
        for raw in frame.records:
            record = journal_pb2.Record.FromString(raw)
            body = record.WhichOneof("body")
            if body == "accepted":
                acceptance = parse(record.accepted.acceptance.signed, Kind.ACCEPTANCE)
                assert isinstance(acceptance, evidence_pb2.Acceptance)
                assert acceptance.document_id not in accepted, "accepted twice"
                message = parse(record.accepted.envelope.signed, Kind(record.accepted.kind))
                units = [delivery.unit for delivery in acceptance.deliveries]
                accepted[acceptance.document_id] = message, units  # type: ignore[assignment]
            elif body == "receipted":
                receipt = parse(record.receipted.receipt.signed, Kind.RECEIPT)
                assert isinstance(receipt, evidence_pb2.Receipt)
                key = (receipt.document_id, receipt.recipient_unit, receipt.attempt)
                assert key not in outcomes, f"two outcomes: {key}"
                received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
                outcomes[key] = "received" if received else "refused"
    return accepted, outcomes


def _nothing_lost(country: Country, accepted: dict[str, tuple[document_pb2.Document, list[str]]]) -> None:
    for sent in country.sent:
        agency = country.agencies[sent.sender]
        assert agency.node is not None
        row = agency.node.store.row("SELECT state, code FROM sent WHERE document_id = ?", sent.document_id)
        assert row is not None, f"{sent.document_id}: promised, and not in the outbox"
        assert row["state"] == "accepted", f"{sent.document_id}: {row['state']} {row['code']}"
        assert sent.document_id in accepted, f"{sent.document_id}: accepted without a record"
    assert len(accepted) == len(country.sent), "accepted what nobody was promised"


def _inboxes(country: Country, accepted: dict[str, tuple[document_pb2.Document, list[str]]]) -> None:
    """Each inbox holds exactly what was accepted for it, with the contents that were sent."""
    sent = {each.document_id: each for each in country.sent}
    for code, agency in country.agencies.items():
        assert agency.node is not None
        store, blobs = agency.node.store, agency.node.parts.blobs
        here = {row["document_id"]: row["failure"] for row in store.rows("SELECT * FROM received")}
        meant = {
            document_id
            for document_id, (_, units) in accepted.items()
            if any(unit == code or unit.startswith(f"{code}.") for unit in units)
        }
        assert set(here) == meant, f"{code}: the inbox differs by {set(here) ^ meant}"
        assert not any(here.values()), f"{code}: unreadable {here}"
        for document_id in here:
            for number, attachment in enumerate(accepted[document_id][0].attachments):
                stored = store.rows(
                    "SELECT sha256 FROM attachment"
                    " WHERE side = 'received' AND document_id = ? AND number = ?",
                    document_id,
                    number,
                )
                assert [row["sha256"] for row in stored] == [attachment.sha256]
                assert blobs.size(attachment.sha256) == len(sent[document_id].files[number])


def _senders_agree(
    country: Country,
    accepted: dict[str, tuple[document_pb2.Document, list[str]]],
    outcomes: dict[tuple[str, str, int], str],
) -> None:
    """accepted = received + refused with nothing in flight; the sender's outbox says the same."""
    for sent in country.sent:
        agency = country.agencies[sent.sender]
        assert agency.node is not None
        rows = agency.node.store.rows(
            "SELECT unit, attempt, state FROM sent_delivery WHERE document_id = ?", sent.document_id
        )
        assert sorted(row["unit"] for row in rows) == sorted(accepted[sent.document_id][1])
        for row in rows:
            key = (sent.document_id, row["unit"], row["attempt"])
            assert outcomes.get(key) == row["state"], f"{key}: {outcomes.get(key)}, sender has {row['state']}"
