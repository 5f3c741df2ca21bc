"""A final refusal of one node of several is given only at a confirmed head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from axis.core.commands import Command, Register, Resume, Suspend
from axis.core.errors import Refusal
from axis.flow.directory import DirectoryPages
from axis.flow.feed import Feed, FeedQuery
from axis.flow.judged import judged
from axis.flow.peers import Peers
from axis.http.heads import HeadGuard
from axis.ports import OutcomeUnknown
from tests.support.flow import FlowWorld, TestJournal, flow_world


class SharedJournal(TestJournal):
    """One of several nodes: `commands` are other nodes'; each confirmation brings one."""

    shared = True  # type: ignore[assignment]
    trusted = ""
    answers = True

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []
        self.world: FlowWorld | None = None
        self.confirmed = 0

    @property
    def doubt(self) -> str:
        return self.trusted

    async def confirm(self) -> bool:
        self.confirmed += 1
        if self.commands and self.world is not None:
            await self.world.do(self.commands.pop(0))
        return self.answers


@pytest.fixture
async def world() -> AsyncIterator[FlowWorld]:
    async with flow_world("G22") as made:
        yield made


def shared(world: FlowWorld, *arriving: str) -> SharedJournal:
    journal = world.journal
    journal.__class__ = SharedJournal
    assert isinstance(journal, SharedJournal)
    journal.commands = [Register(code, "Unit") for code in arriving]
    journal.world, journal.confirmed = world, 0
    return journal


class Judge:
    """Refuses until the unit is known."""

    def __init__(self, journal: TestJournal, code: str, refusal: str = "recipient_unknown") -> None:
        self.journal, self.code, self.refusal, self.asked = journal, code, refusal, 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.journal.get(f"unit/{self.code}") is None:
            raise Refusal(self.refusal, self.code)
        return self.code


async def test_alone_nobody_is_asked(world: FlowWorld) -> None:
    judge = Judge(world.journal, "H26")
    with pytest.raises(Refusal) as caught:
        await judged(world.journal, judge)
    assert (caught.value.name, judge.asked) == ("recipient_unknown", 1)


async def test_a_refusal_at_a_confirmed_head_stands(world: FlowWorld) -> None:
    journal = shared(world)
    judge = Judge(journal, "H26")
    with pytest.raises(Refusal) as caught:
        await judged(journal, judge)
    assert (caught.value.name, judge.asked, journal.confirmed) == ("recipient_unknown", 1, 1)


async def test_what_another_node_has_appended_is_judged_by(world: FlowWorld) -> None:
    journal = shared(world, "H53", "H26")
    judge = Judge(journal, "H26")
    assert await judged(journal, judge) == "H26"
    assert judge.asked == 3


async def test_without_an_answer_of_the_cluster_it_is_temporary(world: FlowWorld) -> None:
    journal = shared(world)
    journal.answers = False
    with pytest.raises(Refusal) as caught:
        await judged(journal, Judge(journal, "H26"))
    assert caught.value.name == "unavailable"


async def test_a_head_that_never_rests_is_temporary(world: FlowWorld) -> None:
    journal = shared(world, *(f"H{number}" for number in range(10, 20)))
    with pytest.raises(Refusal) as caught:
        await judged(journal, Judge(journal, "H99"))
    assert caught.value.name == "unavailable"


async def test_a_temporary_refusal_needs_no_confirmation(world: FlowWorld) -> None:
    journal = shared(world)
    with pytest.raises(Refusal):
        await judged(journal, Judge(journal, "H26", "unavailable"))
    assert journal.confirmed == 0


async def test_nothing_is_told_from_a_journal_in_doubt(world: FlowWorld) -> None:
    journal = shared(world)
    peer = world.peer("G22")
    peers = Peers(None, journal, world.clock)  # type: ignore[arg-type]  # authenticates nobody here
    feed = Feed(journal, peers, DirectoryPages(journal))
    guard = HeadGuard(journal, sole=False)
    journal.trusted = "the cluster is silent"
    for asked in (feed.poll(peer, FeedQuery(), 0), guard.check(None)):
        with pytest.raises(Refusal, match="the cluster is silent") as caught:
            await asked
        assert caught.value.name == "unavailable"


async def test_a_head_that_stays_away_for_long_is_unknown(world: FlowWorld) -> None:
    journal, now = shared(world), [100.0]
    guard = HeadGuard(journal, sole=False, wait=0, timer=lambda: now[0])
    ahead = f"{journal.head().journal_id}:{journal.head().sequence + 1}:{'ab' * 32}"

    async def code() -> str:
        with pytest.raises(Refusal) as caught:
            await guard.check(ahead)
        return caught.value.name

    assert await code() == "behind_head"
    now[0] += 14
    assert await code() == "behind_head"
    now[0] += 1
    assert await code() == "head_unknown"
    now[0] += 16  # nobody asked in between: it may have been there
    assert await code() == "behind_head"


@pytest.mark.parametrize(("full", "expected"), [(False, "unavailable"), (True, "storage_full")])
async def test_an_append_without_an_answer_is_temporary(world: FlowWorld, full: bool, expected: str) -> None:
    def silent() -> None:
        raise OutcomeUnknown("no answer", full=full)

    world.journal.before_append = silent
    with pytest.raises(Refusal) as caught:
        await world.do(Suspend("G22"))
    assert caught.value.name == expected
    async with asyncio.timeout(30):
        await world.do(Suspend("G22"))  # the sequencer goes on


async def test_who_was_resumed_at_another_node_is_admitted(world: FlowWorld) -> None:
    """The operator resumes an organisation at one node; the other has not read it when it calls."""
    await world.do(Suspend("G22"))
    journal = shared(world)
    peers = Peers(None, journal, world.clock)  # type: ignore[arg-type]  # authenticates nobody here
    journal.on_landed(peers.landed)
    with pytest.raises(Refusal) as caught:
        await peers.admit(world.peer("G22"))
    assert caught.value.name == "sender_suspended"
    journal.commands = [Resume("G22")]
    await peers.admit(world.peer("G22"))
