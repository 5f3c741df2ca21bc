"""The sequencer: order, group commit, competition, and what nobody is told before it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axispb.v1 import journal_pb2
from structlog.testing import capture_logs

from axis.core.commands import Accept, Found, Register, Resume, Suspend
from axis.core.errors import Refusal
from axis.core.frame import MAX_FRAME_BYTES, MAX_RECORDS, Head, encode
from axis.core.state import reduce, unit
from axis.flow import sequencer as module
from axis.flow.sequencer import Sequencer
from axis.ports import JournalBroken, KeyTaken
from tests.support.flow import FlowWorld, flow_world
from tests.world import AXIS_ID, DAY, sign


@pytest.fixture
async def world() -> AsyncIterator[FlowWorld]:
    async with flow_world("G22", "G14") as made:
        yield made


async def outcome(waiting: Any) -> str:
    """The answer's kind, or the code of the refusal."""
    try:
        return type(await waiting).__name__
    except Refusal as refusal:
        return refusal.name


async def test_what_waits_together_lands_in_one_frame_in_order(world: FlowWorld) -> None:
    before = len(world.journal.frames_appended)
    await asyncio.gather(*(world.do(Register(f"U{n}", f"Unit {n}")) for n in range(40)))
    (frame,) = world.journal.frames_appended[before:]
    codes = [journal_pb2.Record.FromString(raw).registered.code for raw in frame.records]
    assert codes == [f"U{n}" for n in range(40)]


async def test_a_command_sees_the_records_of_earlier_ones_in_its_frame(world: FlowWorld) -> None:
    document = world.document("G22", ["G14"])
    first, repeat, suspended, refused = await asyncio.gather(
        world.do(Accept(document, "G22")),
        world.do(Accept(document, "G22")),
        world.do(Suspend("G22")),
        outcome(world.do(Accept(world.document("G22", ["G14"]), "G22"))),
    )
    assert (first.repeated, repeat.repeated) == (False, True)
    assert first.sequence == repeat.sequence
    assert suspended.changed
    assert refused == "sender_suspended"
    assert world.journal.record(first.sequence) is not None


async def test_a_frame_takes_no_more_than_its_limits(world: FlowWorld) -> None:
    before = len(world.journal.frames_appended)
    await asyncio.gather(*(world.do(Register(f"V{n}", f"Unit {n}")) for n in range(300)))
    sizes = [len(frame.records) for frame in world.journal.frames_appended[before:]]
    assert sizes == [MAX_RECORDS, 300 - MAX_RECORDS]
    large = [world.document("G22", ["G14"], subject="x" * 200_000) for _ in range(5)]
    before = len(world.journal.frames_appended)
    await asyncio.gather(*(world.do(Accept(document, "G22")) for document in large))
    frames = world.journal.frames_appended[before:]
    assert [len(frame.records) for frame in frames] == [2, 2, 1]
    assert all(len(frame.raw) <= MAX_FRAME_BYTES for frame in frames)


async def test_what_fits_into_no_frame_is_refused_alone(world: FlowWorld) -> None:
    giant = world.document("G22", ["G14"], subject="x" * 400_000)
    answers = await asyncio.gather(
        outcome(world.do(Accept(giant, "G22"))), outcome(world.do(Register("U1", "Unit")))
    )
    assert answers == ["header_too_large", "Done"]
    assert await outcome(world.do(Accept(giant, "G22"))) == "header_too_large"


async def test_after_a_conflict_everything_is_decided_again(world: FlowWorld) -> None:
    """Another node suspends the sender between the decision and the append."""

    def other() -> None:
        record = journal_pb2.Record(suspended=journal_pb2.UnitSuspended(code="G22"))
        head = world.journal.head()
        frame = encode(head, world.clock.now(), [record.SerializeToString()])
        world.journal.apply(head, frame, reduce(frame, world.journal))

    world.journal.before_append = other
    answers = await asyncio.gather(
        outcome(world.do(Accept(world.document("G22", ["G14"]), "G22"))),
        outcome(world.do(Register("U1", "Unit"))),
    )
    assert answers == ["sender_suspended", "Done"]


