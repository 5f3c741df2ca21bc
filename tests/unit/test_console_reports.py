"""The report of volumes: what CSV, XLSX and the printed page hold is what `axis volumes` says."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import openpyxl
import pytest
from lxml import etree

from axis.console.reports import COLUMNS
from axis.console.shown import dated, plain
from tests.support.console import TOKEN, Desk, desk_in

NUMBERS = [name for name in COLUMNS[3:] if name != "on_time"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        await made.history.register("H26", '=HYPERLINK("http://evil.example","x")')
        await made.history.register("H29", '+84 "Sài Gòn", TP.\r\nHồ Chí Minh')
        await made.catch_up()
        yield made


async def get(desk: Desk, path: str) -> tuple[str, bytes]:
    response = await desk.get(path, Authorization=f"Bearer {TOKEN}")
    assert response.status == 200
    return response.headers["Content-Disposition"], await response.read()


async def test_csv(desk: Desk) -> None:
    name, content = await get(desk, "/reports/volumes.csv?period=2026-11")
    assert name == 'attachment; filename="volumes-2026-11.csv"'
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.endswith(b"\r\n")
    heading, *rows, total = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    assert heading[:4] == ["Mã", "Cơ quan", "Cấp trên", "Gửi"]
    assert heading[-3:] == ["Tỷ lệ đúng hạn", "Dung lượng gửi (byte)", "Dung lượng nhận (byte)"]
    answer = await desk.api("/api/v1/volumes?month=2026-11")
    assert [row[0] for row in rows] == [row["code"] for row in answer["rows"]]
    for row, counted in zip([*rows, total], [*answer["rows"], answer["total"]], strict=True):
        assert {name: int(row[COLUMNS.index(name)]) for name in NUMBERS} == {
            name: counted[name] for name in NUMBERS
        }
    names = {row[0]: row[1] for row in rows}
    assert names["H26"] == '\'=HYPERLINK("http://evil.example","x")'
    assert names["H29"] == '\'+84 "Sài Gòn", TP.\r\nHồ Chí Minh'


async def test_numbers_that_lack_something_say_so_and_are_no_file(desk: Desk) -> None:
    async def page() -> str:
        return await (await desk.get("/units", Authorization=f"Bearer {TOKEN}")).text()

    assert "Số liệu chưa đủ" not in await page()
    desk.broken += ["", "pages are behind"]
    assert "Số liệu chưa đủ" in await page()
    for suffix in ("csv", "xlsx"):
        answer = await desk.get(f"/reports/volumes.{suffix}", Authorization=f"Bearer {TOKEN}")
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "30"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\ra", "\na"])
def test_no_text_becomes_a_formula(text: str) -> None:
    assert plain(text) == f"'{text}"
    assert plain("a" + text.strip()) == "a" + text.strip()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_no_part_of_a_text_becomes_a_formula(sign: str) -> None:
    assert plain(f"{sign}1") == f"'{sign}1"
    for end in (";", "\t", "\r", "\n"):
        assert plain(f"a{end}{sign}1{end}b") == f"a{end}'{sign}1{end}b"


async def test_xlsx(desk: Desk) -> None:
    name, content = await get(desk, "/reports/volumes.xlsx?subtree=000.00.00.G22&year=2026")
    assert name == 'attachment; filename="volumes-000.00.00.G22-2026.xlsx"'
    _, content = await get(desk, "/reports/volumes.xlsx?period=all")
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    cells = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    answer = await desk.api("/api/v1/volumes")
    for row, counted in zip(cells, [*answer["rows"], answer["total"]], strict=True):
        assert {name: row[COLUMNS.index(name)] for name in NUMBERS} == {
            name: counted[name] for name in NUMBERS
        }
    assert cells[-1][COLUMNS.index("on_time")] == 1
    formulas = [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert not formulas
    assert '=HYPERLINK("http://evil.example","x")' in [row[1] for row in cells]


async def test_a_workbook_says_what_it_is_of(desk: Desk) -> None:
    path = "/reports/volumes.xlsx?subtree=000.00.00.G22&from=2026-11-01&until=2026-11-20"
    book = openpyxl.load_workbook(io.BytesIO((await get(desk, path))[1]))
    assert book.sheetnames == ["Số liệu", "Thông tin"]
    answer = await desk.api("/api/v1/volumes?subtree=G22&from=2026-11-01&until=2026-11-20")
    assert dict(book["Thông tin"].iter_rows(values_only=True)) == {
        "Báo cáo số liệu gửi, nhận theo cơ quan": "Trục liên thông văn bản quốc gia",
        "Kỳ": "01/11/2026 – 20/11/2026",
        "Phạm vi": "G22 Văn phòng <Chính phủ>",
        "Đến bản ghi số": desk.history.journal.head().sequence,
        "Đầu sổ": answer["head"],
        "Thời điểm lập": answer["generated_at"],
    }
    book = openpyxl.load_workbook(io.BytesIO((await get(desk, "/reports/volumes.xlsx?period=all"))[1]))
    about = dict(book["Thông tin"].iter_rows(values_only=True))
    assert (about["Kỳ"], about["Phạm vi"]) == ("Từ đầu đến nay", "Tất cả cơ quan")


@pytest.mark.parametrize("path", ["/units", "/units/G22"])
@pytest.mark.parametrize(
    ("asked", "name", "shown"),
    [
        ("from=2026-11-01&until=2026-11-20", "2026-11-01..2026-11-20", "01/11/2026 – 20/11/2026"),
        ("until=2026-11-20", "..2026-11-20", "… – 20/11/2026"),
        ("month=2026-11", "2026-11", "11/2026"),
        ("period=2020-01", "2020-01", "01/2020"),
        ("period=all", "all", "Từ đầu đến nay"),
    ],
)
async def test_the_period_in_force_is_the_one_that_is_selected(
    desk: Desk, path: str, asked: str, name: str, shown: str
) -> None:
    async def selected(query: str) -> list[tuple[str | None, str | None]]:
        answer = await desk.get(f"{path}?{query}", Authorization=f"Bearer {TOKEN}")
        options = etree.HTML(await answer.text()).xpath("//select[@name='period']//option[@selected]")
        return [(option.get("value"), option.text) for option in options]

    assert await selected(asked) == await selected(f"period={name}") == [(name, shown)]
    for twin in ("volumes", "units"):
        one, other = [await desk.api(f"/api/v1/{twin}?{query}") for query in (asked, f"period={name}")]
        assert one == other


async def test_the_printed_page(desk: Desk) -> None:
    response = await desk.get("/reports/volumes?month=2026-11", Authorization=f"Bearer {TOKEN}")
    text = await response.text()
    assert "Báo cáo số liệu gửi, nhận theo cơ quan: 11/2026" in text
    assert "=HYPERLINK(&#34;" in text
    assert str((await desk.api("/api/v1/volumes"))["head"]) in text


@pytest.mark.parametrize("path", ["/reports/volumes", "/reports/volumes.csv", "/reports/volumes.xlsx"])
async def test_only_for_whom_is_known_and_asks_rightly(desk: Desk, path: str) -> None:
    assert (await desk.get(path)).status == 303
    wrong = await desk.get(f"{path}?period=2026-13", Authorization=f"Bearer {TOKEN}")
    assert (wrong.status, "2026-13" in await wrong.text()) == (422, True)
    assert (await desk.get(f"{path}?period=%0d%0aX:y", Authorization=f"Bearer {TOKEN}")).status == 422


@pytest.mark.parametrize(
    ("period", "written"),
    [
        ("2026-11-29", "29/11/2026"),
        ("2026-11", "11/2026"),
        ("2026-Q4", "quý IV/2026"),
        ("2026", "2026"),
        ("", ""),
    ],
)
def test_periods_are_written_as_people_write_them(period: str, written: str) -> None:
    assert (dated(period, "vi"), dated(period, "en")) == (written, period)
