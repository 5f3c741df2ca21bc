"""What the journal of several nodes promises beyond the contract: on three real NATS servers, some ill."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from axis.core import state
from axis.core.facts import Changes
from axis.core.frame import Frame, Head, encode
from axis.jetstream import JetStream, NotAnswered, Refused, StreamState
from axis.journal import jetstream as module
from axis.journal import seeding, standing, taking
from axis.journal.jetstream import JetStreamJournal
from axis.journal.nodes import ask_nodes
from axis.journal.seeding import Seeded, refuse_shorter, seed
from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import JournalStream, Phase, subject_of
from axis.ports import Conflict, JournalBroken, JournalHalted, OutcomeUnknown, Reduce
from bench.nats import NatsCluster
from tests.contract.conftest import text_reduce

LIMIT = 40.0


class Nodes:
    """Nodes of one journal, each with a file and a connection of its own."""

    def __init__(self, folder: Path, nats: NatsCluster) -> None:
        self.folder, self.nats = folder, nats
        self.stream = f"journal-{uuid.uuid4()}"
        self.opened = AsyncExitStack()

    async def connect(self) -> JetStream:
        cluster = await self.nats.connect()
        self.opened.push_async_callback(cluster.close)
        return cluster

    def file(self, name: str) -> SqliteJournal:
        file = SqliteJournal.open(self.folder / f"{name}.sqlite", journal_id="j")
        self.opened.push_async_callback(file.close)
        return file

    async def open(self, name: str, cluster: JetStream | None = None) -> JetStreamJournal:
        cluster = cluster or await self.connect()
        journal = await JetStreamJournal.open(
            self.file(name), cluster, text_reduce, stream=self.stream, node=name
        )
        self.opened.push_async_callback(journal.close)
        return journal


@pytest.fixture
async def nodes(tmp_path: Path, nats: NatsCluster) -> AsyncIterator[Nodes]:
    await nats.ready()
    made = Nodes(tmp_path, nats)
    async with made.opened:
        await seed(made.file("seed"), await made.connect(), stream=made.stream)
        yield made


async def add(journal: JetStreamJournal, text: str) -> Head:
    """Append as a sequencer does: decide again on Conflict, and again where the outcome was unknown."""
    async with asyncio.timeout(LIMIT):
        while True:
            head = journal.head()
            if journal.key(text) is not None:
                return head
            frame = encode(head, 1000, [f"key {text}".encode()])
            try:
                return await journal.append(head, frame, Changes(keys={text: head.sequence + 1}))
            except (Conflict, OutcomeUnknown):
                await asyncio.sleep(0)


async def same(*journals: JetStreamJournal) -> Head:
    """Wait until all have the newest head of any."""
    newest = max(journal.head().sequence for journal in journals)
    heads = [await journal.changed(newest - 1, LIMIT) for journal in journals]
    assert len(set(heads)) == 1
    assert len({tuple(journal.peaks()) for journal in journals}) == 1
    return heads[0]


async def test_two_nodes_append_at_once_and_hold_the_same(nodes: Nodes) -> None:
    one, two = await nodes.open("one"), await nodes.open("two")

    async def work(journal: JetStreamJournal, name: str) -> None:
        for number in range(30):
            await add(journal, f"{name}/{number}")

    await asyncio.gather(work(one, "one"), work(two, "two"))
    head = await same(one, two)
    assert head.sequence == 60
    assert all(one.key(f"{name}/{n}") == two.key(f"{name}/{n}") for name in ("one", "two") for n in range(30))


async def test_a_node_that_was_away_reads_what_it_missed(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "_READ_AHEAD", 4)
    one = await nodes.open("one")
    for number in range(23):
        await add(one, f"k/{number}")
    late = await nodes.open("late")
    assert late.head() == one.head()
    assert late.doubt == ""


async def test_a_frame_whose_acknowledgement_was_lost_is_found(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publish succeeds, its answer is lost: the frame at head + 1 decides."""
    cluster = await nodes.connect()
    journal = await nodes.open("one", cluster)
    publish = cluster.publish

    async def forgetful(*arguments: object) -> int:
        await publish(*arguments)  # type: ignore[arg-type]
        raise NotAnswered("lost on the way")

    monkeypatch.setattr(cluster, "publish", forgetful)
    head = journal.head()
    frame = encode(head, 1000, [b"key once"])
    assert await journal.append(head, frame, Changes(keys={"once": 1})) == frame.head
    assert journal.key("once") == 1


