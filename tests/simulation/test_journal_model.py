"""Random lives of a journal against a model: appenders that compete, repeat, are cancelled, and restarts.

The model is plain Python without any of the engines' ideas; after every step each read must agree with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axispb.v1 import journal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core import merkle
from axis.core.facts import Changes, FeedRow
from axis.core.frame import Frame, Head, encode
from axis.journal.memory import MemoryJournal
from axis.journal.sqlite import SqliteJournal
from axis.ports import Conflict, Journal, KeyTaken

ORGANISATIONS = ("G22", "G14", "G22.VXP")
FACTS = ("unit/a", "unit/b", "alias/a", "delivery/1/a", "delivery/1/b", "delivery/12/a")
PREFIXES = ("", "unit/", "alias/", "delivery/", "delivery/1/", "delivery/1", "nothing/")


@dataclass
class Step:
    """What one appender tries: `stale` frames back from the head, or a crash or cancellation around it."""

    appender: int
    records: list[bytes]
    keys: list[int]
    facts: list[tuple[int, bytes]]
    feed: list[tuple[int, bool, int]]
    stale: int
    cancelled: bool
    restart: bool
    at: int


@dataclass
class Model:
    """What a journal holds, as lists and dictionaries."""

    heads: list[Head] = field(default_factory=lambda: [Head.empty("j")])
    records: list[tuple[int, bytes]] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    facts: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    feeds: set[tuple[str, bool, int]] = field(default_factory=set)

    def take(self, frame: Frame, changes: Changes) -> None:
        self.heads.append(frame.head)
        self.records += [(frame.at, record) for record in frame.records]
        self.keys |= changes.keys
        self.facts |= changes.facts
        self.feeds |= {(row.organisation, row.urgent, row.sequence) for row in changes.feed}

    def agrees(self, journal: Journal) -> None:
        head = self.heads[-1]
        assert journal.head() == head
        assert [frame.head for frame in journal.frames(0, 1000)] == self.heads[1:]
        stored = journal.records(list(range(len(self.records) + 2)))
        assert [(record.at, record.raw) for record in stored] == self.records
        assert merkle.root(journal.peaks(), head.sequence) == merkle.root_of(raw for _, raw in self.records)
        for one in self.heads[1:]:
            assert journal.frame_hash(one.sequence) == one.sha256
        for n in range(6):
            assert journal.key(f"key/{n}") == self.keys.get(f"key/{n}")
        for key in FACTS:
            assert journal.get(key) == (self.facts[key][0] if key in self.facts else None)
        for prefix in PREFIXES:
            self.pages_agree(journal, prefix)
        for organisation in ORGANISATIONS:
            for urgent in (False, True):
                lane = sorted(s for o, u, s in self.feeds if (o, u) == (organisation, urgent))
                assert journal.feed(organisation, urgent, 0, 1000) == lane
                assert journal.feed(organisation, urgent, 3, 2) == [s for s in lane if s > 3][:2]

    def pages_agree(self, journal: Journal, prefix: str) -> None:
        expected = sorted(
            (sequence, key, value) for key, (value, sequence) in self.facts.items() if key.startswith(prefix)
        )
        paged = []
        after = 0
        while page := journal.facts(prefix, after, 1):
            assert len({sequence for _key, _value, sequence in page}) == 1
            paged += page
            after = page[-1][2]
        assert [(sequence, key, value) for key, value, sequence in paged] == expected
        assert paged == journal.facts(prefix)


steps = st.lists(
    st.builds(
        Step,
        appender=st.integers(0, 1),
        records=st.lists(st.binary(max_size=12), min_size=1, max_size=4),
        keys=st.lists(st.integers(0, 5), max_size=2),
        facts=st.lists(st.tuples(st.integers(0, len(FACTS) - 1), st.binary(max_size=4)), max_size=4),
        feed=st.lists(
            st.tuples(st.integers(0, len(ORGANISATIONS) - 1), st.booleans(), st.integers(0, 3)), max_size=3
        ),
        stale=st.sampled_from([0, 0, 0, 1, 2]),
        cancelled=st.booleans(),
        restart=st.sampled_from([False, False, False, True]),
        at=st.integers(0, 50),
    ),
    max_size=12,
)


def changes_of(step: Step, frame: Frame) -> Changes:
    last = len(frame.records) - 1
    changes = Changes()
    for n, key in enumerate(step.keys):
        changes.keys[f"key/{key}"] = frame.first_sequence + min(n, last)
    for n, (fact, value) in enumerate(step.facts):
        changes.facts[FACTS[fact]] = (value, frame.first_sequence + min(n, last))
    for organisation, urgent, n in step.feed:
        changes.feed.append(FeedRow(ORGANISATIONS[organisation], urgent, frame.first_sequence + min(n, last)))
    return changes


async def take_step(step: Step, journal: Journal, model: Model) -> None:
    expected = model.heads[max(0, len(model.heads) - 1 - step.stale)]
    frame = encode(expected, step.at, step.records)
    changes = changes_of(step, frame)
    append = asyncio.ensure_future(journal.append(expected, frame, changes))
    if step.cancelled:
        await asyncio.sleep(0)
        append.cancel()
    result = (await asyncio.gather(append, return_exceptions=True))[0]
    if expected != model.heads[-1]:
        error: type[Exception] | None = Conflict
    elif any(key in model.keys for key in changes.keys):
        error = KeyTaken
    else:
        error = None
        model.take(frame, changes)
    if step.cancelled and isinstance(result, asyncio.CancelledError):
        # Nobody was told: only the head can tell, once the append is over.
        assert await journal.changed(frame.head.sequence - 1 if error is None else -1, 10) is not None
    elif error is None:
        assert result == frame.head
    else:
        assert isinstance(result, error)
        assert not isinstance(result, Conflict) or result.head == model.heads[-1]


async def live(life: list[Step], open_all: Callable[[], list[Journal]]) -> Model:
    model = Model()
    journals = open_all()
    for step in life:
        await take_step(step, journals[step.appender % len(journals)], model)
        if step.restart:
            for journal in journals:
                await journal.close()
            journals = open_all()
        for journal in journals:
            model.agrees(journal)
    for journal in journals:
        await journal.close()
    return model


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(life=steps)
def test_a_random_life_agrees_with_the_model(engine: str, life: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        kept: list[Journal] = []

        def open_all() -> list[Journal]:
            if engine == "memory":
                kept[:] = kept or [MemoryJournal("j", lambda _frame, _facts: Changes())]
                return kept
            # Two appenders on one file, each with connections of its own.
            return [SqliteJournal.open(path, journal_id="j") for _ in range(2)]

        model = asyncio.run(live(life, open_all))
        if engine == "sqlite":
            audit(path, model)


def audit(path: Path, model: Model) -> None:
    """The stored bytes alone: numbered, chained, and the records that were appended."""
    previous = bytes(32)
    records: list[tuple[int, bytes]] = []
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT number, raw FROM frames ORDER BY number").fetchall()
    for expected, (number, raw) in enumerate(stored, start=1):
        frame = journal_pb2.Frame.FromString(raw)
        assert (number, frame.number, frame.previous_sha256) == (expected, expected, previous)
        assert frame.first_sequence == len(records) + 1
        records += [(frame.at, record) for record in frame.records]
        previous = hashlib.sha256(raw).digest()
    assert records == model.records
    assert previous == model.heads[-1].sha256


async def test_many_appenders_at_once_take_turns(tmp_path: Path) -> None:
    """Group appends by twelve tasks through two handles: every one lands once, in one chain."""
    path = tmp_path / "journal.sqlite"
    journals = [SqliteJournal.open(path, journal_id="j") for _ in range(2)]
    landed: list[int] = []

    async def appender(n: int) -> None:
        journal = journals[n % 2]
        for m in range(8):
            while True:
                head = journal.head()
                frame = encode(head, 0, [f"{n}/{m}".encode()])
                place = frame.first_sequence
                changes = Changes({f"{n}/{m}": place}, {"count": (str(place).encode(), place)})
                try:
                    landed.append((await journal.append(head, frame, changes)).sequence)
                    break
                except Conflict:
                    continue

    await asyncio.wait_for(asyncio.gather(*(appender(n) for n in range(12))), 60)
    assert sorted(landed) == list(range(1, 97))
    for journal in journals:
        assert journal.get("count") == b"96"
        assert {record.raw for record in journal.records(list(range(1, 97)))} == {
            f"{n}/{m}".encode() for n in range(12) for m in range(8)
        }
        await journal.close()
