"""Every number on every page is the command line's, the API's and a recount's of the journal's records.

At one head, on a December with every kind of event, which begins with deliveries in flight and leaves some.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2
from lxml import etree

from axis.app.home import init_home
from axis.console import shown
from axis.console.reports import COLUMNS as REPORTED
from axis.console.units import COLUMNS, SERIES
from axis.core.periods import Days, days_of
from axis.core.state import reduce
from axis.core.volumes import VIETNAM
from axis.journal.sqlite import SqliteJournal
from tests.support.commands import answer
from tests.support.console import TOKEN, Desk, desk_in
from tests.support.recount import NUMBERS, Told, in_flight, recount, vietnam_day

PARENTS = {
    "G14": "", "G14.01": "G14", "G22": "", "H26": "", "H26.01": "H26", "H26.01.07": "H26.01",
}  # fmt: skip
#: As the pages ask, as the command line does, the days.
PERIODS: dict[str, tuple[str, list[str], Days]] = {
    "month": ("month=2026-12", ["--month", "2026-12"], days_of("2026-12")),
    "year": ("year=2026", ["--year", "2026"], days_of("2026")),
    "days of a month": (
        "from=2026-12-03&until=2026-12-09", ["--from", "2026-12-03", "--until", "2026-12-09"],
        ("2026-12-03", "2026-12-09"),
    ),
    "days and a month": (
        "from=2026-11-18&until=2027-01-02", ["--from", "2026-11-18", "--until", "2027-01-02"],
        ("2026-11-18", "2027-01-02"),
    ),
    "all": ("period=all", [], ("", "9999-12-31")),
}  # fmt: skip


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        await every_kind_of_event(made)
        yield made


async def every_kind_of_event(desk: Desk) -> None:
    """Late, refused, dead, requeued, a late receipt, a status, a rejection; units of three levels."""
    history = desk.history

    async def at(month: int, day: int, hour: int, minute: int = 0) -> None:
        moment = datetime(2026 + month // 13, (month - 1) % 12 + 1, day, hour, minute, tzinfo=VIETNAM)
        await history.move(round(moment.timestamp() * 1000) - history.now)

    for code in ("H26", "H26.01", "H26.01.07"):
        await history.register(code, f"Cơ quan {code}", parent=PARENTS[code])
    await at(11, 29, 10)
    early = await history.send("000.00.00.G22", ["H26", "H26.01", "G14"], [10, 20])
    await at(12, 1, 8)
    busy = await history.send("H26", ["G22", "G14", "G14.01"], [1000, 20])
    await at(12, 1, 9)
    await history.take(busy, "G22")
    await at(12, 2, 0)
    await history.take(busy, "G14", reason="thiếu trang")
    await at(12, 3, 10)
    await history.notice(busy, "G14.01", 1, "nobody took it")
    await history.take_late(busy, "G14.01")
    await at(12, 4, 15)
    await history.notice(busy, "G14", 2, "again", host="G14")
    await at(12, 5, 23, 59)
    large = await history.send("G22", ["H26", "H26.01.07"], [5_000_000])
    await history.take(large, "H26")
    await at(12, 9, 7)
    await history.take(early, "H26")
    status = await history.report("H26", "G22", busy.document_id)
    await history.take(status, "G22")
    await history.add(rejected=journal_pb2.Rejected(organisation="G22", code="recipient_unknown", count=2))
    await at(12, 15, 11)
    await history.take(busy, "G14", attempt=2)
    await at(12, 20, 16)
    four = await history.send("H26.01", ["H26", "G22"])
    await history.take(four, "G22", reason="sai nơi nhận")
    await at(12, 31, 23)
    await history.send("G14.01", ["H26.01.07"], [7])
    await at(13, 1, 0, 30)
    await history.take(large, "H26.01.07")
    await history.send("G22", ["G14"])
    await at(13, 3, 18)
    newest = await history.send("H26.01", ["G22", "G14"])
    await at(13, 3, 18, 2)
    await history.take(newest, "G22")
    await history.take(newest, "G14", reason="sai nơi nhận")
    await desk.catch_up()


async def home_of(desk: Desk, folder: Path) -> Path:
    """An axis home that holds the same journal, for the command line."""
    home = folder / "home"
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")
    for path in home.glob("journal.sqlite*"):
        path.unlink()
    journal = SqliteJournal.open(home / "journal.sqlite", journal_id=desk.history.journal.head().journal_id)
    for frame in desk.history.journal.frames(0, 100_000):
        await journal.append(journal.head(), frame, reduce(frame, journal))
    await journal.close()
    return home


async def page(desk: Desk, path: str) -> Any:
    response = await desk.get(path, Authorization=f"Bearer {TOKEN}")
    assert response.status == 200, path
    return etree.HTML(await response.text())


def table(tree: Any, where: str, part: str = "tbody") -> list[list[str]]:
    """The texts of a table's cells, row by row; not the row that says that there is nothing."""
    rows = tree.xpath(f"{where}/{part}/tr")
    cells = [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in rows]
    return [row for row in cells if len(row) > 1]


