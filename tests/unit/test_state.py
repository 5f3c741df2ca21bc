"""The state: what records do to facts, whatever has decided them."""

from __future__ import annotations

import pytest
from axispb.v1 import evidence_pb2, facts_pb2, journal_pb2

from axis.core import frame, lookup, state
from axis.core.commands import TakeReceipt
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.facts import Changes
from axis.core.frame import Head
from axis.core.lifecycle import IllegalEvent
from tests.world import START, Store, World, sign


@pytest.fixture
def world() -> World:
    world = World()
    for code in ("G22", "G14"):
        world.unit(code, node=True)
    return world


def envelope(kind: Kind, message: object) -> object:
    signed = signed_bytes(kind, message)  # type: ignore[arg-type]
    return Envelope(signed, sign(signed)).to_message()


def test_a_record_of_a_later_version_changes_nothing() -> None:
    assert state.apply(journal_pb2.Record(), 1, START, Store()) == Changes()


@pytest.mark.parametrize(
    "record",
    [
        journal_pb2.Record(suspended=journal_pb2.UnitSuspended(code="X9")),
        journal_pb2.Record(revoked=journal_pb2.CertificateRevoked(serial="00", certificate_sha256=b"x")),
        journal_pb2.Record(rejected=journal_pb2.Rejected(code="id_reused")),
    ],
)
def test_what_is_about_nothing_known_changes_nothing(record: journal_pb2.Record) -> None:
    assert state.apply(record, 1, START, Store()) == Changes()


def test_a_receipt_for_nothing_stops_the_journal() -> None:
    receipt = evidence_pb2.Receipt(document_id="none", recipient_unit="G14", attempt=1)
    record = journal_pb2.Record(
        receipted=journal_pb2.Receipted(receipt=envelope(Kind.RECEIPT, receipt))  # type: ignore[arg-type]
    )
    with pytest.raises(KeyError, match="no delivery of none to G14"):
        state.apply(record, 1, START, Store())


def test_a_second_outcome_stops_the_journal(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    receipt = world.receipt(document_id, "G14")
    world.take(receipt)
    again = world.record(world.head.sequence)
    with pytest.raises(IllegalEvent):
        state.apply(again, world.head.sequence + 1, world.now, world.store)


def test_two_records_of_one_frame_never_take_one_key(world: World) -> None:
    record = journal_pb2.Record(
        issued=journal_pb2.CertificateIssued(organisation="axis", usage="sign", serial="0a", certificate=b"x")
    ).SerializeToString()
    doubled = frame.encode(world.head, world.now, [record, record])
    with pytest.raises(ValueError, match="take serial/0a"):
        state.reduce(doubled, world.store)


def test_a_late_receipt_without_its_outcome_is_still_kept() -> None:
    receipt = evidence_pb2.Receipt(document_id="d", recipient_unit="G14", attempt=1)
    late = journal_pb2.LateReceipt(
        receipt=envelope(Kind.RECEIPT, receipt),  # type: ignore[arg-type]
        code="delivery_closed",
    )
    changes = state.apply(journal_pb2.Record(late_receipt=late), 7, START, Store())
    assert changes.keys == {"late/d/G14/1": 7}
    fact = facts_pb2.OutcomeFact.FromString(changes.facts["outcome/d/G14/1"][0])
    assert fact.late_sequence == 7


def test_a_status_about_nothing_travels_in_the_normal_lane(world: World) -> None:
    about = world.send("G22", ["G14"], priority=1)
    world.accept(world.status("G14", "G22", about))
    record = world.record(world.head.sequence)
    changes = state.apply(record, 1, START, Store())
    assert [row.urgent for row in changes.feed] == [False, False]


def test_keys_are_taken_once_for_ever(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    world.take(world.receipt(document_id, "G14"))
    assert world.keys[f"accepted/{document_id}"] == world.head.sequence - 1
    assert world.keys[f"outcome/{document_id}/G14/1"] == world.head.sequence


def test_replaying_the_frames_gives_the_same_facts(world: World) -> None:
    document_id = world.send("G22", ["G14", "G22"])
    for unit in ("G14", "G22"):
        world.decide(TakeReceipt(world.receipt(document_id, unit), unit))
    world.seal()
    replayed, head = Store(), Head.empty(world.head.journal_id)
    for stored in world.frames:
        read = frame.decode(stored.raw, head)
        replayed.facts.update(state.reduce(read, replayed).facts)
        head = read.head
    assert replayed.facts == world.store.facts


def test_serials_lead_to_certificates(world: World) -> None:
    assert lookup.certificate_by_serial(world.store, "ff") is None
    assert lookup.certificate(world.store, b"x" * 32) is None


def test_hosting_ends_even_where_parents_form_a_ring() -> None:
    store = Store()
    for code, parent in (("A", "B"), ("B", "A")):
        fact = facts_pb2.UnitFact(code=code, parent=parent)
        store.facts[lookup.unit_key(code)] = (fact.SerializeToString(), 1)
    assert lookup.host_of(store, "A") == "A"
