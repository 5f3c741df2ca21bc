"""Volumes equal a naive recount and satisfy the identity, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.periods import EVER, Days, days_of
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.spans import Span
from axis.views.unit import unit as one
from axis.views.units import branches
from axis.views.volumes import FIELDS, Kind, Selection, volumes
from bench.history import History, Sent
from tests.support.recount import NUMBERS, in_flight, recount, vietnam_day

UNITS = ("G22", "G14", "G14.01", "H26", "H26.03.07")
PARENTS = {"G14.01": "G14", "H26.03.07": "H26"}
HOUR = 3_600_000

unit = st.sampled_from(UNITS)
step = st.one_of(
    st.tuples(st.just("send"), unit, st.lists(unit, min_size=1, unique=True), st.integers(0, 5000)),
    st.tuples(st.just("report"), unit, unit, st.integers(0, 50)),
    st.tuples(st.sampled_from(["take", "refuse", "dead", "requeue"]), st.integers(0, 50)),
    st.tuples(st.just("move"), unit, st.sampled_from(["", *UNITS])),
    st.tuples(st.just("look")),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, HOUR, 9 * HOUR, 24 * HOUR, 31 * 24 * HOUR])),
)


async def play(
    history: History, steps: list[tuple[object, ...]], look: Callable[[], object]
) -> dict[str, str]:
    """Each step that is possible at its place; `open` and `closed` are (sent, unit, attempt). The views look
    now and then. Answers what each unit stands right below in the end.
    """
    parents = {code: PARENTS.get(code, "") for code in UNITS}
    old_codes = {code: [f"000.00.00.X{number:02}"] for number, code in enumerate(UNITS)}
    await history.found()
    for code, parent in parents.items():
        await history.register(code, parent=parent, old_codes=old_codes[code])
    opened: list[tuple[Sent, str, int]] = []
    closed: list[tuple[Sent, str, int]] = []
    for what, *rest in steps:
        if what == "wait":
            await history.move(rest[0])  # type: ignore[arg-type]
        elif what == "look":
            await history.flush()
            look()
        elif what == "move" and rest[1] not in branch(parents, str(rest[0])):
            code, parents[code] = str(rest[0]), str(rest[1])
            await history.register(code, parent=parents[code], old_codes=old_codes[code])
        elif what == "send":
            sender, recipients, size = rest
            name = old_codes[str(sender)][0] if size % 2 else sender  # type: ignore[operator]
            sent = await history.send(name, recipients, [size, 7], host=sender)  # type: ignore[arg-type]
            opened += [(sent, code, 1) for code in recipients]  # type: ignore[union-attr]
        elif what == "report" and history.sent:
            about = list(history.sent)[rest[2] % len(history.sent)]  # type: ignore[operator]
            sent = await history.report(rest[0], rest[1], about)  # type: ignore[arg-type]
            opened.append((sent, rest[1], 1))  # type: ignore[arg-type]
        elif what in {"take", "refuse", "dead"} and opened:
            delivery = opened.pop(rest[0] % len(opened))  # type: ignore[operator]
            if what == "dead":
                await history.notice(*delivery, "nobody took it")
            else:
                await history.take(*delivery, reason="no" if what == "refuse" else "")
            if what != "take":
                closed.append(delivery)
        elif what == "requeue" and closed:
            sent, code, attempt = closed.pop(rest[0] % len(closed))  # type: ignore[operator]
            await history.notice(sent, code, attempt + 1, "again", host=code)
            opened.append((sent, code, attempt + 1))
    await history.flush()
    return parents


def branch(parents: dict[str, str], code: str) -> list[str]:
    """A unit and all that stand below it."""
    below = [each for child, parent in parents.items() if parent == code for each in branch(parents, child)]
    return sorted([code, *below])


def check_row(row: dict[str, int]) -> None:
    opened = row["in_flight_before"] + row["addressed"] + row["requeued"]
    assert opened == row["received"] + row["refused"] + row["dead"] + row["in_flight"]
    assert row["in_flight"] >= 0
    assert row["in_flight_before"] >= 0


def check_against(
    journal: MemoryJournal, connection: sqlite3.Connection, kind: str, days: Days, parents: dict[str, str]
) -> None:
    def ask(**wanted: Any) -> Any:
        return volumes(connection, Selection(days=days, kind=cast("Kind", kind), **wanted), 0)

    first, last = days
    expected = recount(journal, kind, lambda day: first <= day <= last)
    earlier = recount(journal, kind, lambda day: day < first)
    answer = ask()
    rows: dict[str, dict[str, int]] = {row["code"]: row for row in answer["rows"]}
    assert set(rows) == set(UNITS)
    for code, row in rows.items():
        check_row(row)
        assert {name: row[name] for name in NUMBERS} == {name: expected.units[code][name] for name in NUMBERS}
        assert row["in_flight_before"] == in_flight(earlier.units[code])
    total = answer["total"]
    check_row(total)
    for by in ("day", "month"):
        periods = ask(by=by)
        assert periods["total"] == total
        before = total["in_flight_before"]
        for row in periods["rows"]:
            check_row(row)
            assert row["in_flight_before"] == before
            before = row["in_flight"]
        for name in NUMBERS:
            assert sum(row[name] for row in periods["rows"]) == total[name]
    part = ask(subtree="000.00.00.X01")
    assert [row["code"] for row in part["rows"]] == branch(parents, "G14")
    assert all(row == rows[row["code"]] for row in part["rows"])
    for by in ("day", "month"):
        periods = ask(subtree="G14", by=by)
        assert periods["total"] == part["total"]
        for name in NUMBERS:
            assert sum(row[name] for row in periods["rows"]) == part["total"][name]
    for root in ("", "G14"):
        tree: Any = branches(
            connection, Selection(days=days, kind=cast("Kind", kind), subtree=root or None), 0
        )
        whole = part["total"] if root else total
        assert {name: tree["total"][name] for name in FIELDS} == whole
        children = {code: branch(parents, code) for code in sorted(UNITS) if parents[code] == root}
        expecting = {**({root: [root]} if root else {}), **children}
        assert [row["code"] for row in tree["rows"]] == list(expecting)
        for row in tree["rows"]:
            units = expecting[row["code"]]
            assert row["units_below"] == (None if row["code"] == root else len(units) - 1)
            assert {name: row[name] for name in FIELDS} == {
                name: sum(rows[code][name] for code in units) for name in FIELDS
            }


def check_unit(journal: MemoryJournal, connection: sqlite3.Connection, code: str, days: Days) -> None:
    """A unit's hours and partners on these days."""
    told = recount(journal, within=lambda day: days[0] <= day <= days[1])
    found = one(connection, code, Selection(days=days), 0, {})
    assert [(row["sent"], row["received"]) for row in found["hours"]] == [
        (told.hours[code, hour]["sent"], told.hours[code, hour]["received"]) for hour in range(24)
    ]
    expected = {
        other: (told.partners[code, other]["sent"], told.partners[code, other]["received"]) for other in UNITS
    }
    partners = [(row["code"], (row["sent"], row["received"])) for row in found["partners"]]
    assert dict(partners) == {other: counts for other, counts in expected.items() if sum(counts)}
    assert partners == sorted(partners, key=lambda row: (-sum(row[1]), row[0]))


