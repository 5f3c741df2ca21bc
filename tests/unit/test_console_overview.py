"""The first page: what waits, who is connected, what comes by itself. Its numbers: test_console_numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from axis.console.charts import Look, bars
from axis.console.words import Language
from tests.support.console import DAY, TOKEN, Desk, desk_in

MINUTE = 60_000


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_the_oldest_the_nodes_the_certificates(desk: Desk) -> None:
    figures: Any = await desk.api("/api/v1/overview")
    waiting = list(desk.history.sent.values())[1]
    assert (figures["oldest"]["document_id"], figures["oldest"]["to"]) == (waiting.document_id, "G22")
    assert (figures["nodes"], figures["certificates"]) == ({"connected": 0, "enrolled": 0}, [])
    await desk.history.take(waiting, "G22")
    await desk.catch_up()
    desk.contacts.update(G22=desk.history.now, G14=desk.history.now - 6 * MINUTE)
    figures = await desk.api("/api/v1/overview")
    assert (figures["oldest"], figures["nodes"]["connected"]) == (None, 1)
    desk.history.now += 3000 * DAY
    figures = await desk.api("/api/v1/overview")
    assert [each["organisation"] for each in figures["certificates"]] == ["axis"]
    assert (len(figures["days"]), sum(row["sent"] for row in figures["days"])) == (30, 0)


async def test_views_built_anew_are_counted_anew(desk: Desk) -> None:
    before: Any = await desk.api("/api/v1/overview")
    desk.views.rebuild(desk.history.journal)
    assert (await desk.api("/api/v1/overview")) == before
    await desk.history.send("G22", ["G14"])
    await desk.catch_up()
    after: Any = await desk.api("/api/v1/overview")
    assert sum(row["accepted"] for row in after["minutes"]) == 1 + sum(
        row["accepted"] for row in before["minutes"]
    )


async def test_figures_come_by_themselves(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with asyncio.timeout(20), desk.client.get("/live/overview", headers=headers) as response:
        text = ""
        while "<dd>" not in text:
            text += (await response.content.readline()).decode()
        await desk.history.send("G22", ["G14"])
        await desk.catch_up()
        text = ""
        while ">3</a>" not in text:
            text += (await response.content.readline()).decode()


@pytest.mark.parametrize(("size", "width", "most"), [("", "1000", 24), ("small", "400", 6)])
@pytest.mark.parametrize("chart", ["minutes", "days"])
async def test_charts(desk: Desk, chart: str, size: str, width: str, most: int) -> None:
    response = await desk.get(f"/charts/{chart}.svg?size={size}", Authorization=f"Bearer {TOKEN}")
    assert (response.status, response.content_type) == (200, "image/svg+xml")
    image = etree.fromstring(await response.read())
    assert image.get("viewBox").split()[2] == width
    labels = image.xpath(
        "//*[local-name()='g' and contains(@class, 'axis x')]//*[local-name()='text']/text()"
    )
    assert most // 2 < len(labels) <= most


async def test_a_chart_of_a_size_that_there_is_not_is_refused(desk: Desk) -> None:
    response = await desk.get("/charts/days.svg?size=huge", Authorization=f"Bearer {TOKEN}")
    assert (response.status, (await response.json(content_type=None))["code"]) == (422, "field_invalid")


@pytest.mark.parametrize(("language", "thousand"), [("vi", "1.000"), ("en", "1,000")])
def test_a_chart_writes_numbers_as_its_language_does(language: Language, thousand: str) -> None:
    image = etree.fromstring(bars("t", ["a", "b"], [("s", [0, 1000])], "", Look(language)))
    assert thousand in image.xpath("//*[local-name()='text']/text()")