def cells(counts: Counter[str], left: int, columns: tuple[str, ...] = COLUMNS, before: int = 0) -> list[str]:
    """How the pages show counts, in Vietnamese."""
    came = counts["received"] + counts["refused"]
    values = {
        **{name: shown.number(counts[name], "vi") for name in NUMBERS},
        "in_flight": shown.number(left, "vi"),
        "in_flight_before": shown.number(before, "vi"),
        "on_time": shown.percent(came - counts["late"], came, "vi")
        + (f" ({came - counts['late']} / {came})" if came else ""),
        **{name: shown.amount(counts[name], "vi") for name in NUMBERS if name.startswith("bytes")},
    }
    return [values[name] for name in columns]


def branch(code: str) -> list[str]:
    """A unit and all below it."""
    return [each for each in PARENTS if each == code or each.startswith(f"{code}.")]


@pytest.mark.parametrize("name", PERIODS)
async def test_volumes_of_a_period(desk: Desk, tmp_path: Path, name: str) -> None:
    query, options, (first, last) = PERIODS[name]
    journal = desk.history.journal
    told = recount(journal, within=lambda day: first <= day <= last)
    left = recount(journal, within=lambda day: day <= last)
    before = recount(journal, within=lambda day: day < first)
    home = await home_of(desk, tmp_path)
    said = await asyncio.to_thread(answer, "volumes", "--home", home, *options)
    twin = await desk.api(f"/api/v1/volumes?{query}")
    assert said["head"] == twin["head"] == str(journal.head())
    assert (said["rows"], said["total"]) == (twin["rows"], twin["total"])
    assert {row["code"]: [row[name] for name in NUMBERS] for row in said["rows"]} == {
        code: [told.units[code][name] for name in NUMBERS] for code in PARENTS
    }
    for row in said["rows"]:
        code = row["code"]
        assert row["in_flight"] == in_flight(left.units[code])
        assert row["in_flight_before"] == in_flight(before.units[code])
    await check_tree(desk, query, told, left)
    for code in PARENTS:
        await check_unit(desk, query, code, told, left)
    report = await page(desk, f"/reports/volumes?{query}")
    columns = REPORTED[3:]
    lines = {row[0]: row[-len(columns) :] for row in table(report, "//table[@class='report']")}
    assert lines == {
        code: cells(told.units[code], in_flight(left.units[code]), columns, in_flight(before.units[code]))
        for code in PARENTS
    }
    (foot,) = table(report, "//table[@class='report']", "tfoot")
    assert foot[1:] == cells(told.total(), in_flight(left.total()), columns, in_flight(before.total()))
    for by in ("day", "month"):
        over_time = await asyncio.to_thread(answer, "volumes", "--home", home, "--by", by, *options)
        assert (await desk.api(f"/api/v1/volumes?by={by}&{query}"))["rows"] == over_time["rows"]
        await check_over_time(desk, query, by, over_time["rows"])


