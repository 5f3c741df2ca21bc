"""One outcome per delivery and attempt: receipts, late receipts, requeue, close and expiry."""

from __future__ import annotations

import pytest
from axispb.v1 import evidence_pb2, facts_pb2

from axis.core import lookup
from axis.core.commands import Close, Expire, Requeue, Resume, Revoke, Suspend, TakeReceipt
from axis.core.document import DELIVERY_LIFE_MS, check_notice
from axis.core.envelope import Kind
from axis.core.errors import Refusal
from axis.core.verify import Verified
from tests.world import DAY, World, certificate, open_envelope, sign, verified


@pytest.fixture
def world() -> World:
    """G22 writes to G14 and to H26.A, which H26 hosts."""
    world = World()
    for code in ("G22", "G14", "H26"):
        world.unit(code, node=True, old=[f"000.00.00.{code}"])
    world.unit("H26.A")
    return world


def refused(world: World, act: object, peer: str = "") -> Refusal:
    if isinstance(act, Verified):
        act = TakeReceipt(act, peer or act.message.acting_organisation)
    with pytest.raises(Refusal) as caught:
        world.do(act)  # type: ignore[arg-type]
    return caught.value


def outcome(world: World, document_id: str, unit: str, attempt: int = 1) -> facts_pb2.OutcomeFact:
    fact = lookup.outcome(world.store, document_id, unit, attempt)
    assert fact is not None
    return fact


@pytest.mark.parametrize(("received", "state"), [(True, "received"), (False, "refused")])
def test_a_receipt_closes_the_delivery_and_reaches_the_sender(
    world: World, received: bool, state: str
) -> None:
    document_id = world.send("G22", ["G14", "H26.A"], priority=2)
    receipt = world.receipt(document_id, "H26.A", received=received)
    assert receipt.message.acting_organisation == "H26"
    answer = world.take(receipt)
    assert (answer.sequence, answer.repeated) == (None, False)
    assert world.state(document_id, "H26.A") == state
    assert world.state(document_id, "G14") == "in_flight"
    assert world.feeds(world.head.sequence) == {"G22": True}
    assert outcome(world, document_id, "H26.A").sequence == world.head.sequence
    assert world.record(world.head.sequence).trace_id == "4b" * 16


