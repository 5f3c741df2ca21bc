"""The first page; and every number of every page against the API and a recount of the journal's records."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import evidence_pb2, journal_pb2
from lxml import etree

from axis.core.envelope import Kind, parse
from tests.support.console import DAY, TOKEN, Desk, desk_in

MINUTE = 60_000


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def page(desk: Desk, path: str) -> Any:
    response = await desk.get(path, Authorization=f"Bearer {TOKEN}")
    assert response.status == 200
    return etree.HTML(await response.text())


def recount(desk: Desk) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Documents' (counts altogether, counts by the minute), by reading every record once."""
    total: Counter[str] = Counter()
    minutes: dict[str, Counter[str]] = {}
    documents: set[str] = set()
    for frame in desk.history.journal.frames(0, 10_000):
        minute = minutes.setdefault(str(frame.at // MINUTE), Counter())
        for raw in frame.records:
            record = journal_pb2.Record.FromString(raw)
            body = record.WhichOneof("body")
            name = ""
            if body == "accepted" and record.accepted.kind == "document":
                acceptance: Any = parse(record.accepted.acceptance.signed, Kind.ACCEPTANCE)
                documents.add(acceptance.document_id)
                total["addressed"] += len(acceptance.deliveries)
                name = "sent"
            elif body == "receipted":
                receipt: Any = parse(record.receipted.receipt.signed, Kind.RECEIPT)
                received = receipt.outcome == evidence_pb2.OUTCOME_RECEIVED
                name = ("received" if received else "refused") if receipt.document_id in documents else ""
                total[f"because {receipt.reason}"] += name == "refused"
            elif body == "noticed":
                notice: Any = parse(record.noticed.notice.signed, Kind.NOTICE)
                requeued = notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED
                name = ("requeued" if requeued else "dead") if notice.document_id in documents else ""
            elif body == "rejected":
                total[f"rejected {record.rejected.code}"] += max(record.rejected.count, 1)
            if name:
                total[name] += 1
                minute[name] += 1
    ended = total["received"] + total["refused"] + total["dead"]
    total["in_flight"] = total["addressed"] + total["requeued"] - ended
    return total, minutes


async def every_kind_of_event(desk: Desk) -> None:
    """A month with all of them: late, refused, dead, requeued, a late receipt, a status."""
    history = desk.history
    await history.register("H26", "Ủy ban nhân dân thành phố Hà Nội")
    await history.register("H26.01", "Sở Nội vụ", parent="H26")
    one = await history.send("H26", ["G22", "G14", "G14.01"], [10, 20])
    await history.move(DAY)
    await history.take(one, "G22")
    await history.take(one, "G14", reason="thiếu trang")
    await history.notice(one, "G14.01", 1, "nobody took it")
    await history.take_late(one, "G14.01")
    await history.move(DAY)
    await history.notice(one, "G14", 2, "again", host="G14")
    two = await history.send("G22", ["H26", "H26.01"], [5])
    await history.take(two, "H26")
    status = await history.report("H26", "G22", two.document_id)
    await history.take(status, "G22")
    await history.move(MINUTE)
    await history.take(one, "G14", attempt=2)
    await history.send("H26.01", ["H26"])
    await desk.catch_up()


async def test_every_number_is_the_apis_and_the_journals(desk: Desk) -> None:
    await every_kind_of_event(desk)
    figures: Any = await desk.api("/api/v1/overview")
    volumes: Any = await desk.api("/api/v1/volumes")
    days: Any = await desk.api("/api/v1/volumes?by=day")
    total, minutes = recount(desk)
    assert figures["head"] == volumes["head"] == str(desk.history.journal.head())
    assert figures["total"] == volumes["total"]
    names = ("sent", "addressed", "received", "refused", "dead", "requeued", "in_flight")
    assert {name: figures["total"][name] for name in names} == {name: total[name] for name in names}
    assert min(total[name] for name in names) > 0
    assert figures["total"]["late"] == 3
    assert [{name: row[name] for name in ("sent", "received", "late")} for row in figures["days"]] == [
        {name: row[name] for name in ("sent", "received", "late")} for row in days["rows"]
    ]
    assert figures["rejected"] == {"id_reused": total["rejected id_reused"]}
    assert figures["refused"] == {why: total[f"because {why}"] for why in ("thiếu trang", "sai nơi nhận")}
    assert sum(figures["refused"].values()) == figures["total"]["refused"]
    newest = desk.history.now // MINUTE
    for place, row in enumerate(figures["minutes"], newest - 59):
        counted = minutes.get(str(place), Counter())
        assert (row["accepted"], row["received"], row["refused"]) == (
            counted["sent"], counted["received"], counted["refused"],
        )  # fmt: skip
    assert sum(row["received"] for row in figures["minutes"]) == 2
    # The pages: the first, the table of units, the report.
    first = [" ".join("".join(each.itertext()).split()) for each in (await page(desk, "/")).iterfind(".//dd")]
    shown = [figures["total"][name] for name in ("sent", "received", "refused", "in_flight", "dead")]
    assert first[:6] == [*map(str, shown), str(figures["today"]["late"])]
    report = await page(desk, "/reports/volumes?period=all")
    foot = [cell.text for cell in report.iterfind(".//tfoot//td")]
    order = (*names[:6], "in_flight_before", "in_flight", "late")
    assert foot[:9] == [str(volumes["total"][name]) for name in order]
    tree: Any = await desk.api("/api/v1/units?period=all")
    assert {name: tree["total"][name] for name in volumes["total"]} == volumes["total"]
    for row in volumes["rows"]:
        alone: Any = (await desk.api(f"/api/v1/units/{row['code']}?period=all"))["volumes"]
        assert {name: alone[name] for name in figures["total"]} == {
            name: row[name] for name in figures["total"]
        }


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
    assert figures["days"] == []


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


@pytest.mark.parametrize("chart", ["minutes", "days"])
async def test_charts(desk: Desk, chart: str) -> None:
    response = await desk.get(f"/charts/{chart}.svg", Authorization=f"Bearer {TOKEN}")
    assert (response.status, response.content_type) == (200, "image/svg+xml")
    etree.fromstring(await response.read())