async def check_tree(desk: Desk, query: str, told: Told, left: Told) -> None:
    """`/units` and its twin, level by level."""
    for root in ("", "G14", "H26", "H26.01"):
        below = [code for code, parent in PARENTS.items() if parent == root]
        alone = {root: [root]} if root else {}
        parts = {**alone, **{code: branch(code) for code in below}}
        asked = f"{query}&subtree={root}" if root else query
        rows = {
            code: cells(told.total(*units), in_flight(left.total(*units))) for code, units in parts.items()
        }
        tree = await page(desk, f"/units?{asked}")
        assert {row[1]: row[3:] for row in table(tree, "//table[@class='units']")} == rows
        counted = await desk.api(f"/api/v1/units?{asked}")
        assert {row["code"]: [row[name] for name in NUMBERS] for row in counted["rows"]} == {
            code: [told.total(*units)[name] for name in NUMBERS] for code, units in parts.items()
        }
        everybody = branch(root) if root else list(PARENTS)
        (total,) = table(tree, "//h2[@id='total']/following-sibling::div[1]/table")
        assert total == cells(told.total(*everybody), in_flight(left.total(*everybody)))


async def check_unit(desk: Desk, query: str, code: str, told: Told, left: Told) -> None:
    """`/units/{code}` and its twin: volumes, hours of the day, partners."""
    tree = await page(desk, f"/units/{code}?{query}")
    twin = await desk.api(f"/api/v1/units/{code}?{query}")
    units = branch(code)
    volumes = [cells(told.units[code], in_flight(left.units[code]))]
    if len(units) > 1:
        volumes.append(cells(told.total(*units), in_flight(left.total(*units))))
    assert [row[1:] for row in table(tree, "//table[@class='volumes']")] == volumes
    assert [twin["volumes"][name] for name in NUMBERS] == [told.units[code][name] for name in NUMBERS]
    assert [twin["branch"][name] for name in NUMBERS] == [told.total(*units)[name] for name in NUMBERS]
    hours = [(told.hours[code, hour]["sent"], told.hours[code, hour]["received"]) for hour in range(24)]
    assert [(row["sent"], row["received"]) for row in twin["hours"]] == hours
    assert table(tree, "//table[@class='hours']") == [
        [str(hour), *map(str, counts)] for hour, counts in enumerate(hours) if any(counts)
    ]
    partners = {other: told.partners[code, other] for other in PARENTS if told.partners[code, other]}
    exchanged = {other: [counts["sent"], counts["received"]] for other, counts in partners.items()}
    assert {row["code"]: [row["sent"], row["received"]] for row in twin["partners"]} == exchanged
    assert {row[0]: row[2:] for row in table(tree, "//table[@class='partners']")} == {
        other: list(map(str, counts)) for other, counts in exchanged.items()
    }


async def check_over_time(desk: Desk, query: str, by: str, rows: list[dict[str, Any]]) -> None:
    """The table over time of `/units`, where it has a row for each `by`."""
    over_time = "//h2[@id='over-time']/following-sibling::div[1]/table"
    lines = table(await page(desk, f"/units?{query}"), over_time)
    if any(len(row[0]) == len("2026-12") for row in lines) == (by == "month"):
        told = {row["period"]: [str(row[name]) for name in SERIES] for row in rows}
        happened = {shown.dated(period, "vi"): counts for period, counts in told.items()}
        assert [line for line in lines if line[0] in happened] == [[day, *c] for day, c in happened.items()]
        # The days and months between are there too: nothing but what is still in flight.
        nothing = [line[1:] for line in lines if line[0] not in happened]
        assert all(not any(map(int, (*line[:5], *line[6:]))) for line in nothing)


async def check_deliveries(desk: Desk, waiting: dict[tuple[str, str], str], today: str) -> None:
    """What figures of the first page lead to, page by page, by unit and as people see it."""

    async def listed(query: str) -> list[dict[str, Any]]:
        rows, following = [], ""
        while following is not None:
            answer: Any = await desk.api(f"/api/v1/deliveries?limit=2&after={following}&{query}")
            rows, following = [*rows, *answer["deliveries"]], answer["next"]
        assert len(table(await page(desk, f"/deliveries?{query}"), "//main//table")) == len(rows)
        assert [row["opened_at"] for row in rows] == sorted(row["opened_at"] for row in rows)
        return rows

    owing = Counter(unit for (_, unit), accepted in waiting.items() if accepted < today)
    told: Any = await desk.api("/api/v1/deliveries")
    assert {row["code"]: row["deliveries"] for row in told["owing"]} == owing
    shown = (await page(desk, "/deliveries")).iterfind(".//ul[@class='reasons owing']/li")
    words = ["".join(each.itertext()).split() for each in shown]
    assert {each[0]: int(each[-1]) for each in words} == owing
    every = {(row["document_id"], row["to"]): row["overdue"] for row in await listed("")}
    assert every == {delivery: accepted < today for delivery, accepted in waiting.items()}
    for unit in PARENTS:
        for state in ("all", "overdue"):
            rows = await listed(f"unit={unit}&state={state}")
            wanted = {key for key, late in every.items() if key[1] == unit and (late or state == "all")}
            assert {(row["document_id"], row["to"]) for row in rows} == wanted


