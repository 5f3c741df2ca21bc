"""An agency node when the axis comes back from an older copy, or its own store cannot be written."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from axispb.v1 import api_pb2, evidence_pb2

from agencies.desk.requests import ReceiptInput
from axis.core.envelope import Kind
from axis.core.errors import CODES, Refusal
from tests.support.agency import LIMIT, World, claimed, made_world, parsed, world

__all__ = ["world"]


def head_sequence(world: World) -> int:
    return int(world.node.parts.store.setting("head", "x:0:").split(":")[1])


def directory_stored(world: World) -> int:
    return int(world.node.parts.store.setting("directory_as_of", "0"))


def receipt_for(world: World, document_id: str) -> evidence_pb2.Receipt | None:
    found = [parsed(r) for r in world.axis.receipts if parsed(r).document_id == document_id]
    return found[-1] if found else None


async def test_the_directory_is_stored_with_the_head_that_it_rests_on(world: World) -> None:
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis.unit("K01")
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    assert head_sequence(world) == world.axis.sequence


async def test_a_head_is_stored_that_brought_nothing(world: World) -> None:
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis.sequence += 5
    world.axis._news.set()
    await world.restart()
    await world.until(lambda: head_sequence(world) == world.axis.sequence)


async def test_an_older_copy_is_found_out_by_the_directory_alone(world: World) -> None:
    """The head that a node echoes is never older than its directory."""
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    copied = world.axis.sequence
    world.axis.stranger("K01")
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    await world.node.stop()
    world.axis.rewind(copied)
    world.axis.stranger("K02")  # at the very places where K01 stood
    document_id = claimed(world.axis.accept(world.axis.document("K02", "G22")))
    await world.start()
    receipt = await world.until(lambda: receipt_for(world, document_id))
    assert (receipt.outcome, receipt.reason) == (evidence_pb2.OUTCOME_RECEIVED, "")


async def test_a_gap_in_the_directory_refuses_no_document(world: World) -> None:
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    world.axis.stranger("K01")
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    await world.node.stop()
    with closing(sqlite3.connect(world.home / "agency.sqlite")) as store:
        store.execute("DELETE FROM directory WHERE sequence > ?", (world.axis.sequence - 2,))
        store.commit()
    document_id = claimed(world.axis.accept(world.axis.document("K01", "G22")))
    await world.start()
    receipt = await world.until(lambda: receipt_for(world, document_id))
    assert receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
    # Once read from 0, what is missing is missing.
    other = world.axis.document("K01", "G22")
    world.axis.entries = {k: e for k, e in world.axis.entries.items() if e.certificate.organisation != "K01"}
    await world.restart()
    world.node.parts.directory.directory._certificates.clear()
    document_id = claimed(world.axis.accept(other))
    receipt = await world.until(lambda: receipt_for(world, document_id))
    assert receipt.reason == "certificate_unknown"


FINAL = sorted(name for name, code in CODES.items() if not code.temporary and name != "head_unknown")


@pytest.mark.parametrize("name", FINAL)
async def test_what_is_sent_again_after_a_restore_may_be_refused_for_good(world: World, name: str) -> None:
    document_id = await world.send("G14")
    await world.until(lambda: world.state(document_id) == "accepted")
    world.axis.accepted.clear()
    world.axis.refuse_next = [Refusal(name)] * 1000
    world.axis.restore("5f0c3b9e-0000-4000-8000-00000000000b")
    await world.until(lambda: world.state(document_id) == "rejected")
    assert (world.sent(document_id)["code"], world.sent(document_id)["sequence"]) == (name, 0)
    assert len(world.axis.refuse_next) == 999
    # The evidence stays; nothing counts as sent.
    assert world.node.parts.store.row("SELECT 1 FROM sent WHERE acceptance_signed IS NOT NULL")
    assert not world.node.parts.store.rows("SELECT * FROM counted WHERE event = 'sent'")


async def test_an_acceptance_that_the_older_copy_holds_stays(world: World) -> None:
    document_id = await world.send("G14")
    await world.until(lambda: world.state(document_id) == "accepted")
    before = world.sent(document_id)
    world.axis.restore("5f0c3b9e-0000-4000-8000-00000000000b")
    await world.until(lambda: world.node.parts.events.after(0)[-1].data.get("what") == "axis_restored")
    await world.until(lambda: world.state(document_id) == "accepted")
    assert world.sent(document_id)["sequence"] == before["sequence"]
    assert len(world.node.parts.store.rows("SELECT * FROM counted WHERE event = 'sent'")) == 1


# --- answers of the lost journal that come late


async def recovered(world: World, times: int = 1) -> None:
    """A submission finds out that the axis is another."""
    await world.send("H26")
    await world.until(
        lambda: [e.data.get("what") for e in world.node.parts.events.after(0)].count("axis_restored") >= times
    )


async def sees_the_head(world: World) -> None:
    async with asyncio.timeout(LIMIT):
        while world.node.parts.client.heads.sequence < world.axis.sequence:
            await world.node.parts.directory.refresh()


async def without_a_feed(world: World) -> None:
    """From here on the node learns of heads by its own requests alone."""
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis.refuse["feed"] = [Refusal("unavailable")] * 1000
    world.axis.unit("K01")  # ends the poll
    await world.until(lambda: not world.node.parts.receiver.connected)
    await sees_the_head(world)


async def late(world: World, call: str) -> asyncio.Event:
    """The next answer to `call` waits for the event; returns once it waits."""
    gate = world.axis.gates[call] = asyncio.Event()
    world.axis.calls.clear()
    return gate


async def test_a_page_of_the_lost_journal_moves_no_cursor(world: World) -> None:
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    copied = world.axis.sequence
    gate = await late(world, "contents")
    world.axis.sequence += 50
    document = world.axis.document("G14", "G22", files=(b"content",))
    world.axis.accept(document)
    await world.until(lambda: "contents" in world.axis.calls)
    world.axis.rewind(copied)
    world.axis.lose["contents"] = 1
    await recovered(world)
    del world.axis.gates["contents"]
    document_id = claimed(world.axis.accept(document))
    bound = world.axis.accepted[document_id][1].signed_sha256
    gate.set()
    await world.until(lambda: world.got(document_id))
    await world.until(lambda: (found := receipt_for(world, document_id)) and found.acceptance_sha256 == bound)


async def test_an_acceptance_of_the_lost_journal_does_not_count(world: World) -> None:
    await without_a_feed(world)
    copied = world.axis.sequence
    gate = await late(world, "submissions")
    document_id = await world.send("G14")
    await world.until(lambda: document_id in world.axis.accepted)
    await sees_the_head(world)
    world.axis.rewind(copied)
    await recovered(world)
    world.axis.sequence += 50
    await sees_the_head(world)  # so that the late one is not news
    del world.axis.gates["submissions"]
    gate.set()

    def accepted() -> bool:
        world.clock.jump(1_000)  # whatever waits meanwhile
        return document_id in world.axis.accepted and world.state(document_id) == "accepted"

    await world.until(accepted)


async def test_an_acceptance_that_was_lost_before_it_came_is_found_out(world: World) -> None:
    """No head of the lost journal was the highest ever: the axis went on past it before the answer came."""
    await without_a_feed(world)
    copied = world.axis.sequence
    gate = await late(world, "submissions")
    document_id = await world.send("G14")
    await world.until(lambda: document_id in world.axis.accepted)
    world.axis.rewind(copied)
    world.axis.sequence += 50
    await sees_the_head(world)
    del world.axis.gates["submissions"]
    gate.set()
    await world.until(lambda: world.state(document_id) == "accepted")
    assert document_id not in world.axis.accepted
    del world.axis.refuse["feed"]

    def accepted() -> bool:
        world.clock.jump(1_000)
        return document_id in world.axis.accepted and world.state(document_id) == "accepted"

    await world.until(accepted)


async def test_a_notice_that_the_axis_lost_closes_nothing(world: World) -> None:
    """The operator closed a delivery, and the axis forgot; the receipt that comes then counts."""
    document_id = await world.send("G14")
    delivery = "SELECT attempt, state FROM sent_delivery WHERE document_id = ?"

    def is_(*expected: object) -> bool:
        world.clock.jump(1_000)
        rows = [tuple(row) for row in world.node.parts.store.rows(delivery, document_id)]
        return rows == [expected]

    await world.until(lambda: is_(1, "in_flight"))
    copied = world.axis.sequence
    world.axis.notice(document_id, "G14", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22")
    await world.until(lambda: is_(1, "dead"))
    world.axis.rewind(copied)
    await recovered(world)
    await world.until(lambda: is_(1, "in_flight"))
    world.axis.receipt(document_id, "G14")
    await world.until(lambda: is_(1, "received"))


async def test_a_receipt_that_the_axis_lost_gives_way_to_what_it_has_instead(world: World) -> None:
    """The axis forgot a receipt, and the operator closed the delivery before it was handed in again."""
    documents = [await world.send("G14"), await world.send("G14")]
    await world.until(lambda: all(world.state(one) == "accepted" for one in documents))
    kept, lost = documents
    world.axis.receipt(kept, "G14")
    copied = world.axis.sequence
    world.axis.receipt(lost, "G14")
    await world.until(lambda: all(world.state(one) == "delivered" for one in documents))
    world.axis.rewind(copied)
    world.axis.notice(lost, "G14", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22")
    await recovered(world)
    await world.until(lambda: (world.state(kept), world.state(lost)) == ("delivered", "dead"))
    changes = [e.data for e in world.node.parts.events.after(0) if e.name == "delivery_changed"]
    told = [(data["document_id"], data["delivery"]) for data in changes]
    assert told == [(kept, "received"), (lost, "received"), (lost, "dead")]


async def test_our_receipt_that_the_axis_lost_counts_no_more_once_it_has_closed_the_delivery(
    world: World,
) -> None:
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    copied = world.axis.sequence
    events = "SELECT event FROM counted WHERE document_id = ? ORDER BY event"

    def counted(*expected: str) -> bool:
        return [row["event"] for row in world.node.parts.store.rows(events, document_id)] == [*expected]

    await world.until(lambda: counted("addressed", "received"))
    world.axis.rewind(copied)
    world.axis.refuse["receipts"] = [Refusal("unavailable")] * 1000
    world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_DEAD, 1, "", "G22")
    await recovered(world)
    await world.until(lambda: counted("addressed", "dead"))
    stored = world.node.parts.store.row("SELECT state, code FROM receipt WHERE document_id = ?", document_id)
    assert stored is not None
    assert tuple(stored) == ("stopped", "delivery_closed")
    # The right copy comes back: the receipt is there, at the very place where it was taken first.
    del world.axis.refuse["receipts"]
    world.axis.rewind(copied)
    await recovered(world, 2)
    await world.until(lambda: counted("addressed", "received"))


async def test_a_directory_of_the_lost_journal_is_not_kept(world: World) -> None:
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    copied = world.axis.sequence
    gate = await late(world, "directory")
    world.axis.stranger("K01")
    await world.until(lambda: "directory" in world.axis.calls)
    world.axis.rewind(copied)
    world.axis.sequence += 50
    await recovered(world)
    await world.until(lambda: world.node.parts.client.heads.sequence > copied + 50)
    del world.axis.gates["directory"]
    world.axis.stranger("K02")
    document_id = claimed(world.axis.accept(world.axis.document("K02", "G22")))
    gate.set()
    receipt = await world.until(lambda: receipt_for(world, document_id))
    assert receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
    await world.until(lambda: directory_stored(world) >= world.axis.sequence - 2)
    rows = world.node.parts.store.rows("SELECT key FROM directory")
    assert "unit/K01" not in {row["key"] for row in rows}


async def test_an_axis_that_never_knows_a_head_is_not_asked_without_a_pause(world: World) -> None:
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis._knows = lambda echoed: False  # type: ignore[method-assign]
    await recovered(world, 2)
    world.axis.calls.clear()
    await asyncio.sleep(0.5)
    assert len(world.axis.calls) < 20


# --- the software's decisions


async def test_what_the_software_decided_is_signed_anew_for_the_new_acceptance(tmp_path: Path) -> None:
    async with made_world(tmp_path, receipt="software") as world:
        await world.until(lambda: directory_stored(world) == world.axis.sequence)
        copied = world.axis.sequence
        documents = [world.axis.document("G14", "G22") for _ in range(3)]
        refused, waits, received = [claimed(world.axis.accept(document)) for document in documents]
        await world.until(lambda: all(world.got(one) for one in (refused, waits, received)))
        decide = world.node.parts.service.receipt
        await decide(refused, ReceiptInput(outcome="refused", reason="gửi nhầm"), "")
        await decide(received, ReceiptInput(outcome="received"), "")
        await world.until(lambda: len(world.axis.receipts) == 2)
        numbers = {one: number(world, one) for one in (refused, waits, received)}
        world.axis.rewind(copied)
        world.clock.jump(1_000)
        await recovered(world)
        for document in documents:
            world.axis.accept(document)
        bound = {one: world.axis.accepted[one][1].signed_sha256 for one in (refused, received)}
        for one, reason in ((refused, "gửi nhầm"), (received, "")):
            receipt = await world.until(lambda one=one: of_acceptance(world, bound[one]))
            assert (receipt.document_id, receipt.reason) == (one, reason)
            assert (receipt.outcome == evidence_pb2.OUTCOME_REFUSED) == (one == refused)
            assert number(world, one) == numbers[one]
        await world.until(lambda: number(world, waits) > max(numbers.values()))
        assert world.got(waits)["state"] == "waiting"
        await world.until(lambda: all_taken(world, refused, received))
        for one in (refused, waits, received):
            at = parsed_acceptance(world, one).accepted_at
            rows = world.node.parts.store.rows("SELECT * FROM counted WHERE document_id = ?", one)
            assert {row["accepted_at"] for row in rows} == {at}
            assert len(rows) == (1 if one == waits else 2)


def number(world: World, document_id: str) -> int:
    row = world.node.parts.store.row("SELECT number FROM received WHERE document_id = ?", document_id)
    assert row is not None
    return int(row["number"])


def of_acceptance(world: World, sha256: bytes) -> evidence_pb2.Receipt | None:
    return next((r for r in map(parsed, world.axis.receipts) if r.acceptance_sha256 == sha256), None)


def all_taken(world: World, *documents: str) -> bool:
    return all(world.got(one)["deliveries"][0]["receipt"] == "taken" for one in documents)


def parsed_acceptance(world: World, document_id: str) -> evidence_pb2.Acceptance:
    signed = world.axis.accepted[document_id][1].signed
    return evidence_pb2.Acceptance.FromString(signed[len(Kind.ACCEPTANCE.line) :])


# --- a store without room


def fill(world: World, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Nothing can be stored from now on; what was refused for it."""
    refused: list[None] = []

    async def write(_: object) -> None:
        refused.append(None)
        raise Refusal("storage_full", retry_after=30)

    monkeypatch.setattr(world.node.parts.store, "write", write)
    return refused


