"""Accepting documents and statuses: the order of the checks, repeats, and what an acceptance binds."""

from __future__ import annotations

import pytest
from axispb.v1 import document_pb2

from axis.core import lookup
from axis.core.commands import Accept, RecordCertificate, Register, Resume, Revoke, Suspend
from axis.core.decide import decide
from axis.core.document import MAX_AGE_MS, MAX_FUTURE_MS
from axis.core.envelope import Kind
from axis.core.errors import Refusal
from tests.world import AXIS_ID, DAY, START, Store, World, certificate, open_envelope, sign, verified


@pytest.fixture
def world() -> World:
    """G22 hosts G22.A; G14 has a node and an old code; H26 has none; H26.B stands below it."""
    world = World()
    world.unit("G22", node=True)
    world.unit("G22.A")
    world.unit("G14", node=True, old=["000.00.00.G14"])
    world.unit("H26")
    world.unit("H26.B")
    return world


def refusal(world: World, what: object, peer: str = "") -> Refusal:
    before = world.head
    with pytest.raises(Refusal) as caught:
        world.accept(what, peer)  # type: ignore[arg-type]
    assert world.head == before, "a refusal appends nothing by itself"
    return caught.value


def test_an_acceptance_binds_everything_and_names_the_hosts(world: World) -> None:
    document = world.document("G22.A", ["000.00.00.G14", "H26.B", "G22"])
    answer = world.accept(document)
    assert not answer.repeated
    acceptance = open_envelope(answer.acceptance, Kind.ACCEPTANCE)
    assert acceptance.axis_id == AXIS_ID
    assert acceptance.document_id == document.message.document_id
    assert acceptance.kind == "document"
    assert acceptance.signed_sha256 == document.envelope.signed_sha256
    assert acceptance.signature_sha256 == document.envelope.signature_sha256
    assert acceptance.accepted_at == world.now == world.head.at
    assert [(d.unit, d.host) for d in acceptance.deliveries] == [
        ("G14", "G14"),
        ("H26.B", "H26.B"),
        ("G22", "G22"),
    ]
    record = world.record(world.head.sequence)
    assert record.trace_id == "4b" * 16
    assert record.accepted.envelope.signed == document.envelope.signed
    assert record.accepted.acceptance.signature == sign(answer.acceptance.signed)


def test_the_same_bytes_again_get_the_same_acceptance(world: World) -> None:
    document = world.document("G22", ["G14"])
    world.accept(document)
    place = world.head
    world.do(Suspend("G22"))
    world.do(Suspend("G14"))
    world.do(Revoke(certificate("G22").serial, "keyCompromise"))
    world.later(100 * DAY)
    anew = verified(Kind.DOCUMENT, document.message, certificate("G22", name="new"), b"another signature")
    for again in (document, anew):
        answer = world.accept(again)
        assert (answer.acceptance, answer.sequence, answer.repeated) == (None, place.sequence, True)


def test_a_repeat_in_the_same_frame_names_the_record_to_come(world: World) -> None:
    document = world.document("G22", ["G14"])
    first, again = (world.decide(Accept(document, "G22")) for _ in range(2))
    assert len(first.records) == 1
    assert again.records == ()
    assert again.answer.sequence == world.head.sequence + 1  # type: ignore[union-attr]


def test_other_bytes_under_the_same_id_are_refused(world: World) -> None:
    document_id = world.send("G22", ["G14"])
    other = world.document("G22", ["H26"], document_id=document_id)
    assert refusal(world, other).name == "id_reused"
    foreign = world.document("G14", ["H26"], document_id=document_id)
    assert refusal(world, foreign).name == "id_reused"


def test_only_the_organisation_that_signed_may_hand_it_in(world: World) -> None:
    document = world.document("G22", ["G14"])
    assert refusal(world, document, peer="G14").name == "organisation_mismatch"
    world.accept(document)
    assert refusal(world, document, peer="G14").name == "organisation_mismatch", "no repeat for others"