async def test_statuses_are_counted_apart(desk: Desk, tmp_path: Path) -> None:
    home = await home_of(desk, tmp_path)
    told = recount(desk.history.journal, "status", lambda day: day.startswith("2026-12"))
    options = ("--month", "2026-12", "--kind", "status")
    said = await asyncio.to_thread(answer, "volumes", "--home", home, *options)
    twin = await desk.api("/api/v1/volumes?month=2026-12&kind=status")
    assert (said["rows"], said["total"]) == (twin["rows"], twin["total"])
    assert {row["code"]: [row[name] for name in NUMBERS] for row in said["rows"]} == {
        code: [told.units[code][name] for name in NUMBERS] for code in PARENTS
    }
    assert told.units["H26"]["sent"] == told.units["G22"]["received"] == 1


async def test_the_first_page(desk: Desk, tmp_path: Path) -> None:
    journal, now = desk.history.journal, desk.history.now
    told, today = recount(journal), recount(journal, within=lambda day: day == vietnam_day(now))
    figures: Any = await desk.api("/api/v1/overview")
    said = await asyncio.to_thread(answer, "volumes", "--home", await home_of(desk, tmp_path))
    assert figures["head"] == said["head"] == str(journal.head())
    assert figures["total"] == said["total"]
    total = told.total()
    assert [figures["total"][name] for name in NUMBERS] == [total[name] for name in NUMBERS]
    assert figures["total"]["in_flight"] == in_flight(total)
    assert min(total[name] for name in NUMBERS) > 0
    owing = told.overdue(vietnam_day(now))
    assert figures["overdue"] == sum(owing.values()) > 0
    await check_deliveries(desk, told.waiting, vietnam_day(now))
    assert [figures["today"][name] for name in NUMBERS] == [today.total()[name] for name in NUMBERS]
    assert figures["refused"] == told.reasons
    assert figures["rejected"] == told.rejected
    minutes = [told.minutes[minute] for minute in range(now // 60_000 - 59, now // 60_000 + 1)]
    names = ("sent", "received", "refused")
    counted = [[minute[name] for name in names] for minute in minutes]
    assert [[row["accepted"], row["received"], row["refused"]] for row in figures["minutes"]] == counted
    tree = await page(desk, "/")
    first = [" ".join("".join(each.itertext()).split()) for each in tree.iterfind(".//dd")]
    last_hour = [sum(row[0] for row in counted), sum(row[1] + row[2] for row in counted)]
    assert first[:7] == [
        *(str(total[name]) for name in ("sent", "received", "refused")),
        *map(str, (in_flight(total), total["dead"], today.total()["late"], sum(owing.values()))),
    ]
    assert first[8:10] == list(map(str, last_hour))
    assert [row[1:] for row in table(tree, "//table[@class='minutes']")] == [
        list(map(str, row)) for row in counted if any(row)
    ]
    shown_days = table(tree, "//table[@class='days']")
    days = [vietnam_day(now - before * 86_400_000) for before in range(30)]
    assert (days[0], days[-1], len(figures["days"])) == ("2027-01-03", "2026-12-05", 30)
    assert [row[0] for row in shown_days] == [shown.dated(day, "vi") for day in days]
    for day, (_, *values) in zip(days, shown_days, strict=True):
        of_day = recount(journal, within=lambda each, day=day: each == day).total()  # type: ignore[misc]
        names = ("sent", "addressed", "received", "refused", "dead", "late")
        assert values == [str(of_day[name]) for name in names], day