async def test_a_frame_of_another_that_came_first_is_a_conflict(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that lost hears of nothing; what the stream refuses is how it finds out."""

    async def deaf(*_: object) -> None:
        return

    monkeypatch.setattr(JetStreamJournal, "_told", deaf)
    monkeypatch.setattr(JetStreamJournal, "_follow", deaf)
    one, two = await nodes.open("one"), await nodes.open("two")
    head = two.head()
    await add(one, "first")
    assert two.head() == head
    with pytest.raises(Conflict):
        await two.append(head, encode(head, 1000, [b"key second"]), Changes(keys={"second": 1}))
    assert two.head() == one.head()
    assert two.key("second") is None


async def test_a_server_dies_and_comes_back(nodes: Nodes) -> None:
    one, two = await nodes.open("one"), await nodes.open("two")
    for number in (1, 2, 3):
        nodes.nats.kill(number)
        await asyncio.gather(*(add(j, f"down/{number}/{n}") for n, j in enumerate((one, two))))
        nodes.nats.start(number)
        await nodes.nats.ready()
    assert (await same(one, two)).sequence == 6


async def test_a_paused_leader_holds_up_nothing_for_long(nodes: Nodes) -> None:
    cluster = await nodes.connect()
    one = await nodes.open("one", cluster)
    await add(one, "before")
    state = await cluster.stream(nodes.stream)
    assert state is not None
    leader = int(state.leader.removeprefix("nats-"))
    nodes.nats.signal(leader, signal.SIGSTOP)
    try:
        await add(one, "while it was paused")
    finally:
        nodes.nats.signal(leader, signal.SIGCONT)
    await nodes.nats.ready()
    await add(one, "after")
    assert (await same(one, await nodes.open("two"))).sequence == 3


async def answered(cluster: JetStream, stream: str) -> StreamState | None:
    """What a server says of a stream, as soon as one answers; None where it says that it knows no leader."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                found = await cluster.stream(stream)
            except Refused as refused:
                if refused.code == 10008:  # it knows of no leader, and is none
                    return None
                raise
            except NotAnswered:
                pass
            else:
                assert found is not None
                return found
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("leader_stays", [True, False])
async def test_without_a_majority_nothing_is_promised(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, leader_stays: bool
) -> None:
    """A server that is left alone answers, a leader at once, another after seconds: it does not count."""
    monkeypatch.setattr(module, "_APPEND_SECONDS", 1.0)
    cluster = await nodes.connect()
    one = await nodes.open("one", cluster)
    await add(one, "before")
    state = await cluster.stream(nodes.stream)
    assert state is not None
    assert state.led
    leader = int(state.leader.removeprefix("nats-"))
    others = [number for number in (1, 2, 3) if number != leader]
    killed = others if leader_stays else [leader, others[0]]
    for number in killed:
        nodes.nats.kill(number)
    try:
        head = one.head()
        with pytest.raises(OutcomeUnknown):
            await one.append(head, encode(head, 1000, [b"key x"]), Changes(keys={"x": 2}))
        assert one.head() == head
        async with asyncio.timeout(LIMIT):
            while not one.doubt:
                await asyncio.sleep(0.05)
        assert "has not confirmed" in one.doubt
        left = await answered(cluster, nodes.stream)
        if left is None:
            assert not leader_stays
        else:
            assert (bool(left.leader), left.led, left.last) == (leader_stays, False, state.last)
        assert not await one.confirm()
    finally:
        for number in killed:
            nodes.nats.start(number)
    await nodes.nats.ready()
    await add(one, "x")
    assert (await same(one, await nodes.open("two"))).sequence == 2


async def halted(journal: JetStreamJournal, why: str) -> None:
    """Wait until a node appends nothing, and says why."""
    async with asyncio.timeout(LIMIT):
        while why not in journal.doubt:
            await asyncio.sleep(0.05)
    head = journal.head()
    with pytest.raises(JournalHalted, match="reseed"):
        await journal.append(head, encode(head, 1000, [b"x"]), Changes())


async def sound(journal: JetStreamJournal) -> None:
    """Wait until a node's journal is confirmed."""
    async with asyncio.timeout(LIMIT):
        while journal.doubt:
            await asyncio.sleep(0.05)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node waits for it waits for a second."""
    monkeypatch.setattr(standing, "SHORT_SECONDS", 1.0)
    monkeypatch.setattr(module, "_APPEND_SECONDS", 0.5)


@pytest.mark.usefixtures("soon")
async def test_a_deleted_stream_halts_its_nodes_until_it_is_made_again(nodes: Nodes) -> None:
    """Beside them: the stream is made from the file of a node that runs, and both go on by themselves."""
    cluster = await nodes.connect()
    one, two = await nodes.open("one", cluster), await nodes.open("two")
    for number in range(5):
        await add(one, f"k/{number}")
    await same(one, two)
    await cluster.ask(f"STREAM.DELETE.{nodes.stream}", {})
    await asyncio.gather(halted(one, "is gone"), halted(two, "is gone"))
    with pytest.raises(JournalBroken, match="reseed"):
        await nodes.open("three")

    seeded = await seed(one.file, cluster, stream=nodes.stream)
    assert (seeded.published, seeded.last) == (5, 5)
    await asyncio.gather(sound(one), sound(two))
    await add(two, "after")
    assert (await same(one, two, await nodes.open("three"))).sequence == 6


@pytest.mark.usefixtures("soon")
async def test_a_shortened_stream_is_filled_by_who_has_the_frames(nodes: Nodes) -> None:
    """Somebody made it again from an older copy: nobody starts on it, or appends, before it is whole."""
    cluster = await nodes.connect()
    one, two = await nodes.open("one", cluster), await nodes.open("two")
    await add(one, "a")
    await same(one, two)
    await two.close()
    await add(one, "b")
    await cluster.ask(f"STREAM.DELETE.{nodes.stream}", {})
    await seed(nodes.file("two"), cluster, stream=nodes.stream)

    await halted(one, "ends at frame 1")
    with pytest.raises(JournalBroken, match="ends at frame 1, this axis's journal at frame 2"):
        await nodes.open("two")
    with pytest.raises(JournalBroken, match="node one has 2 frames, this one 1"):
        refuse_shorter(nodes.file("two").head(), await ask_nodes(one.stream, "j"))

    assert (await seed(one.file, cluster, stream=nodes.stream)).published == 1
    await sound(one)
    assert (await same(one, await nodes.open("two"))).sequence == 2


@pytest.mark.usefixtures("soon")
async def test_nothing_comes_between_the_frames_of_a_filling(nodes: Nodes) -> None:
    """While a stream is filled, or closed, appends and a filling with another end reach nothing."""
    cluster = await nodes.connect()
    one = await nodes.open("one", cluster)
    await add(one, "a")
    stream = one.stream
    for phase, words in ((Phase.FILLING, "is being filled: frame 1 of 9"), (Phase.CLOSED, "is closed")):
        await stream.turn(phase, 9)
        head = one.head()
        frame = encode(head, 1000, [b"key b"])
        with pytest.raises((OutcomeUnknown, JournalHalted)):
            await one.append(head, frame, Changes(keys={"b": 2}))
        with pytest.raises(NotAnswered):
            await stream.fill(frame, 2, 2.0)
        await halted(one, words)
        with pytest.raises(JournalBroken, match=r"this home ends at frame 1|is closed"):
            await seed(one.file, cluster, stream=nodes.stream)
        assert await stream.read(2, 2.0) is None
    # The home that closed it, or that began to fill it further, is lost.
    for phase, until, text in ((Phase.CLOSED, 1, "b"), (Phase.FILLING, 9, "c")):
        await stream.turn(phase, until)
        last = one.head().number
        assert await seed(one.file, cluster, stream=nodes.stream, reopen=True) == Seeded(0, last)
        await sound(one)
        await add(one, text)


@pytest.mark.usefixtures("soon")
async def test_a_node_that_was_away_reads_a_closed_stream_and_can_open_it(nodes: Nodes) -> None:
    """The home that closed it is lost, and every other lacks frames that only the stream still has."""
    one, two = await nodes.open("one"), await nodes.open("two")
    await add(one, "a")
    await same(one, two)
    await two.close()
    await add(one, "b")
    await one.stream.turn(Phase.CLOSED, 2)
    await one.close()
    with pytest.raises(JournalBroken, match="is closed"):
        await nodes.open("two")
    file, cluster = nodes.file("two"), await nodes.connect()
    assert file.head().number == 2
    assert await seed(file, cluster, stream=nodes.stream, reopen=True) == Seeded(0, 2)


@pytest.mark.usefixtures("soon")
async def test_a_longer_journal_of_another_history_is_a_fork(nodes: Nodes) -> None:
    """Not a stream that lost frames, to be filled from it."""
    one = await nodes.open("one")
    await add(one, "first")
    other = nodes.file("other")
    for text in ("another", "more"):
        await other.append(other.head(), encode(other.head(), 1000, [text.encode()]), Changes())
    with pytest.raises(JournalBroken, match=r"another frame 1 than this node; frame 1 is .* at one"):
        await nodes.open("other")


async def test_a_filling_that_was_overtaken_does_not_open_the_stream(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another home has begun to fill it further when this one has published its last frame."""
    cluster = await nodes.connect()
    one = await nodes.open("one", cluster)
    await add(one, "a")
    await cluster.ask(f"STREAM.DELETE.{nodes.stream}", {})
    fill = seeding._fill

    async def overtaken(stream: JournalStream, frame: Frame, until: int) -> bool:
        filled = await fill(stream, frame, until)
        await stream.turn(Phase.FILLING, until + 1)
        return filled

    monkeypatch.setattr(seeding, "_fill", overtaken)
    with pytest.raises(NotAnswered, match="frame 1 of 2; repeat"):
        await seed(one.file, cluster, stream=nodes.stream)
    standing = await one.stream.standing(2.0)
    assert standing is not None
    assert (standing.phase, standing.until) == (Phase.FILLING, 2)


async def test_two_journals_under_one_name_are_a_fork(nodes: Nodes) -> None:
    one = await nodes.open("one")
    await add(one, "first")
    other = nodes.file("other")
    frame = encode(other.head(), 1000, [b"another first"])
    await other.append(other.head(), frame, Changes())
    with pytest.raises(JournalBroken, match="another frame 1"):
        await nodes.open("other")
    with pytest.raises(JournalBroken, match="another frame 1"):
        await seed(other, await nodes.connect(), stream=nodes.stream)


async def test_a_frame_that_does_not_follow_stops_the_node(nodes: Nodes) -> None:
    cluster = await nodes.connect()
    one = await nodes.open("one", cluster)
    await add(one, "first")
    await cluster.publish(subject_of(nodes.stream), b"no frame at all")
    async with asyncio.timeout(LIMIT):
        while "stream" not in one.doubt:
            await asyncio.sleep(0.05)
    assert "does not continue" in one.doubt


async def test_a_fork_names_the_nodes_of_each_side(nodes: Nodes) -> None:
    """Two nodes hold what the stream holds, the third another frame."""
    cluster = await nodes.connect()
    one, two = await nodes.open("one", cluster), await nodes.open("two")
    await add(one, "first")
    head = await same(one, two)
    third = nodes.file("third")
    other = encode(third.head(), 1000, [b"another first"])
    await third.append(third.head(), other, Changes())
    with pytest.raises(JournalBroken, match="another frame 1") as broken:
        await nodes.open("third")
    assert f"{head.sha256.hex()[:12]}… in the stream and at one and at two" in str(broken.value)
    assert f"{other.head.sha256.hex()[:12]}… at third" in str(broken.value)


@pytest.mark.parametrize("reduce", [text_reduce, state.reduce])
async def test_records_that_make_no_sense_stop_the_node(nodes: Nodes, reduce: Reduce) -> None:
    """A well-made frame of another node whose record is no record."""
    cluster = await nodes.connect()
    one = await JetStreamJournal.open(nodes.file("one"), cluster, reduce, stream=nodes.stream)
    nodes.opened.push_async_callback(one.close)
    await cluster.publish(subject_of(nodes.stream), encode(one.head(), 1000, [b"\xff\xff"]).raw)
    async with asyncio.timeout(LIMIT):
        while "cannot be applied" not in one.doubt:
            await asyncio.sleep(0.05)
    head = one.head()
    with pytest.raises(JournalBroken, match="cannot be applied"):
        await one.append(head, encode(head, 1000, [b"x"]), Changes())