def test_the_sender_is_registered_active_and_hosted_by_who_acts(world: World) -> None:
    assert refusal(world, world.document("X9", ["G14"], acting="G22")).name == "sender_not_registered"
    assert refusal(world, world.document("G22", ["G14"], acting="X9")).name == "sender_not_registered"
    assert refusal(world, world.document("G22", ["G14"], acting="G14")).name == "not_host_of_unit"
    assert refusal(world, world.document("H26.B", ["G14"], acting="H26")).name == "not_host_of_unit"
    world.do(Suspend("G22.A"))
    assert refusal(world, world.document("G22.A", ["G14"])).name == "sender_suspended"
    world.do(Resume("G22.A"))
    world.do(Suspend("G22"))
    assert refusal(world, world.document("G22.A", ["G14"])).name == "sender_suspended"


def test_a_unit_sends_by_any_of_its_codes(world: World) -> None:
    document = world.document("000.00.00.G14", ["G22"], acting="G14")
    world.accept(document)
    fact = lookup.document(world.store, document.message.document_id)
    assert fact is not None
    assert (fact.sender_unit, fact.sender_host) == ("G14", "G14")


def test_a_unit_that_enrols_is_its_own_host_from_then_on(world: World) -> None:
    before = world.send("G14", ["G22.A"])
    world.enrol("G22.A")
    after = world.send("G14", ["G22.A"])
    hosts = [lookup.delivery(world.store, i, "G22.A").host for i in (before, after)]  # type: ignore[union-attr]
    assert hosts == ["G22", "G22.A"]
    assert refusal(world, world.document("G22.A", ["G14"], acting="G22")).name == "not_host_of_unit"


def test_the_signing_certificate_is_judged_at_the_head(world: World) -> None:
    document = world.document("G22", ["G14"])
    unknown = verified(Kind.DOCUMENT, document.message, certificate("G22", name="secret"))
    assert refusal(world, unknown).name == "certificate_unknown"
    world.do(Revoke(certificate("G22").serial, "superseded"))
    assert refusal(world, document).name == "certificate_revoked"


def test_the_certificates_validity_is_judged_at_the_frames_time(world: World) -> None:
    world.later(1000 * DAY)
    world.accept(world.document("G22", ["G14"]))
    world.later(1)
    assert refusal(world, world.document("G22", ["G14"])).name == "certificate_expired"
    world.now = START - DAY - 1
    assert refusal(world, world.document("G22", ["G14"])).name == "certificate_not_yet_valid"


def test_created_at_is_judged_once_at_acceptance(world: World) -> None:
    early = world.document("G22", ["G14"], created_at=world.now + MAX_FUTURE_MS + 1)
    assert refusal(world, early).name == "created_in_future"
    world.later(1)
    world.accept(early)
    week_old = world.document("G22", ["G14"], created_at=world.now - MAX_AGE_MS)
    world.accept(week_old)
    old = world.document("G22", ["G14"], created_at=world.now - MAX_AGE_MS - 1)
    assert refusal(world, old).name == "created_too_old"


def test_every_bad_recipient_is_named_and_nothing_is_half_sent(world: World) -> None:
    world.do(Suspend("H26"))
    bad = world.document("G22", ["G14", "H26", "000.00.00.G14", "X9", "G22.A"])
    refused = refusal(world, bad)
    assert refused.name == "recipient_unknown"
    assert refused.extra == {
        "recipients": {
            "H26": "recipient_suspended",
            "000.00.00.G14": "recipient_duplicate",
            "X9": "recipient_unknown",
        }
    }
    assert all(code in refused.detail for code in ("H26", "000.00.00.G14", "X9"))


@pytest.mark.parametrize(
    ("to", "name", "problems"),
    [
        (["H26", "G14", "G14"], "recipient_suspended", {"H26", "G14"}),
        (["G14", "000.00.00.G14"], "recipient_duplicate", {"000.00.00.G14"}),
        (["G14", "G14"], "recipient_duplicate", {"G14"}),
        (["H26", "H26"], "recipient_suspended", {"H26"}),
        (["X9", "X9"], "recipient_unknown", {"X9"}),
    ],
)
def test_the_code_is_the_first_kind_found(world: World, to: list[str], name: str, problems: set[str]) -> None:
    world.do(Suspend("H26"))
    refused = refusal(world, world.document("G22", to))
    assert refused.name == name
    assert set(refused.extra["recipients"]) == problems  # type: ignore[call-overload]


def test_a_dropped_old_code_names_nobody(world: World) -> None:
    world.do(Register("G14", "Ministry", "", ("G14.OLD",)))
    assert refusal(world, world.document("G22", ["000.00.00.G14"])).name == "recipient_unknown"
    world.accept(world.document("G22", ["G14.OLD"]))


