"""Units in the console: any period, level by level, ranked, sorted, charted."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from tests.support.console import DAY, TOKEN, Desk, desk_in

MONTH = "2026-11"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def page(desk: Desk, path: str, status: int = 200) -> str:
    response = await desk.get(path, Authorization=f"Bearer {TOKEN}")
    assert response.status == status
    return await response.text()


def rows(text: str) -> dict[str, list[str]]:
    """Code → the cells of its row."""
    tree = etree.HTML(text)
    found = {}
    for row in tree.xpath("//table[contains(@class,'units')]/tbody/tr"):
        cells = [" ".join("".join(cell.itertext()).split()) for cell in row]
        found[cells[1]] = cells
    return found


async def test_each_row_is_the_whole_branch(desk: Desk) -> None:
    answer = await desk.api("/api/v1/units")
    below = await desk.api("/api/v1/volumes?subtree=G14")
    whole = {row["code"]: row for row in answer["rows"]}
    assert set(whole) == {"G22", "G14"}
    total = below["total"]
    assert {name: whole["G14"][name] for name in total} == total
    assert {name: answer["total"][name] for name in total} == (await desk.api("/api/v1/volumes"))["total"]
    shown = rows(await page(desk, "/units"))
    assert shown["G14"][3:7] == ["1", "1", "1", "0"]
    assert "và 1 đơn vị trực thuộc" in shown["G14"][2]


async def test_one_goes_down_the_tree_and_up_again(desk: Desk) -> None:
    await desk.history.register("G14.01.02", "Phòng Hộ tịch", parent="G14.01")
    await desk.history.register("G14.01.02.03", "Tổ một cửa", parent="G14.01.02")
    sent = await desk.history.send("G14.01.02.03", ["G22"], [7])
    await desk.history.take(sent, "G22")
    await desk.catch_up()
    shown = rows(await page(desk, "/units?subtree=G14"))
    assert list(shown) == ["G14", "G14.01"]
    assert "riêng cơ quan" in shown["G14"][2]
    assert (shown["G14"][3], shown["G14.01"][3]) == ("1", "1")
    text = await page(desk, "/units?subtree=G14.01.02&period=2026")
    assert list(rows(text)) == ["G14.01.02", "G14.01.02.03"]
    assert 'href="/units?subtree=G14.01&amp;period=2026"' in text or (
        'href="/units?period=2026&amp;subtree=G14.01"' in text
    )
    path = [unit["code"] for unit in (await desk.api("/api/v1/units?subtree=G14.01.02"))["path"]]
    assert path == ["G14", "G14.01", "G14.01.02"]
    assert list(rows(await page(desk, "/units?subtree=000.00.00.G22"))) == ["G22"]


async def test_a_period_counts_its_days_only(desk: Desk) -> None:
    await desk.history.move(40 * DAY)  # from 18 November to 28 December
    await desk.history.send("G22", ["G14"], [50])
    await desk.catch_up()
    expected = {
        "": 3, "month=2026-11": 2, "month=2026-12": 1, "quarter=2026-Q4": 3, "quarter=2027-Q1": 0,
        "year=2026": 3,
        "from=2026-11-18&until=2026-11-18": 2, "from=2026-11-19": 1, "until=2026-11-17": 0,
        "from=2026-11-30&until=2026-12-30": 1,
    }  # fmt: skip
    for query, sent in expected.items():
        total = (await desk.api(f"/api/v1/volumes?{query}"))["total"]
        assert total["sent"] == sent, query
        branches = await desk.api(f"/api/v1/units?{query or 'period=all'}")
        assert branches["total"] == {"on_time": branches["total"]["on_time"], **total}, query
        for by in ("day", "month"):
            assert (await desk.api(f"/api/v1/volumes?by={by}&{query}"))["total"] == total, query


async def test_ranked_within_ministries_and_provinces(desk: Desk) -> None:
    for code in ("H26", "H29", "H53"):
        await desk.history.register(code, f"Ủy ban nhân dân {code}")
    early = await desk.history.send("G22", ["H26", "H29", "H53"])
    await desk.history.take(early, "H26")
    await desk.history.move(DAY)
    await desk.history.take(early, "H29")
    await desk.catch_up()
    text = await page(desk, "/units?period=2026&sort=rank")
    assert re.findall(r'<h2 id="group-([a-z]+)"', text) == ["central", "province"]
    shown = rows(text)
    assert [(code, cells[0]) for code, cells in shown.items() if code.startswith("H")] == [
        ("H26", "1"), ("H29", "2"), ("H53", "–"),
    ]  # fmt: skip
    assert (shown["H26"][8], shown["H29"][8], shown["H53"][8]) == (
        "100,0 % (1 / 1)", "0,0 % (0 / 1)", "–",
    )  # fmt: skip


async def test_whoever_sent_most_comes_first(desk: Desk) -> None:
    assert list(rows(await page(desk, "/units"))) == ["G14", "G22"]  # one each: by code
    for _ in range(2):
        await desk.history.send("G22", ["G14"])
    await desk.catch_up()
    text = await page(desk, "/units")
    assert list(rows(text)) == ["G22", "G14"]
    assert 'aria-sort="descending"' in text
    assert list(rows(await page(desk, "/units?sort=code"))) == ["G14", "G22"]


@pytest.mark.parametrize("path", ["/", "/traffic", "/units/G14.01", "/documents/{id}", "/live/traffic"])
async def test_codes_have_their_names(desk: Desk, path: str) -> None:
    (document_id, *_) = desk.history.sent
    answer = await desk.get(path.format(id=document_id), Authorization=f"Bearer {TOKEN}")
    text = ""
    while "</html>" not in text and not (path.startswith("/live") and "G14.01</a>" in text):
        text += (await answer.content.readline()).decode()
    tree = etree.HTML(text)
    assert tree.xpath("//td[@class='unit']/a[text()='G14.01']/@title")[0] == "Cục Hộ tịch"
    if path != "/units/G14.01":
        assert "Văn phòng <Chính phủ>" in tree.xpath("//span[@class='of quiet']/text()")


async def test_sorted_by_any_column(desk: Desk) -> None:
    falling = await page(desk, "/units?sort=received&order=desc")
    assert list(rows(falling)) == ["G14", "G22"]
    assert 'aria-sort="descending"' in falling
    assert list(rows(await page(desk, "/units?sort=received&order=asc"))) == ["G22", "G14"]


@pytest.mark.parametrize(
    ("query", "said"),
    [("period=2026-13", "2026-13"), ("period=..", "period"), ("period=2026-11-02..x", "until"),
     ("period=2026-Q5", "2026-Q5"), ("quarter=2026", "quarter"),
     ("from=2026-11-31", "2026-11-31"), ("from=2026-11-02&until=2026-11-01", "ngày cuối trước ngày đầu"),
     ("month=2026-11&year=2026", "chỉ chọn một"), ("subtree=nobody", "nobody"), ("sort=subject", "sort"),
     ("order=up", "order")],
)  # fmt: skip
async def test_wrong_filters_say_which(desk: Desk, query: str, said: str) -> None:
    text = await page(desk, f"/units?{query}", 422)
    assert "Điều kiện lọc không đúng" in text
    assert said in text
    if not query.startswith(("sort", "order")):
        response = await desk.get(f"/api/v1/units?{query}", Authorization=f"Bearer {TOKEN}")
        assert (response.status, (await response.json(content_type=None))["code"]) == (422, "field_invalid")


async def test_unknown_addresses_are_told_in_words(desk: Desk) -> None:
    assert "Không tìm thấy" in await page(desk, "/nowhere", 404)


@pytest.mark.parametrize(
    ("query", "periods", "in_flight"),
    [
        ("from=2026-11-16&until=2026-11-22", [f"{day}/11/2026" for day in range(16, 23)], list("0011111")),
        ("from=2026-11-28&until=2026-12-30", ["28/11/2026", "29/11/2026", "30/11/2026"], list("111")),
        ("period=2026-11", [f"{day:02}/11/2026" for day in range(1, 31)], [*"0" * 17, *"1" * 13]),
        ("period=2026", [f"{month:02}/2026" for month in range(1, 13)], [*"0" * 10, *"12"]),
        ("period=all", ["11/2026", "12/2026"], ["1", "2"]),
        ("from=0001-01-01&until=2027-06-30", None, None),
        ("period=2025", [], []),
    ],
)
async def test_time_has_no_gaps(
    desk: Desk, query: str, periods: list[str] | None, in_flight: list[str] | None
) -> None:
    await desk.history.move(40 * DAY)  # from 18 November to 28 December
    await desk.history.send("G22", ["G14"])
    await desk.catch_up()
    tree = etree.HTML(await page(desk, f"/units?{query}"))
    found = tree.xpath("//h2[@id='over-time']/following-sibling::div[1]/table/tbody/tr[th]")
    names = ["".join(row[0].itertext()) for row in found]
    if periods is None:  # no more than twenty years of nothing
        assert (len(names), names[-1]) == (241, "12/2026")
    else:
        assert names[: len(periods)] == periods
        assert ["".join(row[6].itertext()) for row in found][: len(periods)] == in_flight


@pytest.mark.parametrize("chart", ["units", "periods"])
async def test_charts_are_images_with_their_words(desk: Desk, chart: str) -> None:
    text = await page(desk, f"/units?period={MONTH}")
    path = next(found for found in re.findall(r'src="(/charts/[^"]+)"', text) if chart in found)
    response = await desk.get(path.replace("&amp;", "&"), Authorization=f"Bearer {TOKEN}")
    assert response.content_type == "image/svg+xml"
    image = etree.fromstring(await response.read())
    words = "".join(image.itertext())
    assert "Gửi" in words
    assert ("G14" if chart == "units" else "18/11/2026") in words
    assert (await desk.get("/charts/units.svg")).status == 303
    # Columns are drawn at seven tenths of their colour: what is 6 : 1 stays above the 3 : 1 of WCAG 1.4.11.
    in_the_dark = words.partition("prefers-color-scheme")[2]
    colours = re.findall(r"\.color-\d[^{]*\{\s*fill:\s*(#\w{6})", in_the_dark)
    assert len(colours) >= 3
    assert [each for each in colours if contrast(each, "#171614") < 6] == []


def contrast(one: str, other: str) -> float:
    """How far two colours are apart (WCAG 2.2, contrast ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (math.pow((each + 0.055) / 1.055, 2.4) for each in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


async def test_many_units_come_in_parts_that_are_all_of_them(desk: Desk) -> None:
    for number in range(310):
        await desk.history.register(f"G22.{number:03}", f"Đơn vị {number:03}", parent="G22")
    await desk.catch_up()
    first = await page(desk, "/units?subtree=G22&sort=name&order=desc")
    assert "Dòng 1–300 trong 311." in first
    more = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")
    second = await page(desk, more)
    assert (len(rows(first)), len(rows(second))) == (300, 11)
    assert list(rows(first))[:2] == ["G22", "G22.309"]
    assert list(rows(second))[-1] == "G22.000"
    back = re.findall(r'rel="prev" href="([^"]+)"', second)[0].replace("&amp;", "&")
    assert list(rows(await page(desk, back))) == list(rows(first))
    one = await page(desk, "/units/G22")
    assert ("Dòng 1–300 trong 310." in one, "Đơn vị 299" in one, "Đơn vị 300" in one) == (True, True, False)
    assert "Đơn vị 309" in await page(desk, "/units/G22?row=300")
    assert len((await desk.api("/api/v1/units/G22"))["children"]) == 310
    await page(desk, "/units?row=x", 422)
