"""What every engine's contract tests start from."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from axis.core.facts import Changes, Facts
from axis.core.frame import Frame, Head, encode
from axis.journal.jetstream import JetStreamJournal
from axis.journal.memory import MemoryJournal
from axis.journal.seeding import seed
from axis.journal.sqlite import SqliteJournal
from axis.ports import Journal
from bench.nats import NatsCluster


@asynccontextmanager
async def clustered(
    nats: NatsCluster, path: Path, stream: str | None = None
) -> AsyncIterator[JetStreamJournal]:
    """A node's journal over the cluster; without `stream` over a new one."""
    await nats.ready()
    async with AsyncExitStack() as opened:
        cluster = await nats.connect()
        opened.push_async_callback(cluster.close)
        file = SqliteJournal.open(path, journal_id="j")
        opened.push_async_callback(file.close)
        name = stream or f"journal-{uuid.uuid4()}"
        if stream is None:
            await seed(file, cluster, stream=name)
        journal = await JetStreamJournal.open(file, cluster, text_reduce, stream=name)
        opened.push_async_callback(journal.close)
        yield journal


def text_reduce(frame: Frame, facts: Facts) -> Changes:
    """A reducer small enough to see through. A record is lines of text, each one thing that it does.

    `key K` takes a key, `fact K V` sets a fact, `add K` appends a letter to a fact (so it depends on the
    state before), `feed O urgent|normal` puts the record into a feed.
    """
    changes = Changes()
    for offset, record in enumerate(frame.records):
        sequence = frame.first_sequence + offset
        for line in record.decode().splitlines():
            match line.split(" "):
                case ["key", key]:
                    changes.keys[key] = sequence
                case ["fact", key, value]:
                    changes.facts[key] = (value.encode(), sequence)
                case ["add", key]:
                    before = changes.facts[key][0] if key in changes.facts else facts.get(key) or b""
                    changes.facts[key] = (before + b"x", sequence)
                case ["feed", organisation, lane]:
                    changes.add_feed([organisation], lane == "urgent", sequence)
                case _:
                    pass
    return changes


@dataclass
class Book:
    """A journal with short ways to append to it."""

    journal: Journal

    def frame(self, *records: str, at: int = 1000, after: Head | None = None) -> Frame:
        return encode(after or self.journal.head(), at, [record.encode() for record in records])

    async def add(self, *records: str, at: int = 1000) -> Head:
        head = self.journal.head()
        frame = self.frame(*records, at=at)
        return await self.journal.append(head, frame, text_reduce(frame, self.journal))

    async def add_each(self, records: Iterable[str]) -> None:
        for record in records:
            await self.add(record)


@pytest.fixture(params=["memory", "sqlite", "jetstream"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Book]:
    journal: Journal
    if request.param == "jetstream":
        async with clustered(request.getfixturevalue("nats"), tmp_path / "journal.sqlite") as journal:
            yield Book(journal)
        return
    if request.param == "memory":
        journal = MemoryJournal("j", text_reduce)
    else:
        journal = SqliteJournal.open(tmp_path / "journal.sqlite", journal_id="j")
    yield Book(journal)
    await journal.close()


@pytest.fixture
def wrap() -> Callable[[Journal], Book]:
    return Book