def test_the_same_receipt_again_gets_the_first_answer_whatever_has_happened_since(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    receipt = world.receipt(document_id, "G14", received=False)
    world.take(receipt)
    place = world.head
    world.do(Requeue(document_id, "G14"))
    world.do(Suspend("G14"))
    world.do(Revoke(certificate("G14").serial, "superseded"))
    again = verified(Kind.RECEIPT, receipt.message, certificate("G14", name="new"), b"another signature")
    for repeat in (receipt, again):
        answer = world.take(repeat)
        assert (answer.sequence, answer.repeated) == (place.sequence, True)
    assert world.state(document_id, "G14") == "in_flight", "an old attempt's receipt moves nothing"


def test_a_receipt_comes_from_the_host_of_the_delivery(world: World) -> None:
    document_id = world.send("G22", ["H26.A"])
    assert refused(world, world.receipt(document_id, "H26.A"), "G14").name == "organisation_mismatch"
    assert refused(world, world.receipt(document_id, "G14")).name == "not_a_recipient"
    assert refused(world, world.receipt(document_id, "H26.A", acting="G14")).name == "not_a_recipient"
    unknown = world.receipt(document_id, "H26.A", document_id=world.new_id())
    assert refused(world, unknown).name == "document_unknown"


@pytest.mark.parametrize("attempt", [2, 99])
def test_an_attempt_that_is_not_there_is_named(world: World, attempt: int) -> None:
    document_id = world.send("G22", ["G14"])
    refusal = refused(world, world.receipt(document_id, "G14", attempt=attempt))
    assert (refusal.name, refusal.detail.partition(":")[0]) == ("field_invalid", "attempt")


def test_a_suspended_organisation_may_not_even_receipt(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    receipt = world.receipt(document_id, "G14")
    world.do(Suspend("G14"))
    assert refused(world, receipt).name == "sender_suspended"
    world.do(Resume("G14"))
    world.take(receipt)
    assert world.state(document_id, "G14") == "received"


def test_the_host_receipts_for_a_unit_suspended_since(world: World) -> None:
    document_id = world.send("G22", ["H26.A"])
    world.do(Suspend("H26.A"))
    world.take(world.receipt(document_id, "H26.A"))


def test_the_receipts_certificate_is_judged_at_the_head(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    receipt = world.receipt(document_id, "G14")
    world.do(Revoke(certificate("G14").serial, "key-compromise"))
    assert refused(world, receipt).name == "certificate_revoked"
    world.enrol("G14", "new")
    world.take(verified(Kind.RECEIPT, receipt.message, certificate("G14", name="new")))


@pytest.mark.parametrize("field", ["signed_sha256", "signature_sha256", "acceptance_sha256"])
def test_a_receipt_transplanted_from_another_document_names_the_hash(world: World, field: str) -> None:
    one, other = (world.send("G22", ["G14"]) for _ in range(2))
    foreign = getattr(world.receipt(other, "G14").message, field)
    receipt = world.receipt(one, "G14", **{field: foreign})
    if field == "signature_sha256":
        receipt = world.receipt(one, "G14", signature_sha256=bytes(32))
    refusal = refused(world, receipt)
    assert (refusal.name, refusal.detail.partition(":")[0]) == ("field_invalid", field)
    assert world.state(one, "G14") == "in_flight"


class TestLateReceipts:
    def test_another_outcome_is_a_conflict_kept_once_and_not_counted(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        world.take(world.receipt(document_id, "G14"))
        first = world.head.sequence
        late = world.receipt(document_id, "G14", received=False)
        assert refused(world, late).name == "outcome_conflict"
        kept = world.record(world.head.sequence)
        assert kept.late_receipt.code == "outcome_conflict"
        assert kept.late_receipt.receipt.signed == late.envelope.signed
        assert world.feeds(world.head.sequence) == {}
        head = world.head
        for again in (late, world.receipt(document_id, "G14", received=False, reason="torn")):
            assert refused(world, again).name == "outcome_conflict"
        assert world.head == head
        assert world.state(document_id, "G14") == "received"
        fact = outcome(world, document_id, "G14")
        assert (fact.sequence, fact.late_sequence) == (first, head.sequence)
        assert fact.late_signed_sha256 == late.envelope.signed_sha256

    def test_the_same_outcome_in_other_bytes_is_closed(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        world.take(world.receipt(document_id, "G14"))
        world.later(1)
        assert refused(world, world.receipt(document_id, "G14")).name == "delivery_closed"

    def test_after_death_every_receipt_finds_it_closed(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        receipt = world.receipt(document_id, "G14", received=False)
        world.do(Close(document_id, "G14", "gone"))
        assert refused(world, receipt).name == "delivery_closed"
        assert world.record(world.head.sequence).late_receipt.code == "delivery_closed"

    def test_each_attempt_keeps_one_of_its_own(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        for attempt in (1, 2):
            receipt = world.receipt(document_id, "G14")
            assert receipt.message.attempt == attempt
            world.do(Close(document_id, "G14", "gone"))
            assert refused(world, receipt).name == "delivery_closed"
            assert f"late/{document_id}/G14/{attempt}" in world.keys
            world.do(Requeue(document_id, "G14"))
        world.take(world.receipt(document_id, "G14"))
        assert world.state(document_id, "G14") == "received"

    def test_a_late_receipt_in_the_frame_that_closes_it(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        receipts = [world.receipt(document_id, "G14", received=received) for received in (True, False)]
        decisions = [world.decide(TakeReceipt(receipt, "G14")) for receipt in receipts]
        assert [len(decision.records) for decision in decisions] == [1, 1]
        assert isinstance(decisions[1].answer, Refusal)
        world.seal()
        assert world.state(document_id, "G14") == "received"


class TestRequeue:
    def test_it_opens_the_next_attempt_at_the_host_of_today(self, world: World) -> None:
        document_id = world.send("G22", ["H26.A"], priority=1)
        world.take(world.receipt(document_id, "H26.A", received=False))
        world.enrol("H26.A")
        answer = world.do(Requeue(document_id, "H26.A", "moved"))
        assert (answer.attempt, answer.host, answer.unit) == (2, "H26.A", "H26.A")
        assert world.feeds(world.head.sequence) == dict.fromkeys(["G22", "H26.A", "H26"], True)
        noticed = world.record(world.head.sequence).noticed.notice
        notice = open_envelope(noticed, Kind.NOTICE)
        check_notice(notice)
        assert (notice.kind, notice.attempt, notice.host, notice.reason) == (
            evidence_pb2.NOTICE_KIND_REQUEUED,
            2,
            "H26.A",
            "moved",
        )
        assert notice.issued_at == world.now
        assert noticed.signature == sign(noticed.signed)
        old_host = world.receipt(document_id, "H26.A", acting="H26")
        assert refused(world, old_host).name == "not_a_recipient", "only the new host may receipt attempt 2"
        delivery = lookup.delivery(world.store, document_id, "H26.A")
        assert delivery is not None
        assert list(delivery.hosts) == ["H26", "H26.A"]
        world.take(world.receipt(document_id, "H26.A"))

    def test_only_what_is_dead_or_refused(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        refusal = refused(world, Requeue(document_id, "G14"))
        assert (refusal.name, refusal.detail.partition(":")[0]) == ("field_invalid", "attempt")
        world.take(world.receipt(document_id, "G14"))
        assert refused(world, Requeue(document_id, "G14")).name == "delivery_closed"

    def test_not_to_a_suspended_unit(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        world.do(Close(document_id, "000.00.00.G14", "gone"))
        world.do(Suspend("G14"))
        assert refused(world, Requeue(document_id, "G14")).name == "recipient_suspended"

    def test_its_life_begins_anew(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        opened = world.now
        world.do(Close(document_id, "G14", "gone"))
        assert world.store.get(lookup.open_key(opened, document_id, "G14")) == b""
        world.later(DAY)
        world.do(Requeue(document_id, "G14"))
        assert world.store.get(lookup.open_key(world.now, document_id, "G14")) == b"1"
        world.later(DELIVERY_LIFE_MS - 1)
        assert refused(world, Expire(document_id, "G14")).name == "unavailable"
        world.later(1)
        world.do(Expire(document_id, "G14"))


class TestEnds:
    @pytest.mark.parametrize("act", [Close, Expire, Requeue])
    def test_of_deliveries_that_are_there(self, world: World, act: type) -> None:
        reason = () if act is Expire else ("because",)
        assert refused(world, act(world.new_id(), "G14", *reason)).name == "document_unknown"
        document_id = world.send("G22", ["G14"])
        assert refused(world, act(document_id, "H26", *reason)).name == "not_a_recipient"
        assert refused(world, act(document_id, "nobody", *reason)).name == "not_a_recipient"

    def test_a_close_is_told_to_sender_and_host(self, world: World) -> None:
        document_id = world.send("G22", ["H26.A"])
        answer = world.do(Close(document_id, "H26.A", "unreachable"))
        assert (answer.attempt, answer.host) == (1, "H26")
        assert world.state(document_id, "H26.A") == "dead"
        assert world.feeds(world.head.sequence) == {"G22": False, "H26": False}
        notice = open_envelope(world.record(world.head.sequence).noticed.notice, Kind.NOTICE)
        check_notice(notice)
        assert (notice.kind, notice.attempt, notice.reason) == (
            evidence_pb2.NOTICE_KIND_DEAD,
            1,
            "unreachable",
        )
        fact = lookup.document(world.store, document_id)
        assert fact is not None
        assert notice.acceptance_sha256 == fact.acceptance_sha256

    def test_expiry_after_thirty_days_and_not_before(self, world: World) -> None:
        document_id = world.send("G22", ["G14"])
        world.later(DELIVERY_LIFE_MS - 1)
        refusal = refused(world, Expire(document_id, "G14"))
        assert (refusal.name, refusal.code.temporary) == ("unavailable", True)
        world.later(1)
        world.do(Expire(document_id, "G14"))
        assert world.state(document_id, "G14") == "dead"
        assert refused(world, Expire(document_id, "G14")).name == "delivery_closed"
        assert refused(world, Close(document_id, "G14", "again")).name == "delivery_closed"

    @pytest.mark.parametrize("act", [Close, Requeue])
    def test_a_reason_has_its_limit(self, world: World, act: type) -> None:
        document_id = world.send("G22", ["G14"])
        if act is Requeue:
            world.do(Close(document_id, "G14", "gone"))
        assert refused(world, act(document_id, "G14", "r" * 501)).name == "field_invalid"
