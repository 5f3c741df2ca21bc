"""Feeds: lanes, pages, waits that miss nothing, and what each record becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from axispb.v1 import api_pb2, facts_pb2

from axis.core.commands import Accept, Close, Register, Requeue, Revoke, Suspend
from axis.core.errors import Refusal
from axis.core.facts import Changes, FeedRow
from axis.core.trust import Anchors
from axis.flow import feed as module
from axis.flow.directory import DirectoryPages
from axis.flow.feed import Feed, FeedQuery
from axis.flow.feed_items import FeedItems
from axis.flow.peers import Peers
from axis.ports import JournalBroken
from certs.authority import Authority
from tests.support.flow import FlowWorld, flow_world
from tests.world import START, certificate


class FeedWorld:
    def __init__(self, world: FlowWorld, anchors: Anchors) -> None:
        self.world = world
        self.peers = Peers(anchors, world.journal, world.clock)
        self.directory = DirectoryPages(world.journal)
        self.feed = Feed(world.journal, self.peers, self.directory)
        world.journal.on_landed(self.peers.landed)
        world.journal.on_landed(self.feed.landed)

    async def read(self, code: str, wait: float = 0, **query: int) -> api_pb2.FeedPage:
        return await self.feed.poll(self.world.peer(code), FeedQuery(**query), wait)

    async def events(self, code: str, after: int = 0) -> list[str]:
        page = await self.read(code, normal_after=after, urgent_after=after)
        return [item.event for item in page.items]

    async def waiting(self, code: str, **query: int) -> asyncio.Task[api_pb2.FeedPage]:
        task = asyncio.create_task(self.read(code, 30, **query))
        while not self.feed.waiting:
            await asyncio.sleep(0)
        return task


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Anchors:
    authority = Authority.create(tmp_path_factory.mktemp("pki") / "pki", START)
    return Anchors(authority.anchors, authority.intermediates)


@pytest.fixture
async def feeds(anchors: Anchors) -> AsyncIterator[FeedWorld]:
    async with flow_world("G22", "G14", "H26") as world:
        yield FeedWorld(world, anchors)


async def test_each_lane_has_its_own_cursor(feeds: FeedWorld) -> None:
    start = feeds.world.journal.head().sequence
    normal = await feeds.world.send("G22", "G14")
    urgent = await feeds.world.send("G22", "G14", priority=3)
    page = await feeds.read("G14", normal_after=start)
    assert [(item.urgent, item.sequence) for item in page.items] == [(True, start + 2), (False, start + 1)]
    assert (page.urgent_next, page.normal_next) == (start + 2, start + 1)
    again = await feeds.read("G14", urgent_after=page.urgent_next, normal_after=page.normal_next)
    assert not again.items
    assert (again.urgent_next, again.normal_next) == (page.urgent_next, page.normal_next)
    assert normal != urgent


async def test_a_page_has_limits(feeds: FeedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    start = feeds.world.journal.head().sequence
    for _ in range(3):
        await feeds.world.send("G22", "G14", priority=3)
        await feeds.world.send("G22", "G14")
    page = await feeds.read("G14", normal_after=start, limit=2)
    assert [item.urgent for item in page.items] == [True, True]
    page = await feeds.read("G14", normal_after=start, limit=4)
    assert [item.urgent for item in page.items] == [True, True, True, False]
    monkeypatch.setattr(module, "_PAGE_BYTES", 1)
    page = await feeds.read("G14", normal_after=start)
    assert len(page.items) == 1, "one item is always possible"
    assert page.urgent_next == page.items[0].sequence


async def test_what_each_record_becomes(feeds: FeedWorld) -> None:
    world = feeds.world
    start = world.journal.head().sequence
    document_id = await world.send("G22", "G14", "H26")
    accepted = start + 1
    await world.do(Close(document_id, "G14", "given up"))
    await world.do(Requeue(document_id, "G14"))
    await world.give(document_id, "H26")
    page = await feeds.read("G22", normal_after=start)
    assert [item.event for item in page.items] == ["accepted", "noticed", "noticed", "receipted"]
    assert {item.accepted_sequence for item in page.items} == {accepted}
    assert {item.kind for item in page.items} == {"document"}
    first, dead, requeued, receipted = page.items
    assert first.envelope.signed
    assert first.acceptance.signed
    assert (bool(dead.notice.signed), bool(dead.envelope.signed)) == (True, False)
    assert (requeued.envelope, requeued.acceptance) == (first.envelope, first.acceptance)
    assert receipted.receipt.signed
    assert await feeds.events("H26", start) == ["accepted"], "its own receipt is no news"
    assert await feeds.events("G14", start) == ["accepted", "noticed", "noticed"]


async def test_who_asks_is_told_which_of_its_receipts_stand(feeds: FeedWorld) -> None:
    world = feeds.world
    start = world.journal.head().sequence
    first, second = await world.send("G22", "G14", "H26"), await world.send("G22", "H26")
    await world.give(first, "H26", received=False)
    await world.do(Close(first, "G14", "given up"))
    await world.do(Requeue(first, "H26"))
    await world.give(second, "H26")
    refused = feeds.world.journal.key(f"outcome/{first}/H26/1")
    found = await feeds.feed.poll(world.peer("H26"), FeedQuery(normal_after=start, standing=True), 0)
    told = [[(one.unit, one.attempt, one.outcome) for one in item.standing] for item in found.items]
    assert [item.event for item in found.items] == ["accepted", "accepted", "noticed"]
    assert told == [[("H26", 1, "refused")], [("H26", 1, "received")], []], "attempt 2 is open"
    (stands,) = found.items[0].standing
    assert (stands.sequence, stands.at) == (refused, world.journal.time_of(refused or 0))
    assert stands.receipt.signed
    # What the axis closed is no receipt; nobody is told another's; who does not ask is told nothing.
    for code in ("G14", "G22"):
        page = await feeds.feed.poll(world.peer(code), FeedQuery(normal_after=start, standing=True), 0)
        assert not [item for item in page.items if item.standing]
    assert not [item for item in (await feeds.read("H26", normal_after=start)).items if item.standing]


async def test_an_organisation_sees_certificates_in_its_own_name(feeds: FeedWorld) -> None:
    page = await feeds.read("G14")
    issued = [item.certificate for item in page.items]
    assert [(c.organisation, c.usage) for c in issued] == [("G14", "tls"), ("G14", "sign")]


async def test_a_wait_ends_with_what_lands(feeds: FeedWorld) -> None:
    after = feeds.world.journal.head().sequence
    poll = await feeds.waiting("G14", normal_after=after)
    await feeds.world.send("G22", "H26")
    await asyncio.sleep(0)
    assert not poll.done(), "that was not for this one"
    await feeds.world.send("G22", "G14")
    assert len((await poll).items) == 1
    assert feeds.feed.waiting == 0


async def test_a_wait_that_was_cancelled_leaves_nothing(feeds: FeedWorld) -> None:
    one = await feeds.waiting("G14", normal_after=999)
    two = asyncio.create_task(feeds.read("G14", 30, normal_after=999))
    await asyncio.sleep(0)
    assert feeds.feed.waiting == 2
    for task in (one, two):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert feeds.feed.waiting == 0


async def test_a_directory_change_ends_only_waits_that_ask_for_it(feeds: FeedWorld) -> None:
    after = feeds.world.journal.head().sequence
    asks = await feeds.waiting("G14", normal_after=after, directory=feeds.directory.newest())
    silent = asyncio.create_task(feeds.read("H26", 30, normal_after=after))
    await asyncio.sleep(0)
    await feeds.world.do(Register("U1", "Unit"))
    assert (await asks).directory_sequence == after + 1
    assert not silent.done()
    feeds.feed.close()
    with pytest.raises(Refusal, match="shutting_down"):
        await silent
    with pytest.raises(Refusal, match="shutting_down"):
        await feeds.read("G14")


async def test_a_wait_has_an_end(feeds: FeedWorld) -> None:
    page = await feeds.read("G14", 0.01, normal_after=999)
    assert not page.items


@pytest.mark.parametrize("change", ["suspend", "revoke"])
async def test_who_may_no_longer_act_waits_no_longer(feeds: FeedWorld, change: str) -> None:
    poll = await feeds.waiting("G14", normal_after=999)
    if change == "suspend":
        await feeds.world.do(Suspend("G14"))
    else:
        await feeds.world.do(Revoke(certificate("G14", "tls").serial, "keyCompromise"))
    with pytest.raises(Refusal, match="suspended" if change == "suspend" else "certificate_revoked"):
        await poll


async def test_a_frame_wakes_only_those_whom_it_concerns(feeds: FeedWorld) -> None:
    poll = await feeds.waiting("G14", normal_after=feeds.world.journal.head().sequence)
    await feeds.world.send("G22", "H26")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not poll.done()
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll


async def test_a_row_without_its_record_is_a_broken_journal(feeds: FeedWorld) -> None:
    items = FeedItems(feeds.world.journal)
    with pytest.raises(JournalBroken):
        items._record(10_000)
    with pytest.raises(JournalBroken):
        items._about(api_pb2.FeedItem(sequence=7), "01920000-0000-7000-8000-000000000000")


async def test_two_polls_of_one_organisation_both_end(feeds: FeedWorld) -> None:
    after = feeds.world.journal.head().sequence
    polls = [asyncio.create_task(feeds.read("G14", 30, normal_after=after)) for _ in range(2)]
    await asyncio.sleep(0)
    assert feeds.feed.waiting == 2
    documents = [feeds.world.document("G22", ["G14"]) for _ in range(2)]
    for document in documents:
        await feeds.world.do(Accept(document, "G22"))
    assert all(page.items for page in await asyncio.gather(*polls))
    assert feeds.feed.waiting == 0


async def test_being_woken_twice_is_being_woken(feeds: FeedWorld) -> None:
    poll = await feeds.waiting("G14", normal_after=feeds.world.journal.head().sequence)
    frame, changes = feeds.world.journal.frames(0, 1)[0], Changes(feed=[FeedRow("G14", False, 1)])
    for _ in range(2):
        feeds.feed.landed(frame, changes)
    await feeds.world.send("G22", "G14")
    assert len((await poll).items) == 1


async def test_a_record_that_says_nothing_to_nodes_is_an_empty_item(feeds: FeedWorld) -> None:
    (item,) = FeedItems(feeds.world.journal).render([2], urgent=False)
    assert (item.event, item.ByteSize() < 40) == ("registered", True)


async def test_directory_pages_together_hold_every_change(feeds: FeedWorld) -> None:
    for number in range(5):
        await feeds.world.unit(f"U{number}")
    head = feeds.world.journal.head().sequence
    after, seen, pages = 0, set[tuple[int, str]](), 0
    while True:
        page = feeds.directory.page(after, limit=3)
        seen |= {(entry.sequence, entry.unit.code or entry.certificate.serial) for entry in page.entries}
        assert all(after < entry.sequence for entry in page.entries)
        assert after < page.as_of <= head
        after, pages = page.as_of, pages + 1
        if not page.more:
            break
    assert pages > 1
    assert after == head
    assert len(seen) == 3 + 6 + 5
    assert feeds.directory.newest() == head
    assert facts_pb2.UnitFact(code="U4").code == "U4"