async def test_a_refusal_waits_for_the_frame_that_it_rests_on(world: FlowWorld) -> None:
    """The frame does not land: the refusal would have been a lie."""
    world.journal.full = True
    answers = await asyncio.gather(
        outcome(world.do(Suspend("G22"))), outcome(world.do(Accept(world.document("G22", ["G14"]), "G22")))
    )
    assert answers == ["storage_full", "storage_full"]
    world.journal.full = False
    fact = unit(world.journal, "G22")
    assert fact is not None
    assert not fact.suspended
    assert await outcome(world.do(Accept(world.document("G22", ["G14"]), "G22"))) == "AcceptanceAnswer"


async def test_storage_full_says_when_to_come_again(world: FlowWorld) -> None:
    world.journal.full = True
    with pytest.raises(Refusal) as caught:
        await world.do(Register("U1", "Unit"))
    assert caught.value.retry_after
    world.journal.full = False


@pytest.mark.parametrize("error", [KeyTaken("accepted/x"), JournalBroken("frame 3 does not chain")])
async def test_a_journal_that_contradicts_itself_stops_all_appends(error: Exception) -> None:
    async with flow_world("G22") as world:

        def fail() -> None:
            raise error

        world.journal.before_append = fail
        head = world.journal.head()
        large = [world.document("G22", ["G22"], subject="x" * 200_000) for _ in range(4)]
        answers = await asyncio.gather(*(outcome(world.do(Accept(document, "G22"))) for document in large))
        assert set(answers) == {"journal_forked"}
        assert type(error).__name__ in world.sequencer.broken
        assert await outcome(world.do(Resume("G22"))) == "journal_forked"
        assert world.journal.head() == head


async def test_a_head_that_cannot_be_read_stops_all_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with flow_world("G22") as world:

        def head() -> Head:
            raise JournalBroken("the file is damaged")

        monkeypatch.setattr(world.journal, "head", head)
        assert await outcome(world.do(Resume("G22"))) == "journal_forked"
        assert "damaged" in world.sequencer.broken


async def test_an_append_of_unknown_outcome_is_temporary(world: FlowWorld) -> None:
    def fail() -> None:
        raise OSError("connection lost")

    world.journal.before_append = fail
    assert await outcome(world.do(Register("U1", "Unit"))) == "unavailable"
    assert await outcome(world.do(Register("U1", "Unit"))) == "Done"


async def test_a_defect_met_by_one_command_harms_no_other(
    world: FlowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = module.decide

    def defective(command: Any, *rest: Any) -> Any:
        if isinstance(command, Suspend):
            raise ZeroDivisionError
        return decide(command, *rest)

    monkeypatch.setattr(module, "decide", defective)
    answers = await asyncio.gather(
        outcome(world.do(Suspend("G22"))), outcome(world.do(Register("U1", "Unit")))
    )
    assert answers == ["unavailable", "Done"]


async def test_times_never_run_backwards(world: FlowWorld) -> None:
    await world.do(Register("U1", "Unit"))
    at = world.journal.head().at
    world.clock.advance(-60_000)
    await world.do(Register("U2", "Unit"))
    assert world.journal.head().at == at


async def test_a_newest_frame_far_ahead_of_the_clock_stops_appends(world: FlowWorld) -> None:
    """Somebody appended with a wrong clock: time must not be dragged along after it."""
    world.clock.advance(60_001)
    await world.do(Register("U1", "Unit"))
    at = world.journal.head().at
    world.clock.advance(-60_001)
    again = Sequencer(world.journal, world.clock, sign)
    running = asyncio.create_task(again.run())
    with capture_logs() as logs:
        repeats = [await outcome(again.submit(Found(AXIS_ID, (b"anchor",), ())))]
        answers = [await outcome(again.submit(Register(f"V{n}", "Unit"))) for n in range(3)]
        assert "ahead of the clock" in again.clock_doubt
        world.clock.advance(1)
        answers.append(await outcome(again.submit(Register("V3", "Unit"))))
    assert (repeats, answers) == (["Done"], ["unavailable"] * 3 + ["Done"]), "at a minute it is believed"
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("critical", "clock_wrong"),
        ("info", "clock_right"),
    ]
    assert world.journal.head().at == at
    again.drain()
    await running


