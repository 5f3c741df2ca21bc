"""An agency node when the axis comes back from an older copy, or its own store cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from axispb.v1 import evidence_pb2

from axis.core.errors import CODES, Refusal
from tests.unit.test_agency_node import World, claimed, parsed, world

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
    world.axis.refuse["envelopes"] = [Refusal(name)] * 1000
    world.axis.restore("5f0c3b9e-0000-4000-8000-00000000000b")
    await world.until(lambda: world.state(document_id) == "rejected")
    assert (world.sent(document_id)["code"], world.sent(document_id)["sequence"]) == (name, 0)
    assert len(world.axis.refuse["envelopes"]) == 999
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
    await world.until(lambda: directory_stored(world) == world.axis.sequence)
    copied = world.axis.sequence
    world.axis.refuse["feed"] = [Refusal("unavailable")] * 1000
    world.axis._news.set()
    gate = await late(world, "envelopes")
    document_id = await world.send("G14")
    await world.until(lambda: "envelopes" in world.axis.calls)
    world.axis.rewind(copied)
    await recovered(world)
    world.axis.sequence += 50
    await world.node.parts.directory.refresh()  # so that the late head is not news
    del world.axis.gates["envelopes"]
    gate.set()
    await world.until(lambda: document_id in world.axis.accepted)
    await world.until(lambda: world.state(document_id) == "accepted")


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