def test_nothing_is_accepted_before_the_journal_is_founded() -> None:
    world, store = World(), Store()
    world.unit("G22", node=True)
    store.facts = {k: v for k, v in world.store.facts.items() if k != lookup.FOUNDED_KEY}
    decision = decide(Accept(world.document("G22", ["G22"]), "G22"), store, world.now, sign)
    assert isinstance(decision.answer, Refusal)
    assert decision.answer.name == "unavailable"


def test_documents_feed_the_hosts_and_the_sender_in_their_lane(world: World) -> None:
    world.send("G22.A", ["G14", "H26", "H26.B", "G22"], priority=3)
    assert world.feeds(world.head.sequence) == dict.fromkeys(["G14", "H26", "H26.B", "G22"], True)
    world.send("G14", ["G22.A"], priority=5)
    assert world.feeds(world.head.sequence) == {"G14": False, "G22": False}


def test_an_accepted_document_names_its_blobs(world: World) -> None:
    attachments = [
        document_pb2.Attachment(name="a", size=5, sha256=b"a" * 32),
        document_pb2.Attachment(name="b", size=7, sha256=b"b" * 32),
    ]
    first = world.send("G22", ["G14"], attachments=attachments)
    world.send("G22", ["G14"], attachments=attachments[:1])
    fact = lookup.document(world.store, first)
    assert fact is not None
    assert fact.bytes == 12
    assert world.store.get(lookup.blob_key(b"a" * 32)) == first.encode()


class TestStatuses:
    def test_a_status_goes_to_the_other_side_in_the_documents_lane(self, world: World) -> None:
        about = world.send("G22", ["G14", "H26"], priority=1)
        world.accept(world.status("G14", "G22", about))
        assert world.feeds(world.head.sequence) == {"G14": True, "G22": True}
        taken_back = world.status("G22", "000.00.00.G14", about, "13")
        answer = world.accept(taken_back)
        acceptance = open_envelope(answer.acceptance, Kind.ACCEPTANCE)
        assert (acceptance.kind, acceptance.deliveries[0].unit) == ("status", "G14")
        fact = lookup.document(world.store, taken_back.message.document_id)
        assert fact is not None
        assert (fact.kind, fact.about_document_id, fact.bytes) == ("status", about, 0)

    def test_a_status_is_about_a_document(self, world: World) -> None:
        unknown = world.status("G14", "G22", world.new_id())
        assert refusal(world, unknown).name == "document_unknown"
        about = world.send("G22", ["G14"])
        status = world.status("G14", "G22", about)
        world.accept(status)
        nested = world.status("G22", "G14", status.message.document_id)
        assert refusal(world, nested).name == "document_unknown"

    def test_a_message_about_nothing_that_is_known_is_delivered(self, world: World) -> None:
        answer = world.accept(world.status("G14", "H26", "", packet=b"<edXML/>"))
        acceptance = open_envelope(answer.acceptance, Kind.ACCEPTANCE)
        assert [delivery.unit for delivery in acceptance.deliveries] == ["H26"]

    @pytest.mark.parametrize(
        ("sender", "to"), [("G14", "H26"), ("H53", "G22"), ("G22", "H53"), ("G22", "G22"), ("G14", "G14")]
    )
    def test_only_the_two_sides_exchange_statuses(self, world: World, sender: str, to: str) -> None:
        world.unit("H53", node=True)
        about = world.send("G22", ["G14", "H26"])
        assert refusal(world, world.status(sender, to, about)).name == "not_a_recipient"

    def test_a_unit_that_wrote_to_itself_is_both_sides(self, world: World) -> None:
        about = world.send("G22", ["G22"])
        world.accept(world.status("G22", "G22", about))

    def test_repeats_and_reuse_are_as_for_documents(self, world: World) -> None:
        about = world.send("G22", ["G14"])
        status = world.status("G14", "G22", about)
        world.accept(status)
        assert world.accept(status).repeated
        other = world.document("G14", ["G22"], document_id=status.message.document_id)
        assert refusal(world, other).name == "id_reused"


def test_a_certificate_recorded_alone_counts(world: World) -> None:
    world.do(RecordCertificate(certificate("G22", name="second")))
    document = world.document("G22", ["G14"])
    world.accept(verified(Kind.DOCUMENT, document.message, certificate("G22", name="second")))