async def test_a_frame_of_another_node_ahead_of_the_clock_stops_the_turn(world: FlowWorld) -> None:
    """It is seen only when the turn begins: the answers of the turn rest on nothing then."""
    world.clock.advance(120_000)
    other = Sequencer(world.journal, world.clock, sign)
    running = asyncio.create_task(other.run())
    await other.submit(Register("U1", "Unit"))
    world.clock.advance(-120_000)
    assert await outcome(world.do(Register("U2", "Unit"))) == "unavailable"
    assert unit(world.journal, "U2") is None
    other.drain()
    await running


async def test_a_clock_that_jumps_forward_is_not_believed(world: FlowWorld) -> None:
    seconds = 0.0
    running = Sequencer(world.journal, world.clock, sign, timer=lambda: seconds)
    task = asyncio.create_task(running.run())
    start = world.clock.time
    answers = []
    for passed, wall in ((0, 300_000), (0, 600_001), (10, 610_001), (20, 620_000), (9000, 9_600_000)):
        seconds, world.clock.time = passed, start + wall
        answers.append(await outcome(running.submit(Register(f"V{wall}", "Unit"))))
    assert answers == ["Done", "unavailable", "unavailable", "Done", "Done"]
    assert world.journal.head().at == start + 9_600_000
    world.clock.time += 400_000
    assert "has jumped 400 s forward" in running.clock_doubt
    running.drain()
    await task


async def test_nothing_is_judged_by_a_wrong_clock(world: FlowWorld) -> None:
    """Not `created_too_old`, which is for ever."""
    world.clock.advance(DAY)
    await world.do(Register("U1", "Unit"))
    world.clock.advance(-DAY)
    with pytest.raises(Refusal, match="unavailable"):
        world.sequencer.check_clock()


async def test_a_caller_who_went_away_holds_up_nobody(world: FlowWorld) -> None:
    gone = asyncio.create_task(world.do(Register("U1", "Unit")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await outcome(world.do(Register("U2", "Unit"))) == "Done"
    assert unit(world.journal, "U1") is None, "cancelled before it was decided"


async def test_a_caller_who_went_away_while_it_landed(world: FlowWorld) -> None:
    for full in (False, True):
        task: asyncio.Task[Any] = asyncio.create_task(world.do(Register(f"U{full}", "Unit")))
        world.journal.full = full
        world.journal.before_append = task.cancel
        with pytest.raises(asyncio.CancelledError):
            await task
    world.journal.full = False
    assert unit(world.journal, "UFalse") is not None
    assert await outcome(world.do(Register("U2", "Unit"))) == "Done"


async def test_the_queue_is_bounded_and_the_end_drains_it(
    world: FlowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE_LIMIT", 3)
    idle = Sequencer(world.journal, world.clock, sign)
    waiting = [asyncio.create_task(outcome(idle.submit(Register(f"U{n}", "Unit")))) for n in range(4)]
    await asyncio.sleep(0)
    idle.drain()
    waiting.append(asyncio.create_task(outcome(idle.submit(Register("U9", "Unit")))))
    await asyncio.sleep(0)
    await idle.run()
    assert await asyncio.gather(*waiting) == ["Done", "Done", "Done", "unavailable", "shutting_down"]


async def test_listeners_hear_of_every_frame_after_it_landed(world: FlowWorld) -> None:
    heard: list[tuple[int, set[str]]] = []

    def listen(frame: Any, changes: Any) -> None:
        assert world.journal.head() == frame.head
        heard.append((frame.head.sequence, {row.organisation for row in changes.feed}))

    world.journal.on_landed(listen)
    await world.send("G22", "G14")
    assert heard == [(world.journal.head().sequence, {"G22", "G14"})]
