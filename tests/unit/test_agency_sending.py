"""An agency node sends to an axis that refuses, loses answers and lies."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from axispb.v1 import evidence_pb2

from agencies.store import inbox, outbox
from agencies.store.outbox import Lane
from axis.core.envelope import Envelope
from axis.core.errors import Refusal
from tests.support.agency import World, claimed, parsed, world

__all__ = ["world"]


async def test_a_document_is_accepted_and_every_receipt_closes_its_delivery(world: World) -> None:
    document_id = await world.send("G14", "H26", files=(b"one", b"two"))
    await world.until(lambda: world.state(document_id) == "accepted")
    world.axis.receipt(document_id, "G14")
    world.axis.receipt(document_id, "H26", received=False)
    await world.until(lambda: world.state(document_id) == "partly_refused")
    assert [d["receipt"]["reason"] for d in world.sent(document_id)["deliveries"]] == ["", "no"]


async def test_a_lost_answer_is_asked_for_again_with_the_same_bytes(world: World) -> None:
    world.axis.lose["submissions"] = 1
    document_id = await world.send("G14", files=(b"content",))
    # The feed brings the acceptance although the answer to the submission was lost.
    await world.until(lambda: world.state(document_id) == "accepted")
    assert len({envelope.signed for envelope in world.axis.submitted}) == 1
    assert len(world.axis.accepted) == 1


async def test_a_temporary_refusal_backs_off_and_survives_a_restart(world: World) -> None:
    world.axis.refuse["submissions"] = [Refusal("rate_limited"), Refusal("storage_full", retry_after=60)]
    document_id = await world.send("G14", files=(b"content",))
    await world.until(lambda: world.sent(document_id)["code"] == "rate_limited")
    world.clock.jump(1_100)
    await world.until(lambda: world.sent(document_id)["code"] == "storage_full")
    await world.restart()
    assert world.state(document_id) == "queued"
    world.clock.jump(59_000)
    await asyncio.sleep(0)
    assert world.sent(document_id)["attempts"] == 2
    world.clock.jump(2_000)
    await world.until(lambda: world.state(document_id) == "accepted")
    # Content that the axis has already is not uploaded again.
    assert len(world.axis.uploads) == 1


async def test_a_final_refusal_is_kept_with_its_code(world: World) -> None:
    world.axis.refuse_next = [Refusal("field_invalid", "subject")]
    document_id = await world.send("G14")
    await world.until(lambda: world.state(document_id) == "rejected")
    assert world.sent(document_id)["code"] == "field_invalid"


@pytest.mark.parametrize(
    "name",
    [
        "field_invalid",
        "header_too_large",
        "route_unknown",
        "certificate_expired",
        "certificate_not_yet_valid",
    ],
)
async def test_what_is_wrong_with_a_batch_refuses_no_document(world: World, name: str) -> None:
    world.axis.refuse["submissions"] = [Refusal(name)]
    document_id = await world.send("G14")
    await world.until(lambda: world.sent(document_id)["attempts"] == 1)
    assert (world.state(document_id), world.sent(document_id)["code"]) == ("queued", "unavailable")
    world.clock.jump(2_000)
    await world.until(lambda: world.state(document_id) == "accepted")


async def test_one_outcome_that_cannot_be_stored_harms_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.axis.gates["submissions"] = asyncio.Event()
    await world.send("G14")
    await world.until(lambda: "submissions" in world.axis.calls)
    good, bad = await world.send("G14"), await world.send("G14")
    accept, broken = outbox.accept, [True]

    def failing(connection: Any, acceptance: Any, message: Any, sequence: int) -> bool:
        if message.document_id == bad and broken[0]:
            raise ZeroDivisionError
        return accept(connection, acceptance, message, sequence)

    monkeypatch.setattr(outbox, "accept", failing)
    gate.set()
    await world.until(lambda: world.state(good) == "accepted")
    assert world.state(bad) == "queued"
    broken[0] = False
    world.clock.jump(6_000)
    await world.until(lambda: world.state(bad) == "accepted")


async def test_one_item_that_cannot_be_stored_does_not_stop_the_feed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, broken = inbox.store_document, [True]

    def failing(connection: Any, incoming: Any) -> bool:
        if incoming.sender_unit == "H26" and broken[0]:
            raise ZeroDivisionError
        return store(connection, incoming)

    monkeypatch.setattr(inbox, "store_document", failing)
    bad = claimed(world.axis.accept(world.axis.document("H26", "G22", files=(b"bad",))))
    good = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"good",))))
    await world.until(lambda: world.got(good))
    await world.until(lambda: world.node.parts.store.rows("SELECT * FROM held"))
    broken[0] = False
    world.clock.jump(6_000)
    await world.until(lambda: world.got(bad))


async def test_an_acceptance_in_the_feed_wins_over_a_refusal(world: World) -> None:
    world.axis.refuse_next = [Refusal("field_invalid")]
    document_id = await world.send("G14")
    await world.until(lambda: world.state(document_id) == "rejected")
    row = world.node.parts.store.row("SELECT signed, signature FROM sent")
    assert row is not None
    world.axis.accept(Envelope(row["signed"], row["signature"]))
    await world.until(lambda: world.state(document_id) == "accepted")
    assert world.sent(document_id)["code"] == ""


async def test_a_certificate_refusal_is_final_only_without_a_newer_certificate(world: World) -> None:
    world.axis.refuse_next = [Refusal("certificate_revoked")]
    lost = await world.send("G14")
    await world.until(lambda: world.state(lost) == "rejected")
    world.axis.refuse["submissions"] = [Refusal("unavailable")]
    kept = await world.send("G14")
    await world.until(lambda: world.sent(kept)["attempts"] == 1)
    await world.node.stop()
    world.axis.agency("G22", world.home)  # enrolled again: new keys
    await world.start()
    world.clock.jump(2_000)
    await world.until(lambda: world.state(kept) == "accepted")
    rows = world.node.parts.store.rows("SELECT * FROM sent_signature WHERE document_id = ?", kept)
    assert len(rows) == 2


async def test_an_acceptance_that_does_not_verify_does_not_count(world: World) -> None:
    document_id = await world.send("G14", key="1")
    await world.until(lambda: world.state(document_id) == "accepted")
    envelope, acceptance, sequence = world.axis.accepted[document_id]
    forged = Envelope(acceptance.signed, world.axis.sign(acceptance.signed, "G14").signature)
    other = await world.send("G14", key="2")
    await world.until(lambda: world.state(other) == "accepted")
    connection = world.node.parts.store
    # The feed has brought it, too: nothing else says so later.
    place = world.axis.accepted[other][2]
    await world.until(lambda: int(connection.setting("normal_after", "0")) >= place)
    world.axis.accepted[other] = (envelope, forged, sequence)
    await connection.write(
        lambda c: c.execute(
            "UPDATE sent SET state = 'queued', acceptance_signed = NULL WHERE document_id = ?", (other,)
        )
    )
    world.node._loops.wake()
    await world.until(lambda: "does not verify" in world.sent(other)["detail"])
    assert world.state(other) == "queued"


async def test_idempotency_in_the_store(world: World) -> None:
    first = await world.send("G14", key="k", files=(b"x",))
    assert await world.send("G14", key="k", files=(b"x",)) == first
    both = await asyncio.gather(*(world.send("H26", key="race") for _ in range(5)))
    assert len(set(both)) == 1
    for changed in ({"files": (b"y",)}, {"files": (b"x",), "priority": 1}):
        with pytest.raises(Refusal) as refused:
            await world.send("G14", key="k", **changed)  # type: ignore[arg-type]
        assert refused.value.name == "idempotency_conflict"


async def test_urgent_documents_go_first(world: World) -> None:
    world.axis.refuse["submissions"] = [Refusal("shutting_down")] * 20
    for number in range(4):
        await world.send("G14", priority=number % 2)
    await world.until(lambda: len(world.axis.submitted) == 4 or all_tried(world, 1))
    later = world.clock.now() + 3_600_000
    for lane, priority in ((Lane.URGENT, 1), (Lane.ORDINARY, 0)):
        found = outbox.due(world.node.parts.store, later, lane, 10)
        headers = [world.sent(one.document_id)["header"]["fields"] for one in found]
        assert [fields["other"].get("priority", 0) for fields in headers] == [priority] * 2
    assert outbox.due(world.node.parts.store, later, Lane.LARGE, 10) == []


async def test_what_waits_goes_together_and_each_gets_its_own_answer(world: World) -> None:
    gate = world.axis.gates["submissions"] = asyncio.Event()
    first = await world.send("G14")
    await world.until(lambda: "submissions" in world.axis.calls)
    ids = [await world.send("G14", files=(f"content {n}".encode(),)) for n in range(5)]
    gate.set()
    await world.until(lambda: all(world.state(one) == "accepted" for one in [first, *ids]))
    assert world.axis.calls.count("submissions") == 2
    assert sorted(map(len, world.axis.batches)) == [1, 5]
    # Small contents came along, and none was uploaded by itself.
    assert "blobs" not in world.axis.calls
    assert len(world.axis.uploads) == 5


async def test_one_that_is_refused_harms_no_other(world: World) -> None:
    gate = world.axis.gates["submissions"] = asyncio.Event()
    await world.send("G14")
    await world.until(lambda: "submissions" in world.axis.calls)
    good, bad, later = [await world.send("G14", files=(f"{n}".encode(),)) for n in range(3)]
    world.axis.answers[bad] = Refusal("recipient_suspended", "G14")
    world.axis.answers[later] = Refusal("unavailable", retry_after=600)
    gate.set()
    await world.until(lambda: world.state(good) == "accepted")
    assert (world.state(bad), world.sent(bad)["code"]) == ("rejected", "recipient_suspended")
    assert (world.state(later), world.sent(later)["code"]) == ("queued", "unavailable")
    assert world.sent(later)["attempts"] == 1
    del world.axis.answers[later]
    world.clock.jump(601_000)
    await world.until(lambda: world.state(later) == "accepted")


async def test_content_that_is_gone_from_the_node_holds_up_only_its_document(world: World) -> None:
    gate = world.axis.gates["submissions"] = asyncio.Event()
    await world.send("G14")
    await world.until(lambda: "submissions" in world.axis.calls)
    whole, broken = await world.send("G14", files=(b"there",)), await world.send("G14", files=(b"gone",))
    name = hashlib.sha256(b"gone").digest()
    await world.node.parts.store.write(lambda c: c.execute("DELETE FROM content WHERE sha256 = ?", (name,)))
    gate.set()
    await world.until(lambda: world.state(whole) == "accepted" and world.sent(broken)["attempts"] == 1)
    assert (world.state(broken), world.sent(broken)["code"]) == ("queued", "attachment_missing")


async def test_content_that_cannot_be_read_holds_up_only_its_document(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.axis.gates["submissions"] = asyncio.Event()
    await world.send("G14")
    await world.until(lambda: "submissions" in world.axis.calls)
    whole, broken = await world.send("G14", files=(b"there",)), await world.send("G14", files=(b"broken",))
    blobs, name = world.node.parts.blobs, hashlib.sha256(b"broken").digest()
    read = blobs.open

    def failing(sha256: bytes, offset: int = 0) -> Any:
        if sha256 == name:
            raise OSError(5, "Input/output error")
        return read(sha256, offset)

    monkeypatch.setattr(blobs, "open", failing)
    gate.set()
    await world.until(lambda: world.state(whole) == "accepted" and world.sent(broken)["attempts"] == 1)
    assert (world.state(broken), world.sent(broken)["code"]) == ("queued", "unavailable")


async def test_content_that_cannot_be_stored_does_not_stop_the_feed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = world.node.parts.blobs
    put = blobs.put

    async def failing(*given: Any, **more: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(blobs, "put", failing)
    bad = claimed(world.axis.accept(world.axis.document("H26", "G22", files=(bytes(70_000),))))
    good = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"good",))))
    await world.until(lambda: world.got(good))
    await world.until(lambda: world.node.parts.store.rows("SELECT * FROM held"))
    monkeypatch.setattr(blobs, "put", put)
    world.clock.jump(6_000)
    await world.until(lambda: world.got(bad))


async def test_content_of_another_size_than_the_header_names_is_not_received(world: World) -> None:
    world.axis.size_of = lambda content: len(content) + 5_000
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22", files=(b"short",))))
    for _ in range(6):
        await world.until(lambda: world.node.parts.store.rows("SELECT * FROM held") or world.axis.receipts)
        if world.axis.receipts:
            break
        attempts = world.axis.calls.count("contents") + world.axis.calls.count("documents")
        world.clock.jump(600_000)
        await world.until(
            lambda seen=attempts: (
                world.axis.calls.count("contents") + world.axis.calls.count("documents") > seen
                or world.axis.receipts
            )
        )
    receipt = parsed((await world.until(lambda: world.axis.receipts))[0])
    assert (receipt.document_id, receipt.outcome, receipt.reason) == (
        document_id,
        evidence_pb2.OUTCOME_REFUSED,
        "attachment_mismatch",
    )


async def test_large_attachments_are_uploaded_and_delay_no_other(world: World) -> None:
    gate = world.axis.gates["blobs"] = asyncio.Event()
    large = await world.send("G14", files=(bytes(70_000), b"small"))
    many = await world.send("G14", files=tuple(bytes([n]) * 60_000 for n in range(40)))
    small = await world.send("G14", files=(b"small",))
    await world.until(lambda: world.state(small) == "accepted")
    assert (world.state(large), world.state(many)) == ("queued", "queued")
    gate.set()
    await world.until(lambda: world.state(large) == world.state(many) == "accepted")


def all_tried(world: World, attempts: int) -> bool:
    return all(r["attempts"] >= attempts for r in world.node.parts.store.rows("SELECT attempts FROM sent"))
