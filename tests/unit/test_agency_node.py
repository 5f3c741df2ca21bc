"""An agency node against an axis that refuses, loses answers, lies, and comes back from an old copy."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import evidence_pb2

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.desk.requests import DocumentInput, ReceiptInput
from agencies.desk.service import of_fields
from agencies.store import inbox, listing, outbox
from agencies.store.outbox import Lane
from agencies.times import DAY_MS
from axis.core.envelope import Envelope, Kind
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis

LIMIT = 60.0


class JumpingClock(SystemClock):
    """The machine's clock, put forward by the test; sleepers of what was jumped over wake."""

    def __init__(self) -> None:
        self.ahead = 0
        self._jumped = asyncio.Event()

    def now(self) -> int:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        end = self.now() + seconds * 1000
        while (left := end - self.now()) > 0:
            try:
                await asyncio.wait_for(self._jumped.wait(), left / 1000)
            except TimeoutError:
                return

    def jump(self, milliseconds: int) -> None:
        self.ahead += milliseconds
        self._jumped.set()
        self._jumped = asyncio.Event()


@dataclass
class World:
    home: Path
    axis: StubAxis
    clock: JumpingClock
    nodes: list[Node] = field(default_factory=list)

    @property
    def node(self) -> Node:
        return self.nodes[-1]

    async def start(self) -> Node:
        self.nodes.append(await Node(self.home, clock=self.clock, random=lambda: 1.0).start())
        return self.node

    async def restart(self) -> Node:
        await self.node.stop()
        return await self.start()

    async def send(self, *to: str, key: str = "", files: tuple[bytes, ...] = (), **more: Any) -> str:
        async def chunks(content: bytes) -> AsyncIterator[bytes]:
            yield content

        parts = self.node.parts
        stored = [await parts.spool.take("a.pdf", "application/pdf", chunks(each)) for each in files]
        raw = {"to": list(to), "subject": "Subject", **more}
        document = DocumentInput.model_validate(raw)
        answer = await parts.service.send(of_fields(raw, document, stored, key, "4b" * 16))
        return str(answer["document_id"])

    def sent(self, document_id: str) -> dict[str, Any]:
        return listing.sent_one(self.node.parts.store, document_id)

    def got(self, document_id: str) -> dict[str, Any]:
        return listing.inbox_one(self.node.parts.store, document_id)

    def state(self, document_id: str) -> str:
        return str(self.sent(document_id)["state"])

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for what the store shows; a document that is not there yet is no error."""
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    newest = self.node.parts.events.newest
                    try:
                        if found := condition():
                            return found
                    except Refusal:
                        pass
                    await self.node.parts.events.beyond(newest, 0.02)
        except TimeoutError:
            for task in asyncio.all_tasks():
                task.print_stack()
            print(*map(dict, self.node.parts.store.rows("SELECT * FROM held")), sep="\n")
            raise


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(tmp_path) as made:
        yield made


@asynccontextmanager
async def made_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    clock = JumpingClock()
    axis = StubAxis(folder, clock.now)
    runner = await axis.start()
    made = World(folder / "home", axis, clock)
    axis.agency("G22", made.home, **settings)
    for code in ("G14", "H26"):
        axis.stranger(code)
    try:
        await made.start()
        yield made
    finally:
        await asyncio.gather(*(node.stop() for node in made.nodes))
        await runner.cleanup()


# --- sending


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


# --- receiving


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


def claimed(item: Any) -> str:
    return evidence_pb2.Acceptance.FromString(item.acceptance.signed[len(Kind.ACCEPTANCE.line) :]).document_id


def parsed(receipt: Envelope) -> evidence_pb2.Receipt:
    return evidence_pb2.Receipt.FromString(receipt.signed[len(Kind.RECEIPT.line) :])


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
    import hashlib

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