async def test_without_room_nothing_is_tried_without_a_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.axis.refuse["submissions"] = [Refusal("unavailable")]
    sent = await world.send("G14")
    await world.until(lambda: world.sent(sent)["attempts"] == 1)
    document = world.axis.document("G14", "G22", files=(b"content",))
    contents, world.axis.contents = world.axis.contents, {}
    document_id = claimed(world.axis.accept(document))
    await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held WHERE attempts > 0"))
    world.axis.contents = contents
    refused = fill(world, monkeypatch)
    world.axis.submitted.clear()
    world.clock.jump(2_000)
    await asyncio.sleep(0.5)
    assert 0 < len(refused) < 20
    assert len(world.axis.submitted) <= 1
    monkeypatch.undo()
    world.clock.jump(120_000)
    await world.until(lambda: world.state(sent) == "accepted")
    await world.until(lambda: receipt_for(world, document_id))


async def test_a_status_waits_for_a_certificate_where_a_document_does_not(world: World) -> None:
    world.axis.refuse_next = [Refusal("unavailable"), Refusal("certificate_revoked")]
    sent = await world.send("G14")
    await world.until(lambda: world.sent(sent)["attempts"] == 1)
    await world.node.parts.store.write(lambda c: c.execute("UPDATE sent SET kind = 'status'").rowcount)
    world.clock.jump(2_000)

    def tried() -> sqlite3.Row | None:
        return world.node.parts.store.row("SELECT state, code FROM sent WHERE attempts = 2")

    assert tuple(await world.until(tried)) == ("queued", "certificate_revoked")


