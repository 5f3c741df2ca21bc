"""What the axis says that stands of a node's own receipts and documents: taken over only if it verifies."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from axispb.v1 import api_pb2, document_pb2, evidence_pb2

from agencies import config, keys
from agencies.api.metrics import metrics_text
from agencies.desk.requests import StatusInput
from agencies.store.database import get_setting
from agencies.store.restored import is_catching_up, mark_restored
from agencies.times import DAY_MS
from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.core.receipt import Binding, build_receipt
from tests.support.agency import World, claimed, made_world, parsed


@asynccontextmanager
async def world_of(folder: Path, **settings: Any) -> AsyncIterator[World]:
    async with made_world(folder, **settings) as made:
        await made.until(lambda: made.node.parts.receiver.connected)
        yield made


def own_signature(world: World, signed: bytes) -> Envelope:
    return Envelope(signed, keys.load_credentials(world.home).sign(signed, world.clock.now()))


def stands_for(
    world: World, item: api_pb2.FeedItem, *, signer: str = "", foreign: bool = False, **changes: Any
) -> api_pb2.Standing:
    """A refused receipt of this node's own for the document of an item, as an earlier life would have it."""
    document_id = claimed(item)
    bound = Binding.of(Envelope.from_message(item.envelope), Envelope.from_message(item.acceptance))
    if foreign:
        bound = Binding(bound.signed_sha256, bound.signature_sha256, bytes(32))
    said = {"recipient_unit": "G22", "attempt": 1, "received": False} | changes
    message = build_receipt(
        axis_id=world.axis.axis_id,
        document_id=document_id,
        bound=bound,
        acting_organisation="G22",
        stored_at=1_000,
        reason="earlier",
        **said,
    )
    signed = signed_bytes(Kind.RECEIPT, message)
    envelope = world.axis.sign(signed, signer) if signer else own_signature(world, signed)
    return api_pb2.Standing(
        unit="G22",
        attempt=1,
        outcome="refused",
        sequence=item.sequence,
        at=item.at,
        receipt=envelope.to_message(),
    )


LIES: dict[str, dict[str, Any]] = {
    "signed by another": {"signer": "G14"},
    "signed in our name with others' keys": {"signer": "G22"},
    "of another unit": {"recipient_unit": "H26"},
    "of another attempt": {"attempt": 2},
    "of another outcome": {"received": True},
    "of another acceptance": {"foreign": True},
}


async def test_a_receipt_that_stands_is_taken_over_instead_of_another(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.axis.tamper = lambda item: item.standing.append(stands_for(world, item))
        item = world.axis.accept(world.axis.document("G14", "G22"))
        found = await world.until(lambda: world.got(claimed(item)))
        assert [(d["state"], d["reason"], d["receipt"]) for d in found["deliveries"]] == [
            ("refused", "earlier", "taken")
        ]
        rows = world.node.parts.store.rows("SELECT event, at FROM counted ORDER BY event")
        assert [(row["event"], row["at"]) for row in rows] == [("addressed", item.at), ("refused", item.at)]
        assert world.axis.receipts == []


@pytest.mark.parametrize("lie", LIES)
async def test_what_does_not_verify_is_not_taken_over(tmp_path: Path, lie: str) -> None:
    async with world_of(tmp_path) as world:
        world.axis.stranger("G22")
        world.axis.tamper = lambda item: item.standing.append(stands_for(world, item, **LIES[lie]))
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
        await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "taken")
        assert [parsed(receipt).reason for receipt in world.axis.receipts] == [""]
        assert world.got(document_id)["state"] == "received"


@pytest.mark.parametrize("lie", ["", *LIES])
async def test_an_answer_says_what_stands(tmp_path: Path, lie: str) -> None:
    async with world_of(tmp_path) as world:
        item: Any = None
        world.axis.stranger("G22")
        world.axis.receipt_code = "outcome_conflict"
        world.axis.standing = lambda _: stands_for(world, item, **LIES.get(lie, {}))
        item = world.axis.accept(world.axis.document("G14", "G22"))
        (found,) = await world.until(
            lambda: [
                d for d in world.got(claimed(item))["deliveries"] if d["receipt"] in ("taken", "stopped")
            ]
        )
        rows = world.node.parts.store.rows("SELECT event, at FROM counted WHERE event <> 'addressed'")
        counted = [(row["event"], row["at"]) for row in rows]
        if lie:
            assert (found["state"], found["receipt"], counted) == ("received", "stopped", [])
        else:
            assert (found["state"], found["receipt"]) == ("refused", "taken")
            assert counted == [("refused", item.at)]


