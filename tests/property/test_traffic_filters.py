"""Every filter of the traffic log equals a plain look at every line; pages are the whole in parts."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views import criteria, recorder
from axis.views.projection import Views
from axis.views.text import rfc3339
from axis.views.traffic import Filter, every_page, page, traffic
from bench.history import History, Sent

CODES = ["G22", "G14", "G14.01", "G14.01.02", "H26", "H26.01", "vxp.x", "VXP.X"]
SUBJECTS = [
    "Quyết định về đường sắt",
    "Về việc mở trường học",
    "quyet dinh",
    "Đường bộ – 2026/01",
    "văn bản <b>",
    "",
]
NUMBERS = ["", "05", "5", "274", "2740", "0027", "274-1234567"]
TYPED = ["quyet", "đinh QUYẾT", "duo sat", "d", "du", "27", "van ban", "2026", "không", "…"]


@dataclass
class World:
    """A random journal, and where its units stand in the end."""

    rng: random.Random
    history: History
    parents: dict[str, str] = field(default_factory=dict)
    open: list[tuple[Sent, str, int]] = field(default_factory=list)
    closed: list[tuple[Sent, str, int]] = field(default_factory=list)

    async def found(self) -> None:
        await self.history.found()
        for code in CODES:
            await self.register(code)

    async def register(self, code: str) -> None:
        """Anywhere in the tree, also elsewhere than before, with another name and other codes."""
        above = [other for other in self.parents if code not in self.line(other)]
        self.parents[code] = parent = self.rng.choice(["", *above])
        await self.history.register(code, parent=parent, old_codes=[f"000.{CODES.index(code):02}.00.A01"])

    def line(self, code: str) -> list[str]:
        """A unit and everything above it now."""
        line = [code]
        while self.parents[line[-1]]:
            line.append(self.parents[line[-1]])
        return line

    async def step(self) -> None:
        """Something happens."""
        rng, history = self.rng, self.history
        kinds: list[Callable[[], Any]] = [
            self.send,
            self.send,
            self.close,
            self.close,
            self.close,
            self.other,
        ]
        await rng.choice(kinds)()
        if rng.random() < 0.3:
            await history.move(rng.choice([1, 1000, 40_000_000]))

    async def send(self) -> None:
        rng = self.rng
        sender, *to = rng.sample(CODES, rng.randint(2, 4))
        known = list(self.history.sent.values())
        if known and rng.random() < 0.3:
            sent = await self.history.report(sender, to[0], rng.choice(known).document_id, note="ghi chú")
            to = to[:1]
        else:
            sent = await self.history.send(sender, to, [1], rng.choice(SUBJECTS), rng.choice(NUMBERS))
        self.open += [(sent, unit, 1) for unit in to]

    async def close(self) -> None:
        rng, history = self.rng, self.history
        if not self.open:
            return
        sent, unit, attempt = self.open.pop(rng.randrange(len(self.open)))
        how = rng.randrange(4)
        if how == 0:
            await history.notice(sent, unit, attempt, "too late")
            await history.notice(sent, unit, attempt + 1, "again", host=unit)
            self.open.append((sent, unit, attempt + 1))
        else:
            await history.take(sent, unit, attempt, reason="không" if how == 1 else "")
            if how == 2:
                await history.take_late(sent, unit, attempt, reason="x" if rng.random() < 0.5 else "")

    async def other(self) -> None:
        rng, history = self.rng, self.history
        code = rng.choice(CODES)
        known = [sent.document_id for sent in history.sent.values()]
        rejected = journal_pb2.Rejected(
            organisation=code, code="id_reused", document_id=rng.choice(["", "no-such", *known])
        )
        suspended = journal_pb2.UnitSuspended(code=code, reason="asked")
        await rng.choice(
            [
                lambda: self.register(code),
                lambda: history.add(rejected=rejected),
                lambda: history.add(suspended=suspended),
                lambda: history.add(resumed=journal_pb2.UnitResumed(code=code)),
            ]
        )()

    def filter(self) -> Filter:
        """Up to three things wanted at once."""
        rng = self.rng
        code = rng.choice([*CODES, "000.01.00.A01"])
        known = [sent.document_id for sent in self.history.sent.values()]
        start = 1_767_225_600_000
        between = sorted(rng.randint(start - 2, self.history.now + 2) for _ in range(2))
        possible: list[dict[str, Any]] = [
            {"sender": code},
            {"recipient": code},
            {"unit": code},
            {"unit": code, "direction": rng.choice(["from", "to"])},
            {"subtree": code},
            {"subtree": code, "direction": rng.choice(["from", "to", "either"])},
            {"kind": rng.choice(["document", "status", "other"])},
            {"event": rng.choice(["accepted", "received", "refused", "dead", "registered", "status", "a b"])},
            {"outcome": rng.choice(["received", "refused", "dead"])},
            {"code": rng.choice(["03", "id_reused", "delivery_closed", "x"])},
            {"reason": rng.choice(["không", "x", "asked", "", "no such"])},
            {"number": rng.choice(["2", "27", "274", "274/", "274/qđ", "274-123456", "5/QD-TTg", "05", "x"])},
            {"text": rng.choice(TYPED)},
            {"since": between[0], "until": between[1]},
            {"since": between[0]},
            {"document_id": rng.choice([*known, "no-such"])},
        ]
        wanted: dict[str, Any] = {"limit": rng.choice([1, 3, 7, 1000])}
        for each in rng.sample(possible, rng.choice([1, 1, 2, 2, 3])):
            wanted |= each
        return Filter(**wanted)


@contextmanager
def made(seed: int) -> Iterator[tuple[World, Views, sqlite3.Connection, Callable[[int], None]]]:
    """A world after sixty steps, its views, and a way to go on."""
    world = World(random.Random(seed), History(MemoryJournal("j", reduce)))
    with tempfile.TemporaryDirectory() as folder, closing(Views.open(Path(folder) / "views.sqlite")) as views:

        def go(steps: int) -> None:
            async def run() -> None:
                for _ in range(steps):
                    await world.step()
                await world.history.flush()

            asyncio.run(run())
            views.catch_up(world.history.journal)

        asyncio.run(world.found())
        go(60)
        with closing(views.reader()) as reader:
            yield world, views, reader, go


def matches(world: World, wanted: Filter, line: dict[str, Any]) -> bool:
    """The plain meaning of a filter."""
    primary = {f"000.{n:02}.00.A01": code for n, code in enumerate(CODES)} | {code: code for code in CODES}
    sides = {"from": [line["from"]], "to": line["to"], "either": [line["from"], *line["to"]]}[
        wanted.direction
    ]
    number = plain(line["number"] or "")
    facts = [
        wanted.sender is None or line["from"] == primary[wanted.sender],
        wanted.recipient is None or primary[wanted.recipient] in line["to"],
        wanted.unit is None or primary[wanted.unit] in sides,
        wanted.subtree is None
        or any(unit and primary[wanted.subtree] in world.line(unit) for unit in sides if unit in CODES),
        wanted.number is None or (bool(number) and number.startswith(plain(wanted.number))),
        wanted.text is None or says(f"{line['subject'] or ''} {line['number'] or ''}", wanted.text),
        wanted.document_id is None or line["document_id"] == wanted.document_id,
        wanted.reason is None or (line["reason"] or "") == wanted.reason,
    ]
    for name in ("kind", "event", "outcome", "code"):
        value = getattr(wanted, name)
        facts.append(value is None or line[name] == value)
    return all(facts)


def plain(number: str) -> str:
    folded = folding(number)
    for separator in "- ":
        folded = folded.replace(separator, "/")
    return folded.lstrip("0")


def folding(text: str) -> str:
    table = str.maketrans("ếịườắệởăả", "eiuoaeoaa")
    return text.lower().translate(table).replace("đ", "d").replace("ô", "o").replace("ọ", "o")


def says(text: str, typed: str) -> bool:
    def words(of: str) -> list[str]:
        return "".join(c if c.isalnum() else " " for c in folding(of)).split()

    wanted = words(typed)
    return bool(wanted) and all(
        any(word == each or (len(each) > 1 and word.startswith(each)) for word in words(text))
        for each in wanted
    )


def expected(world: World, reader: sqlite3.Connection, wanted: Filter) -> list[dict[str, Any]]:
    """All lines that match, newest first."""
    everything: list[dict[str, Any]] = traffic(reader, Filter(limit=100_000))[::-1]
    low, high = rfc3339(wanted.since or 0), rfc3339(wanted.until or 10**14)
    return [line for line in everything if low <= line["at"] <= high and matches(world, wanted, line)]


def small_blocks(patch: pytest.MonkeyPatch, bits: int, many_moves: int) -> None:
    for module in (criteria, recorder):
        patch.setattr(module, "BLOCK_BITS", bits)
    patch.setattr(criteria, "_SHORT", 4)
    patch.setattr(criteria, "_COMPARED", 5)
    patch.setattr(criteria, "_MANY_MOVES", many_moves)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_a_filter_is_a_plain_look_at_every_line(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch, made_small(patch, seed) as (world, _, reader, _go):
        for _ in range(40):
            wanted = world.filter()
            whole = expected(world, reader, wanted)
            found = page(reader, wanted)
            assert found.lines == whole[: wanted.limit] or not found.complete, wanted
            assert traffic(reader, wanted) == whole[: wanted.limit][::-1], wanted
            assert [*chain(*every_page(reader, wanted))] == whole, wanted
            assert [*chain(*every_page(reader, wanted, oldest_first=True))] == whole[::-1], wanted


@contextmanager
def made_small(
    patch: pytest.MonkeyPatch, seed: int
) -> Iterator[tuple[World, Views, sqlite3.Connection, Callable[[int], None]]]:
    small_blocks(patch, 3, many_moves=2 if seed % 2 else 2000)
    patch.setattr(criteria, "_MOST_ASKED", 1 if seed % 3 else 200)
    with made(seed) as made_world:
        yield made_world


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 10.0]))
def test_pages_are_the_whole_in_parts_while_events_arrive(seed: int, budget: float) -> None:
    with pytest.MonkeyPatch.context() as patch, made_small(patch, seed) as (world, _, reader, go):
        for _ in range(8):
            wanted = replace(world.filter(), limit=world.rng.choice([1, 4]))
            if wanted.subtree:  # moves while pages are turned change what a subtree is
                continue
            whole = expected(world, reader, wanted)
            first = found = page(reader, wanted, budget=budget)
            pages = [found]
            while found.older is not None:
                go(1)
                found = page(reader, replace(wanted, before=found.older), budget=budget)
                pages.append(found)
            assert [line for each in pages for line in each.lines] == whole, wanted
            assert all(each.complete for each in pages) or budget == 0
            assert all(len(each.lines) == wanted.limit for each in pages[:-1] if each.complete)
            # What has come since, in order, and the way back.
            came, after = [], first.newer
            while True:
                found = page(reader, replace(wanted, after=after), newer=True, budget=budget)
                came += found.lines[::-1]
                if found.newer == after:
                    break
                after = found.newer
            assert after == found.head or wanted.until is not None
            assert whole[::-1] + came == expected(world, reader, wanted)[::-1], wanted
