"""`/deliveries`: what waits for a receipt, for whom and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.console import DAY, TOKEN, Desk, desk_in

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_figures_lead_to_what_waits(desk: Desk) -> None:
    sent = await desk.history.send("G22", ["G14", "G14.01"], subject="Hỏa <b>tốc</b>")
    await desk.history.take(sent, "G14")
    await desk.catch_up()
    desk.history.now += DAY
    first = await (await desk.get("/", **BEARER)).text()
    assert '<a href="/deliveries">2</a>' in first
    assert '<a href="/deliveries?state=overdue">2</a>' in first
    every = await (await desk.get("/deliveries", **BEARER)).text()
    assert 'href="/deliveries?state=overdue&amp;unit=G22"' in every
    shown = await (await desk.get("/deliveries?unit=G14.01", **BEARER)).text()
    assert ("Hỏa &lt;b&gt;tốc&lt;/b&gt;" in shown, "1 ngày" in shown) == (True, True)
    assert shown.count('class="event dead"') == 1
    await desk.history.take(sent, "G14.01")
    await desk.catch_up()
    left: Any = await desk.api("/api/v1/deliveries")
    assert [(row["from"], row["to"], row["attempt"], row["overdue"]) for row in left["deliveries"]] == [
        ("G14", "G22", 1, True)
    ]


async def test_an_attempt_of_today_is_overdue_with_its_document(desk: Desk) -> None:
    waiting = list(desk.history.sent.values())[1]
    desk.history.now += DAY
    await desk.history.notice(waiting, "G22", 1, "expired")
    await desk.history.notice(waiting, "G22", 2, "again", host="G22")
    await desk.catch_up()
    (row,) = (await desk.api("/api/v1/deliveries?state=overdue"))["deliveries"]
    assert (row["attempt"], row["overdue"], row["opened_at"] > row["accepted_at"]) == (2, True, True)


@pytest.mark.parametrize(
    ("query", "vietnamese", "english"),
    [
        ("unit=Z99", "không phải của cơ quan nào", "Z99"),
        ("state=late", "Tình trạng (state)", "state: one of all, overdue"),
        ("after=x", "(after)", "after: this is no cursor"),
        ("after=1-x", "(after)", "after: this is no cursor"),
        ("limit=0", "(limit)", "limit: a number, 1 to 1000"),
        ("to=G14", "(to)", "to: not known here"),
    ],
)
async def test_what_is_wrong_is_said(desk: Desk, query: str, vietnamese: str, english: str) -> None:
    shown = await desk.get(f"/deliveries?{query}", **BEARER)
    assert (shown.status, vietnamese in await shown.text()) == (422, True)
    answer = await desk.get(f"/api/v1/deliveries?{query}", **BEARER)
    problem = await answer.json(content_type=None)
    assert (answer.status, problem["code"], english in problem["detail"]) == (422, "field_invalid", True)
