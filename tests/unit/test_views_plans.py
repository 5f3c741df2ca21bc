"""No filter of the traffic log reads a whole table, or sorts more than one document's rows; a month's volumes
cost the month.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from axis.core.periods import EVER
from axis.core.state import reduce
from axis.core.volumes import local_month
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.queries import query
from axis.views.spans import Span
from axis.views.units import branches
from axis.views.volumes import Selection, volumes
from bench.history import History

DAY = 86_400_000

#: Not `moved_below`: it reads all moves, where `count_moves` has found them few.
ASKED = [
    "places", "places_matching", "places_of_document", "places_of_document_matching", "traffic",
    "first_sequence_at", "moved_below_downwards", "has_left", "subtree", "words_beginning", "words_listed",
    "ancestors", "resolve_unit", "with_reason", "host",
]  # fmt: skip
#: Scans of what the query itself has made, or of an index that was asked for a match.
SMALL = ("json_each VIRTUAL TABLE", "search VIRTUAL TABLE INDEX", "tree", "above", "(subquery", "CONSTANT")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_no_query_scans(name: str, order: str, tmp_path: Path) -> None:
    history = History(MemoryJournal("j", reduce))
    await history.found()
    await history.flush()
    names = ("low", "high", "count", "match", "document_id", "sequences", "sequence", "root", "unit", "word",
             "words", "limit", "code", "levels", "reason")  # fmt: skip
    parameters = dict.fromkeys(names, "1")
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(history.journal)
        with closing(views.reader()) as reader:
            statement = f"EXPLAIN QUERY PLAN {query(name).replace('/* order */', order)}"
            plan = [str(row["detail"]) for row in reader.execute(statement, parameters)]
    scans = [step for step in plan if step.startswith("SCAN") and not step[5:].startswith(SMALL)]
    assert scans == [], plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    # A document's recipients are put into their order; the ancestors of one unit likewise.
    assert len(sorts) == (1 if name in {"traffic", "ancestors"} else 0), plan


ASKING: dict[str, Callable[[sqlite3.Connection, str], object]] = {
    "units": lambda views, month: volumes(views, Selection(month), 0),
    "subtree": lambda views, month: volumes(views, Selection(month, subtree="G14"), 0),
    "by day": lambda views, month: volumes(views, Selection(month, "day", "G14"), 0),
    "branches": lambda views, month: branches(views, Selection(month), 0),
    "days": lambda views, month: branches(views, Selection(days=(f"{month}-03", f"{month}-20")), 0),
}


@pytest.mark.parametrize("name", ["volumes_by_unit", "volumes_by_branch", "volumes_by_period"])
async def test_volumes_are_looked_up_unit_by_unit(name: str, tmp_path: Path) -> None:
    """Days and months of each unit that is counted, by their bounds: never all that there are."""
    parameters = {"root": "G22", "kind": "document", "length": 7, **Span.of(EVER).parameters()}
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(MemoryJournal("j", reduce))
        with closing(views.reader()) as reader:
            steps = reader.execute(f"EXPLAIN QUERY PLAN {query(name)}", parameters)
            plan = [str(row["detail"]) for row in steps]
    looked_up = [step for step in plan if "daily" in step or "monthly" in step]
    assert len(looked_up) == 5, plan
    assert all(step.startswith("SEARCH") and "(unit=? AND " in step for step in looked_up), plan


async def test_a_month_costs_no_more_after_many_others(tmp_path: Path) -> None:
    """The steps that SQLite takes for one month's volumes, of a young axis and of an old one."""

    async def steps(path: Path, months: int) -> dict[str, int]:
        history = History(MemoryJournal("j", reduce))
        await history.found()
        for code in ("G22", "G14"):
            await history.register(code)
        await history.register("G14.01", parent="G14")
        for _ in range(months):
            month = local_month(history.now)
            for _ in range(4):
                sent = await history.send("G22", ["G14", "G14.01"])
                await history.take(sent, "G14.01")
                await history.move(5 * DAY)
            while local_month(history.now) == month:
                await history.move(DAY)
        await history.flush()
        with closing(Views.open(path)) as views:
            views.catch_up(history.journal)
            with closing(views.reader()) as reader:
                return {name: _steps(reader, ask, month) for name, ask in ASKING.items()}

    young, old = await steps(tmp_path / "young", 4), await steps(tmp_path / "old", 60)
    for name, taken in old.items():
        assert 0 < taken <= 1.1 * young[name], (name, young[name], taken)


def _steps(reader: sqlite3.Connection, ask: Callable[[sqlite3.Connection, str], object], month: str) -> int:
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    reader.set_progress_handler(step, 1)
    ask(reader, month)
    reader.set_progress_handler(None, 0)
    return taken


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("owing", "SCAN deliveries USING INDEX deliveries_in_flight"),
        ("in_flight_since", "SEARCH deliveries USING INDEX deliveries_in_flight (opened_at>?)"),
        ("in_flight", "SEARCH deliveries USING INDEX deliveries_in_flight ((opened_at,document,unit)>"),
    ],
)
async def test_what_waits_is_looked_for_in_what_is_in_flight(name: str, how: str, tmp_path: Path) -> None:
    places = ("first", "opened_at", "document", "after", "unit", "accepted_before", "count", "since")
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(MemoryJournal("j", reduce))
        with closing(views.reader()) as reader:
            steps = reader.execute(f"EXPLAIN QUERY PLAN {query(name)}", dict.fromkeys(places, 1))
            plan = [str(row["detail"]) for row in steps]
    assert [step for step in plan if step.startswith(how)], plan
    assert not [
        step for step in plan if step.startswith("SCAN") and not step.startswith((how, "SCAN owing"))
    ], plan
    # Units are put into the order of what they owe; nothing else is sorted.
    assert [step for step in plan if "B-TREE" in step] == [] or name == "owing", plan
