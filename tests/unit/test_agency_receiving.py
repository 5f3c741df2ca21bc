"""An agency node receives from an axis that lies, has lost something, or comes back from an old copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import evidence_pb2

from agencies.desk.requests import ReceiptInput
from agencies.store import listing
from agencies.times import DAY_MS
from axis.core.errors import Refusal
from tests.support.agency import World, claimed, made_world, parsed, world

__all__ = ["world"]


async def test_what_comes_is_verified_stored_and_receipted(world: World) -> None:
    document = world.axis.document("G14", "G22", files=(b"content", b""))
    item = world.axis.accept(document)
    document_id = claimed(item)
    got = await world.until(lambda: world.got(document_id))
    assert [a["size"] for a in got["attachments"]] == [7, 0]
    await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "taken")
    receipt = parsed(world.axis.receipts[0])
    assert (receipt.outcome, receipt.attempt) == (evidence_pb2.OUTCOME_RECEIVED, 1)
    assert receipt.signed_sha256 == document.signed_sha256


def forge_signature(world: World, item: Any) -> None:
    item.envelope.signature = world.axis.sign(item.envelope.signed, "H26").signature


def swap_content(world: World, item: Any) -> None:
    item.envelope.signed = item.envelope.signed.replace(b"Decision", b"decision")


def forge_acceptance(world: World, item: Any) -> None:
    item.acceptance.signature = world.axis.sign(item.acceptance.signed, "H26").signature


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (forge_signature, "organisation_mismatch"),
        (swap_content, "signature_invalid"),
        (forge_acceptance, "organisation_mismatch"),
    ],
)
async def test_what_does_not_verify_gets_a_refused_receipt(
    world: World, tamper: Callable[[World, Any], None], code: str
) -> None:
    world.axis.tamper = lambda item: tamper(world, item)
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"content",))))
    got = await world.until(lambda: world.got(document_id))
    assert (got["state"], got["code"], got["attachments"], got["subject"]) == ("refused", code, [], "")
    await world.until(lambda: world.axis.receipts)
    receipt = parsed(world.axis.receipts[0])
    assert (receipt.outcome, receipt.reason) == (evidence_pb2.OUTCOME_REFUSED, code)


async def test_a_document_signed_after_the_revocation_is_refused(world: World) -> None:
    await world.until(lambda: world.node.parts.directory.as_of > 0)
    before = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    world.axis.revoke("G14")
    after = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    await world.until(lambda: world.got(after))
    assert (world.got(before)["code"], world.got(after)["code"]) == ("", "certificate_revoked")


async def test_an_attachment_out_of_reach_holds_only_its_own_document(world: World) -> None:
    late = world.axis.document("G14", "G22", files=(b"late",))
    content = world.axis.contents.pop(next(iter(world.axis.contents)))
    late_id = claimed(world.axis.accept(late))
    other_id = claimed(world.axis.accept(world.axis.document("H26", "G22", files=(b"other",))))
    await world.until(lambda: world.got(other_id))
    await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held WHERE attempts > 0"))
    await world.restart()
    assert world.node.parts.store.row("SELECT 1 FROM held")

    world.axis.contents[hashlib.sha256(content).digest()] = content
    world.clock.jump(600_000)
    await world.until(lambda: world.got(late_id))
    assert world.node.parts.store.row("SELECT 1 FROM held") is None


async def test_wrong_bytes_again_and_again_refuse_the_document(world: World) -> None:
    world.axis.serve_content = lambda content: b"X" * len(content)
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"right",))))
    for attempts in (1, 2, 3):
        await world.until(
            lambda n=attempts: world.node.parts.store.row("SELECT 1 FROM held WHERE attempts = ?", n)
        )
        world.clock.jump(60_000)
    got = await world.until(lambda: world.got(document_id))
    assert (got["state"], got["code"]) == ("refused", "attachment_mismatch")


async def test_a_foreign_receipt_closes_nothing(world: World) -> None:
    document_id = await world.send("G14", "H26")
    other = await world.send("G14")
    await world.until(lambda: world.state(document_id) == "accepted" and world.state(other) == "accepted")
    envelope, acceptance, _ = world.axis.accepted[other]
    from axis.core.receipt import Binding

    world.axis.receipt(document_id, "H26", bound=Binding.of(envelope, acceptance))
    world.axis.receipt(document_id, "H26", acting="G14", signer="G14")
    world.axis.receipt(document_id, "G14")
    await world.until(lambda: world.sent(document_id)["deliveries"][0]["state"] == "received")
    assert world.sent(document_id)["deliveries"][1]["state"] == "in_flight"


async def test_receipts_that_the_axis_will_not_take_stop_or_wait(world: World) -> None:
    world.axis.receipt_code = "sender_suspended"
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    await world.until(lambda: world.got(document_id)["deliveries"][0]["code"] == "sender_suspended")
    assert world.got(document_id)["deliveries"][0]["receipt"] == "queued"
    world.axis.receipt_code = "delivery_closed"
    world.clock.jump(600_000)
    await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "stopped")
    assert len({receipt.signed for receipt in world.axis.receipts}) == 1


async def test_a_requeue_is_an_attempt_of_its_own(world: World) -> None:
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"x",))))
    await world.until(lambda: world.got(document_id))
    cursor = listing.inbox_documents(world.node.parts.store, 0, 10)[1]
    world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22", "G14")
    world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_REQUEUED, 2, "G22", "G22", "G14")
    await world.until(lambda: len(world.got(document_id)["deliveries"]) == 2)
    # The software, which reads behind its cursor, sees it again.
    assert [d["document_id"] for d in listing.inbox_documents(world.node.parts.store, cursor, 10)[0]] == [
        document_id
    ]
    await world.until(lambda: {parsed(r).attempt for r in world.axis.receipts} == {1, 2})


async def test_a_first_attempt_that_is_held_is_closed_once_it_is_stored(tmp_path: Path) -> None:
    """Its content would not come; the axis closed it and requeued, and the second attempt came first."""
    async with made_world(tmp_path, receipt="software") as world:
        world.axis.serve_content = lambda content: b"X" * len(content)
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"right",))))
        await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held"))
        world.axis.serve_content = lambda content: content
        world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_REQUEUED, 2, "G22", "G22", "G14")
        await world.until(lambda: world.got(document_id)["deliveries"])
        world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22", "G14")
        dead = world.axis.sequence
        await world.until(lambda: int(world.node.parts.store.setting("normal_after", "0")) >= dead)
        attempts = "SELECT attempt, state FROM receipt ORDER BY attempt"

        def settled() -> bool:
            world.clock.jump(60_000)
            rows = [tuple(row) for row in world.node.parts.store.rows(attempts)]
            return rows == [(1, "stopped"), (2, "waiting")]

        await world.until(settled)


async def test_a_later_attempt_that_is_held_is_closed_once_it_is_stored(tmp_path: Path) -> None:
    """Its content was wrong at first, and would not come at the second attempt, which the axis closed."""
    async with made_world(tmp_path, receipt="software") as world:
        world.axis.serve_content = lambda content: b"X" * len(content)
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"right",))))
        attempts = "SELECT attempt, state FROM receipt ORDER BY attempt"

        def are(*expected: tuple[int, str]) -> bool:
            world.clock.jump(60_000)
            return [tuple(row) for row in world.node.parts.store.rows(attempts)] == [*expected]

        await world.until(lambda: are((1, "taken")))
        world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_REQUEUED, 2, "G22", "G22", "G14")
        await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held"))
        world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 2, "", "G22", "G14")
        await world.until(lambda: len(world.node.parts.store.rows("SELECT 1 FROM held")) == 2)
        world.axis.serve_content = lambda content: content
        await world.until(lambda: are((1, "taken"), (2, "stopped")))
        assert not world.node.parts.store.rows("SELECT 1 FROM held")


async def test_an_axis_that_closes_what_it_has_a_receipt_of_alarms(world: World) -> None:
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "taken")
    world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22", "G14")
    await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "stopped")
    alarms = [e.data for e in world.node.parts.events.after(0) if e.name == "alarm"]
    assert alarms == [{"what": "taken_receipt_closed", "document_id": document_id}]


async def test_nothing_waits_for_a_document_that_was_given_up(world: World) -> None:
    """Its content never came; after a month and some tries neither it nor the notice of its end is held."""
    document = world.axis.document("G14", "G22", files=(b"lost",))
    world.axis.contents.clear()
    document_id = claimed(world.axis.accept(document))
    await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held"))
    world.clock.jump(31 * DAY_MS)
    world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22", "G14")
    await world.until(lambda: len(world.node.parts.store.rows("SELECT 1 FROM held")) == 2)
    begun = world.clock.now()

    def given_up() -> bool:
        # Again and again: a sleeper that begins just then has not seen what was jumped over.
        world.clock.jump(600_000)
        return not world.node.parts.store.rows("SELECT 1 FROM held")

    await world.until(given_up)
    assert world.clock.now() - begun < 29 * DAY_MS


async def test_a_certificate_in_our_name_with_a_foreign_key_alarms(world: World) -> None:
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis.stranger("G22")
    item = world.axis.items["G22"][-1]
    assert item.event == "issued"
    await world.until(
        lambda: [e for e in world.node.parts.events.after(0) if e.data.get("what") == "certificate_not_ours"]
    )
    assert not [
        e for e in world.node.parts.events.after(0) if e.name == "alarm" and e.data["what"] == "item_invalid"
    ]


async def test_an_axis_restored_from_an_older_copy_gets_everything_again(world: World) -> None:
    sent = await world.send("G14", files=(b"mine",))
    received = claimed(world.axis.accept(world.axis.document("H26", "G22", files=(b"theirs",))))
    await world.until(lambda: world.state(sent) == "accepted" and world.axis.receipts)
    await world.until(lambda: world.got(received)["deliveries"][0]["receipt"] == "taken")
    old = world.axis.accepted.pop(sent)
    theirs = world.axis.accepted.pop(received)
    world.axis.restore("5f0c3b9e-0000-4000-8000-00000000000b")
    await world.until(lambda: sent in world.axis.accepted)
    assert world.axis.accepted[sent][0].signed == old[0].signed
    world.clock.jump(10)
    world.axis.accept(theirs[0])  # its sender sent it again, too
    bound = world.axis.accepted[received][1].signed_sha256
    await world.until(lambda: any(parsed(r).acceptance_sha256 == bound for r in world.axis.receipts))
    await world.until(lambda: world.state(sent) == "accepted")


async def test_the_software_decides_where_the_setting_says_so(tmp_path: Path) -> None:
    async with made_world(tmp_path, receipt="software") as world:
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
        got = await world.until(lambda: world.got(document_id))
        assert got["state"] == "waiting"
        decision = ReceiptInput(outcome="refused", reason="not for us")
        await world.node.parts.service.receipt(document_id, decision, "")
        await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "taken")
        assert parsed(world.axis.receipts[0]).reason == "not for us"


async def test_a_node_without_an_axis_is_ready_and_takes_documents(world: World) -> None:
    world.axis.refuse["feed"] = [Refusal("unavailable")] * 1000
    world.axis.refuse["submissions"] = [Refusal("unavailable")] * 1000
    document_id = await world.send("G14")
    await world.until(lambda: world.sent(document_id)["code"] == "unavailable")
    assert world.state(document_id) == "queued"