async def test_a_certificate_in_our_name_alarms_though_the_feed_hides_it(world: World) -> None:
    await world.until(lambda: world.node.parts.receiver.connected)
    world.axis.stranger("G22")
    world.axis.items["G22"].clear()

    def alarms() -> list[object]:
        data = [e.data for e in world.node.parts.events.after(0)]
        return [each["serial"] for each in data if each.get("what") == "certificate_not_ours"]

    (serial,) = await world.until(alarms)
    # Once for each certificate, whatever changes beside it, and told of in the feed besides.
    fact = world.axis.entries[str(serial)].certificate
    world.axis.unit("K01")
    item = api_pb2.FeedItem(sequence=world.axis.sequence, event="issued", certificate=fact)
    world.axis.publish(item, "G22")
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    await world.until(lambda: int(world.node.parts.store.setting("normal_after")) == item.sequence)
    assert alarms() == [serial]


async def test_only_wrong_bytes_count_towards_a_refusal(world: World) -> None:
    document = world.axis.document("G14", "G22", files=(b"right",))
    contents, world.axis.contents = world.axis.contents, {}
    document_id = claimed(world.axis.accept(document))

    def tried(times: int) -> sqlite3.Row | None:
        return world.node.parts.store.row("SELECT 1 FROM held WHERE attempts >= ?", times)

    for attempts in range(1, 7):
        await world.until(lambda n=attempts: tried(n))
        world.clock.jump(60_000)
    # Absent seven times, wrong once, then right.
    world.axis.contents = contents
    world.axis.serve_content = lambda content: b"X" * len(content)
    before = len(world.axis.calls)
    world.clock.jump(60_000)
    await world.until(lambda: world.node.parts.store.row("SELECT 1 FROM held WHERE detail LIKE '%mismatch%'"))
    assert len(world.axis.calls) > before
    world.axis.serve_content = lambda content: content
    world.clock.jump(60_000)
    got = await world.until(lambda: world.got(document_id))
    assert got["state"] == "received"