day = st.dates(date(2025, 12, 20), date(2026, 6, 10)).map(str)
period = st.one_of(
    st.just(EVER), st.tuples(day, day).map(lambda days: (min(days), max(days))),
    day.map(lambda last: ("", last)), day.map(lambda first: (first, EVER[1])),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(step, max_size=60), ranges=st.lists(period, min_size=1, max_size=4))
def test_volumes_equal_a_naive_recount(steps: list[tuple[object, ...]], ranges: list[Days]) -> None:
    async def scenario() -> None:
        history = History(MemoryJournal("j", reduce))
        connection = sqlite3.connect(":memory:", isolation_level=None)
        views = Views(connection, Path("unused"))
        parents = await play(history, steps, lambda: views.catch_up(history.journal))
        views.catch_up(history.journal)
        connection.row_factory = sqlite3.Row
        months = {vietnam_day(frame.at)[:7] for frame in history.journal.frames(0, 10_000)}
        for kind in ("document", "status"):
            for days in (*ranges, *map(days_of, ("2025-12", *sorted(months), "2026-Q1", "2030-01"))):
                check_against(history.journal, connection, kind, days, parents)  # type: ignore[arg-type]
        for days in ranges:
            for code in ("G22", "G14.01"):
                check_unit(history.journal, connection, code, days)  # type: ignore[arg-type]
        views.close()

    asyncio.run(scenario())


@given(period, st.booleans())
def test_the_parts_of_a_period_are_its_days(days: Days, by_day: bool) -> None:
    """Each day of it once, and none else; the standing amount reaches to the day before."""
    span = Span.of(days, by_day=by_day)
    for number in range(300):
        at = str(date(2025, 11, 1) + timedelta(days=number))
        parts = sum(first <= at <= last for first, last in span.odd_days())
        if span.first_month is not None and span.last_month is not None:
            assert not by_day
            parts += span.first_month <= at[:7] <= span.last_month
        assert parts == (days[0] <= at <= days[1]), at
        before = at[:7] < span.month or (span.since is not None and span.since <= at < span.first)
        assert before == (at < days[0]), at