async def test_what_stands_waits_for_a_directory_as_new(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        item: Any = None

        def later(_: Envelope) -> api_pb2.Standing:
            stands = stands_for(world, item)
            stands.sequence = world.axis.sequence + 10 * (len(world.axis.receipts) < 2)
            return stands

        world.axis.receipt_code = "delivery_closed"
        world.axis.standing = later
        item = world.axis.accept(world.axis.document("G14", "G22"))
        found = await world.until(lambda: world.got(claimed(item)))
        await world.until(lambda: world.axis.receipts)
        await world.until(lambda: queued_code(world) == "unavailable")
        world.clock.jump(5_000)
        found = await world.until(lambda: one_if_taken(world, claimed(item)))
        assert found["state"] == "refused"
        assert len({receipt.signed for receipt in world.axis.receipts}) == 1, "the same bytes again"


def queued_code(world: World) -> str:
    row = world.node.parts.store.row("SELECT code FROM receipt WHERE state = 'queued'")
    return str(row["code"]) if row is not None else ""


def one_if_taken(world: World, document_id: str) -> Any:
    (one,) = world.got(document_id)["deliveries"]
    return one if one["receipt"] == "taken" else None


# --- documents of our own that the store does not know


def own_document(world: World, *files: bytes, to: str = "G14", subject: str = "Earlier") -> Envelope:
    for content in files:
        world.axis.contents[hashlib.sha256(content).digest()] = content
    message = document_pb2.Document(
        axis_id=world.axis.axis_id,
        document_id=new_document_id(world.clock.now(), hashlib.sha256(subject.encode()).digest()[:10]),
        sender_unit="G22",
        acting_organisation="G22",
        recipients=[to],
        created_at=world.clock.now(),
        fields=document_pb2.Fields(subject=subject),
        attachments=[
            document_pb2.Attachment(name="a.pdf", size=len(each), sha256=hashlib.sha256(each).digest())
            for each in files
        ],
    )
    return own_signature(world, signed_bytes(Kind.DOCUMENT, message))


def complete(world: World) -> bool:
    return not world.node.parts.store.rows("SELECT 1 FROM setting WHERE name LIKE 'found/%'")


async def test_its_attachments_are_asked_for_until_they_are_right(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.axis.serve_content = lambda content: b"wrong"
        document_id = claimed(world.axis.accept(own_document(world, b"one", b"two")))
        await world.until(lambda: world.state(document_id) == "accepted")
        alarms = [e.data["what"] for e in world.node.parts.events.after(0) if e.name == "alarm"]
        assert alarms == ["own_document_unknown"], "this home was not restored: somebody should look"
        await world.until(lambda: "contents" in world.axis.calls)
        await world.restart()
        assert not complete(world)
        world.axis.serve_content = lambda content: content
        world.clock.jump(400_000)
        await world.until(lambda: complete(world))
        async with world.node.parts.blobs.open(hashlib.sha256(b"two").digest()) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == b"two"
        assert world.axis.submitted == []
        assert len(world.node.parts.store.rows("SELECT 1 FROM counted WHERE event = 'sent'")) == 1


async def test_an_attachment_that_nobody_has_is_given_up_after_a_month(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.axis.serve_content = lambda content: content if content == b"two" else b"wrong"
        document_id = claimed(world.axis.accept(own_document(world, b"one", b"two")))
        whole = claimed(world.axis.accept(own_document(world, b"two", subject="Whole")))
        await world.until(lambda: world.sent(whole)["contents"] == "here")
        await world.until(lambda: tries(world, document_id) == 1)
        # A month in which it was hardly asked for is no reason: the node may have stood still.
        for number, days in enumerate((31, *[0] * 17), start=2):
            assert world.sent(document_id)["contents"] == "fetching"
            assert (await node_of(world))["contents_fetching"] == 1
            world.clock.jump(days * DAY_MS + 400_000)
            await world.until(lambda n=number: tries(world, document_id) in {n, None})  # type: ignore[misc]
        # An axis that is out of reach says nothing about them.
        world.axis.lose = {"contents": 1 << 30, "documents": 1 << 30}
        for _ in range(3):
            before = mark(world, document_id)
            world.clock.jump(400_000)
            await world.until(lambda known=before: mark(world, document_id) != known)  # type: ignore[misc]
        assert tries(world, document_id) == 19
        world.axis.lose.clear()
        world.clock.jump(400_000)
        await world.until(lambda: world.sent(document_id)["contents"] == "lost")
        alarms = [e.data for e in world.node.parts.events.after(0) if e.name == "alarm"]
        assert {"what": "own_contents_given_up", "document_id": document_id} in alarms
        told = await node_of(world)
        assert (told["contents_fetching"], told["contents_lost"]) == (0, 1)
        assert b"agency_contents_lost 1.0" in metrics_text(world.node.parts)
        # That is so for a later life of the node, too.
        await world.restart()
        world.clock.jump(DAY_MS)
        await world.until(lambda: world.node.parts.receiver.connected)
        later = claimed(world.axis.accept(own_document(world, b"three", subject="Later")))
        await world.until(lambda: tries(world, later) == 1)
        assert world.sent(document_id)["contents"] == "lost"


def mark(world: World, document_id: str) -> str:
    """How often, since when and when next its contents are asked for; empty where they are not."""
    return world.node.parts.store.setting(f"found/{document_id}")


def tries(world: World, document_id: str) -> int | None:
    known = mark(world, document_id)
    return int(json.loads(known)["count"]) if known else None


async def node_of(world: World) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{world.node.api_url}/v1/node") as answer,
    ):
        return await answer.json()


async def test_one_sent_to_ourselves_is_known_while_its_content_is_kept_away(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        world.axis.refuse["contents"] = [Refusal("unavailable")] * 100
        world.axis.refuse["documents"] = [Refusal("unavailable")] * 100
        document_id = claimed(world.axis.accept(own_document(world, b"one", to="G22")))
        await world.until(lambda: world.state(document_id) == "accepted")
        with pytest.raises(Refusal):
            world.got(document_id)
        world.axis.refuse.clear()
        world.clock.jump(400_000)
        await world.until(lambda: world.got(document_id)["state"] == "received")


# --- a home made from a copy


async def became_a_copy(world: World, *axis: str, connected: bool = True) -> int:
    """The node starts again on its home as a restored one; the time of the restore."""
    await world.node.stop()
    at = world.clock.now()
    with closing(sqlite3.connect(world.home / "agency.sqlite")) as connection, connection:
        mark_restored(connection, at)
    if axis:
        config.save(world.home, config.load(world.home).model_copy(update={"axis": axis}))
    await world.start()
    if connected:
        await world.until(lambda: world.node.parts.receiver.connected)
    return at


async def test_no_status_refuses_before_the_node_has_caught_up(tmp_path: Path) -> None:
    async with world_of(tmp_path, receipt="software") as world:
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
        await world.until(lambda: world.got(document_id)["state"] == "waiting")
        world.axis.refuse["feed"] = [Refusal("unavailable")] * 1000
        await became_a_copy(world, connected=False)
        say = world.node.parts.statuses.say
        assert (await say("received", document_id, StatusInput(code="01"), "", "4b" * 16))["statuses"]
        with pytest.raises(Refusal, match="catching_up"):
            await say("received", document_id, StatusInput(code="02"), "", "4b" * 16)
        assert world.got(document_id)["state"] == "waiting"


async def test_what_stands_does_not_wait_for_contents_that_were_here(tmp_path: Path) -> None:
    async with world_of(tmp_path, receipt="software") as world:
        item = world.axis.accept(world.axis.document("G14", "G22", files=(bytes(9 * 1024 * 1024),)))
        await world.until(lambda: world.got(claimed(item))["state"] == "waiting")
        (mine,) = [each for each in world.axis.items["G22"] if each.event == "accepted"]
        mine.standing.append(stands_for(world, item))
        world.clock.jump(2 * DAY_MS)  # nobody answers for the contents any more
        world.axis.refuse["documents"] = [Refusal("unavailable")] * 1000
        await became_a_copy(world)
        await world.until(lambda: not is_catching_up(world.node.parts.store))
        assert world.got(claimed(item))["state"] == "refused"
        rows = world.node.parts.store.rows("SELECT event FROM counted ORDER BY event")
        assert [row["event"] for row in rows] == ["addressed", "refused"]


async def test_of_several_axis_nodes_one_may_answer_before_it_has_read_everything(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        await became_a_copy(world, world.axis.url, world.axis.url.replace("127.0.0.1", "localhost"))
        # The first poll only asks whether the axis is there; the next one ends with the directory's news.
        world.axis.unit("K02")
        await world.until(lambda: world.node.parts.directory.as_of >= world.axis.sequence)
        document_id = claimed(world.axis.accept(own_document(world)))
        await world.until(lambda: world.state(document_id) == "accepted")
        assert [e.data for e in world.node.parts.events.after(0) if e.name == "alarm"] == []
        assert is_catching_up(world.node.parts.store)


async def test_what_comes_up_again_is_beyond_the_numbers_of_the_lost_home(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        document_id = claimed(world.axis.accept(world.axis.document("G14", "G22")))
        await world.until(lambda: world.got(document_id)["deliveries"][0]["receipt"] == "taken")
        restored_at = await became_a_copy(world)
        world.axis.notice(document_id, "G22", evidence_pb2.NOTICE_KIND_REQUEUED, 2, "G22", "G22", "G14")
        row = await world.until(
            lambda: world.node.parts.store.row(
                "SELECT number FROM received JOIN receipt USING (document_id) WHERE attempt = 2"
            )
        )
        assert row["number"] > restored_at


async def test_a_home_has_one_secret_for_its_keys(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        first = await world.node.parts.store.write(lambda c: get_setting(c, "key_secret"))
        await world.restart()
        assert world.node.parts.store.setting("key_secret") == first
        assert len(first) == 64
        ids = {await world.send("G14", key=key) for key in ("a", "b", "", "")}
        assert len({one[15:] for one in ids}) == 4
