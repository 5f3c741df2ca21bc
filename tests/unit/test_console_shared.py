"""What is costly is made once for all who ask at once, and who asks never gets what was before the call."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from axis.console.charts import bars
from axis.console.health import served_for
from axis.console.metrics import ConsoleMetrics
from axis.console.shared import Shared
from axis.views.file import snapshot
from axis.views.minutes import Minutes
from axis.views.queries import query
from tests.support.console import TOKEN, Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


class Making:
    """Makes 1, 2, 3, …, each when it is let; counts how many are made at once."""

    def __init__(self) -> None:
        self.begun = self.running = self.most = 0
        self.let = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.running += 1
        self.most = max(self.most, self.running)
        await self.let.wait()
        self.running -= 1
        if number == 3:
            raise ValueError(number)
        return number


async def test_all_who_ask_at_once_get_one() -> None:
    make = Making()
    shared = Shared(make, 0)
    asking = [asyncio.create_task(shared.get(lambda _: True)) for _ in range(20)]
    strict = asyncio.create_task(shared.get(lambda value: value > 1))
    while not make.begun:
        await asyncio.sleep(0)
    asking[0].cancel()
    make.let.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert (type(found[0]), found[1:]) == (asyncio.CancelledError, [1] * 19)
    assert await strict == 2
    assert (await shared.get(lambda value: value == 2), make.begun, make.most) == (2, 2, 1)
    with pytest.raises(ValueError, match="3"):
        await shared.get(lambda value: value > 2)
    assert await shared.get(lambda value: value > 2) == 4


async def test_anybody_may_ask_for_metrics_but_not_have_them_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    of_views = ConsoleMetrics.of_views

    def counted(self: ConsoleMetrics) -> bytes:
        made.append(1)
        return of_views(self)

    monkeypatch.setattr(ConsoleMetrics, "of_views", counted)
    answers = await asyncio.gather(*(desk.get("/metrics") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert "axis_documents_accepted_total 2.0" in await answers[0].text()
    desk.metrics.head(99)
    assert "axis_journal_head 99.0" in await (await desk.get("/metrics")).text()
    assert len(made) == 1
    assert [served_for(took) for took in (0.01, 1.5, 60)] == [5, 15, 30]


async def test_the_first_page_and_its_charts_are_computed_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    last_hour = Minutes.last_hour

    def counted(self: Minutes, connection: sqlite3.Connection, now: int) -> Any:
        looked.append(now)
        return last_hour(self, connection, now)

    drawn = []

    def draw(title: str, *numbers: Any) -> bytes:
        drawn.append(title)
        return bars(title, *numbers)

    monkeypatch.setattr(Minutes, "last_hour", counted)
    monkeypatch.setattr("axis.console.charts.bars", draw)
    paths = ["/", "/charts/days.svg", "/charts/minutes.svg", "/api/v1/overview"] * 5
    answers = await asyncio.gather(*(desk.get(path, Authorization=f"Bearer {TOKEN}") for path in paths))
    assert {answer.status for answer in answers} == {200}
    assert len(looked) == 1
    assert sorted(drawn) == ["30 ngày qua", "Một giờ qua, theo phút"]
    before: Any = await desk.api("/api/v1/overview")
    await desk.history.send("G22", ["G14"])
    await desk.catch_up()
    after: Any = await desk.api("/api/v1/overview")
    assert after["total"]["sent"] == before["total"]["sent"] + 1
    assert len(looked) == 2
    await desk.get("/charts/days.svg?at=9", Authorization=f"Bearer {TOKEN}")
    assert (len(looked), len(drawn)) == (2, 3)


async def test_a_reader_of_an_older_state_throws_no_minutes_away(desk: Desk) -> None:
    minutes, now = Minutes(), desk.history.now
    with closing(desk.views.reader()) as first, closing(desk.views.reader()) as older:
        with snapshot(first):
            minutes.last_hour(first, now)
        with snapshot(older):
            older.execute("SELECT * FROM position").fetchone()
            await desk.history.send("G22", ["G14"])
            await desk.catch_up()
            with snapshot(first):
                counted = minutes.last_hour(first, now)
            read: list[str] = []
            older.set_trace_callback(read.append)
            assert minutes.last_hour(older, now) == counted
    assert not [statement for statement in read if "FROM events" in statement]


def test_the_expiring_are_found_among_the_few_that_end() -> None:
    with closing(sqlite3.connect(":memory:")) as views:
        views.executescript(resources.files("axis.views").joinpath("schema.sql").read_text(encoding="utf-8"))
        # Every pair of certificates that an organisation may have, with one of another usage or without.
        ends, number = (10, 20, 30), 0
        cases = product(ends, ends, (0, 7), (0, 7), (None, 10, 30))
        for case, (one, two, first_revoked, second_revoked, other) in enumerate(cases):
            rows = [("tls", one, first_revoked), ("tls", two, second_revoked), ("sign", other, 0)]
            for usage, not_after, revoked in rows:
                if not_after is not None:
                    number += 1
                    views.execute(
                        "INSERT INTO certificates VALUES (?, ?, ?, '', '', 0, ?, 1, ?, 0, '')",
                        (number.to_bytes(32), f"O{case:03}", usage, not_after, revoked),
                    )
        for soon in (5, 10, 15, 20, 25, 31):
            wanted = [row for row in views.execute(query("metric_expiry")) if row[1] < soon]
            assert views.execute(query("expiring"), {"soon": soon}).fetchall() == sorted(wanted)
        plan = " ".join(
            row[3] for row in views.execute("EXPLAIN QUERY PLAN " + query("expiring"), {"soon": 5})
        )
        assert "SEARCH ending USING INDEX certificates_expiry (not_after<?)" in plan
        assert "daily" not in query("metric_totals")