async def test_a_certificate_listed_under_another_name_does_not_count(world: World) -> None:
    world.axis.stranger("G22")
    certificate = world.axis._certificates["G22"]
    (entry,) = [e for e in world.axis.entries.values() if e.certificate.certificate == certificate]
    entry.certificate.organisation = "H26"
    await world.node.parts.directory.refresh()
    directory = world.node.parts.directory
    assert directory.certificate(hashlib.sha256(certificate).digest()) is None
    other = hashlib.sha256(world.axis._certificates["G14"]).digest()
    assert directory.certificate(other) == directory.certificate(other) is not None


async def test_what_is_undone_is_not_logged_as_stored(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = world.node.parts.store
    write, undone = store.write, asyncio.Event()

    async def undo(change: Callable[[sqlite3.Connection], object]) -> object:
        def then_fail(connection: sqlite3.Connection) -> None:
            change(connection)
            raise Refusal("storage_full")

        try:
            return await write(then_fail)
        finally:
            undone.set()

    await world.until(lambda: world.node.parts.receiver.connected)
    monkeypatch.setattr(store, "write", undo)
    document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
    async with asyncio.timeout(20):
        await undone.wait()
    assert "document_stored" not in output(capsys)
    monkeypatch.undo()
    world.clock.jump(60_000)
    await world.until(lambda: world.got(document_id))
    await world.until(lambda: "document_stored" in output(capsys))


def output(capsys: pytest.CaptureFixture[str]) -> str:
    return "".join(capsys.readouterr())
