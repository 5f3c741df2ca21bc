"""An operator in front of an axis as it is started (`axis serve`), with agency nodes (`agency serve`)."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openpyxl
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from axis.console.reports import COLUMNS
from axis.views.volumes import FIELDS
from tests.browser.conftest import Window, window_on

pytestmark = pytest.mark.asyncio(loop_scope="session")
BIN = Path(sys.executable).parent
SECONDS = 120
PASSWORD = "một mật khẩu dài"
SUBJECT = "Quyết định <b>về</b> đường sắt"


async def command(tool: str, home: Path, *arguments: str, given: str = "") -> str:
    """A command that has to end well: what it printed."""
    process = await asyncio.create_subprocess_exec(
        BIN / tool, *arguments, "--home", home, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    printed, told = await asyncio.wait_for(process.communicate(given.encode()), SECONDS)
    assert process.returncode == 0, told.decode()
    return printed.decode()


async def _ready(process: Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        if b"ready: " in line:
            return line.decode()
    raise AssertionError("the node ended before it was ready")


@asynccontextmanager
async def served(tool: str, home: Path) -> AsyncIterator[str]:
    """A home that is served: the line that says it is ready."""
    with home.with_suffix(".log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            BIN / tool, "serve", "--home", home, stdout=PIPE, stderr=log
        )
    try:
        yield await asyncio.wait_for(_ready(process), SECONDS)
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, home.with_suffix(".log").read_text()


@dataclass(frozen=True)
class Real:
    """An axis that is served from `folder/axis`, and what its start-up link holds."""

    folder: Path
    url: str
    token: str

    async def axis(self, *arguments: str, given: str = "") -> str:
        return await command("axis", self.folder / "axis", *arguments, given=given)

    async def agency(self, code: str, *arguments: str) -> str:
        return await command("agency", self.folder / code, *arguments)

    async def join(self, units: dict[str, dict[str, str]]) -> None:
        """Register units, and enrol those that have no other above them."""
        tokens = {}
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.token}"}) as session:
            for code, unit in units.items():
                async with session.post(f"{self.url}/api/v1/units", json={"code": code, **unit}) as answer:
                    tokens[code] = (await answer.json())["token"]
        enrolled = [code for code, unit in units.items() if "parent" not in unit]
        inits = [("init", "--token", tokens[code], "--api", "127.0.0.1:0") for code in enrolled]
        await asyncio.gather(*(self.agency(code, *init) for code, init in zip(enrolled, inits, strict=True)))

    async def operator(self, name: str, role: str) -> None:
        await self.axis("operator", "add", name, "--role", role, "--password-stdin", given=f"{PASSWORD}\n")

    @asynccontextmanager
    async def at_desk(self, browser: Browser, name: str, role: str) -> AsyncIterator[Window]:
        """A new operator who has logged in with a password."""
        await self.operator(name, role)
        async with window_on(browser, self.url, self.folder) as window:
            page = window.page
            await window.go("/login")
            await page.get_by_label("Tên").fill(name)
            await page.get_by_label("Mật khẩu").fill(PASSWORD)
            await page.get_by_role("button", name="Đăng nhập").first.click()
            await expect(page.locator("h1")).to_have_text("Tổng quan")
            yield window


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    folder = tmp_path_factory.mktemp("real")
    await command("axis", folder / "axis", "init", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
    async with served("axis", folder / "axis") as ready:
        found = re.search(r"console (http\S+)/\?token=(\S+)", ready)
        assert found is not None, ready
        yield Real(folder, found[1], found[2])


async def test_a_document_from_its_arrival_to_its_last_receipt(browser: Browser, real: Real) -> None:
    await real.join(
        {
            "G22": {"name": "Văn phòng Chính phủ"},
            "G14": {"name": "Bộ Tư pháp"},
            "G14.01": {"name": "Cục Hộ tịch", "parent": "G14"},
            "H26": {"name": "Ủy ban nhân dân thành phố Hà Nội"},
        }
    )
    async with (
        served("agency", real.folder / "G22"),
        served("agency", real.folder / "G14"),
        real.at_desk(browser, "oanh", "operator") as window,
    ):
        document_id = await arrives(real, window)
        await is_found_and_read(window, document_id)
        await is_counted(real, window)
        await is_stuck_and_opened_again(window, document_id)
        async with served("agency", real.folder / "H26"):
            await is_received_once(real, window, document_id)
        await is_kept_with_who_and_why(window)


async def arrives(real: Real, window: Window) -> str:
    """The log of traffic shows a document, and its receipt, as they come."""
    await window.page.get_by_role("navigation").get_by_role("link", name="Giao dịch").click()
    rows = window.page.locator("tbody[data-tail] tr")
    await expect(rows.first).to_be_visible()
    file = real.folder / "Quyết định.pdf"
    file.write_bytes(b"%PDF-1.7 \x00\xff" * 1000)
    document_id = (
        await real.agency(
            *("G22", "send", str(file), "--to", "G14,H26", "--subject", SUBJECT),
            *("--number", "274", "--notation", "QĐ-TTg"),
        )
    ).strip()
    await expect(rows.filter(has_text=SUBJECT).filter(has_text="tiếp nhận")).to_have_count(1)
    await expect(rows.filter(has_text=SUBJECT).filter(has_text="đã nhận")).to_have_count(1)
    await window.shoot("real-traffic")
    return document_id


async def is_found_and_read(window: Window, document_id: str) -> None:
    page = window.page
    await page.get_by_label("Từ trong trích yếu, số").fill("quyet dinh")
    await page.get_by_label("Cơ quan và đơn vị trực thuộc").fill("G14")
    await page.get_by_label("Sự kiện").select_option("receipt")
    await page.get_by_role("button", name="Xem").click()
    rows = page.locator("tbody[data-tail] tr")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("274/QĐ-TTg")
    await rows.first.get_by_role("link", name=SUBJECT).click()
    await expect(page).to_have_url(f"{window.url}/documents/{document_id}")
    await expect(page.locator("h1")).to_have_text(SUBJECT)
    await expect(_delivery(page, "G14")).to_contain_text("đã nhận")
    await expect(_delivery(page, "H26")).to_contain_text("đang chuyển")
    steps = page.get_by_role("region", name="Các bước")
    for signature in ("văn bản: G22", "tiếp nhận: axis", "biên nhận: G14"):
        await expect(steps).to_contain_text(signature)
    await expect(page.get_by_role("region", name="Tệp kèm theo")).to_contain_text("Quyết định.pdf")
    await window.shoot("real-document")


async def is_counted(real: Real, window: Window) -> None:
    """Down the tree, out as files with the command line's numbers, and in the other language."""
    page = window.page
    await page.get_by_role("navigation", name="Các trang").get_by_role("link", name="Cơ quan").click()
    await page.get_by_role("combobox").select_option("all")
    await page.get_by_role("button", name="Xem").first.click()
    await page.get_by_role("link", name="Bộ Tư pháp").click()
    await expect(page.locator("table.units tbody tr")).to_have_count(2)
    await page.get_by_role("link", name="G14", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Bộ Tư pháp")
    await expect(page.get_by_role("region", name="Văn bản gần đây")).to_contain_text(SUBJECT)
    await expect(page.locator("dl.facts time")).to_be_visible()  # its node was heard of
    await window.shoot("real-unit")
    await window.go("/units?period=all")
    counted = await _volumes(real)
    assert {name: counted["total"][name] for name in ("sent", "addressed", "received", "in_flight")} == {
        "sent": 1, "addressed": 2, "received": 1, "in_flight": 1,
    }  # fmt: skip
    expected = [
        [row["code"], *(row[name] for name in FIELDS)]
        for row in (*counted["rows"], {**counted["total"], "code": "Tổng"})
    ]
    at = [COLUMNS.index(name) for name in ("code", *FIELDS)]
    text = (await _downloaded(page, "Tải CSV")).decode("utf-8-sig")
    heading, *rows = csv.reader(io.StringIO(text))
    assert heading[0] == "Mã"
    assert [[row[place] for place in at] for row in rows] == [list(map(str, row)) for row in expected]
    sheet = openpyxl.load_workbook(io.BytesIO(await _downloaded(page, "Tải XLSX"))).active
    assert sheet is not None
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    assert [[row[place] for place in at] for row in cells] == expected
    await page.get_by_role("link", name="EN", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Units")
    assert "period=all" in page.url
    await page.get_by_role("link", name="VI", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Cơ quan")


async def is_stuck_and_opened_again(window: Window, document_id: str) -> None:
    """What waits longest is found from the first page; its delivery is closed, and opened again."""
    page = window.page
    await window.go("/")
    await page.locator("dl.figures div", has_text="Chờ lâu nhất").get_by_role("link").click()
    await expect(page).to_have_url(f"{window.url}/documents/{document_id}")
    stuck = _delivery(page, "H26")
    await expect(_delivery(page, "G14").get_by_role("button")).to_have_count(0)
    await stuck.get_by_label("Lý do").fill("nút đang hỏng")
    await stuck.get_by_role("button", name="Đóng").click()
    await expect(page.get_by_role("status")).to_have_text("Đã đóng nơi nhận này.")
    await expect(stuck).to_contain_text("không chuyển được")
    await stuck.get_by_label("Lý do").fill("nút sắp chạy lại")
    await stuck.get_by_role("button", name="Gửi lại").click()
    await expect(page.get_by_role("status")).to_have_text("Đã mở lần gửi mới.")
    await expect(stuck).to_contain_text("đang chuyển")
    await expect(page.get_by_role("region", name="Các bước")).to_contain_text("oanh")
    await window.shoot("real-requeued")


async def is_received_once(real: Real, window: Window, document_id: str) -> None:
    page = window.page
    await window.go(f"/traffic?document={document_id}&event=received")
    rows = page.locator("tbody[data-tail] tr")
    await expect(rows).to_have_count(2)  # the second comes by itself
    await expect(rows.first).to_contain_text("H26")
    await window.go(f"/documents/{document_id}")
    await expect(_delivery(page, "H26")).to_contain_text("đã nhận")
    found = json.loads(await real.agency("H26", "inbox", "--json"))["documents"]
    assert [(one["document_id"], one["state"]) for one in found] == [(document_id, "received")]
    counted = {row["code"]: row for row in (await _volumes(real))["rows"]}["H26"]
    names = ("addressed", "dead", "requeued", "received", "in_flight")
    assert {name: counted[name] for name in names} == {**dict.fromkeys(names, 1), "in_flight": 0}


async def is_kept_with_who_and_why(window: Window) -> None:
    """Of all acts those of one operator: the registrations were the registrar's."""
    page = window.page
    await window.go("/audit")
    acts = page.get_by_role("region", name="Thao tác của người vận hành").locator("tbody tr")
    await expect(acts.filter(has_text="đăng ký").first).to_be_visible()
    await page.get_by_label("Người thao tác").fill("oanh")
    await page.get_by_role("button", name="Xem").click()
    await expect(acts).to_have_count(2)
    await expect(acts.first).to_contain_text("nút sắp chạy lại")
    await expect(acts.last).to_contain_text("nút đang hỏng")


def _delivery(page: Page, code: str) -> Locator:
    rows = page.get_by_role("region", name="Nơi nhận").locator("tbody tr")
    return rows.filter(has=page.get_by_role("link", name=code, exact=True))


async def _volumes(real: Real) -> Any:
    return json.loads(await real.axis("volumes", "--json"))


async def _downloaded(page: Page, link: str) -> bytes:
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=link).click()
    return Path(await (await waiting.value).path()).read_bytes()


async def register(page: Page, code: str, name: str) -> None:
    await page.get_by_role("link", name="Đăng ký cơ quan").click()
    await page.get_by_label("Mã", exact=True).fill(code)
    await page.get_by_label("Cơ quan", exact=True).fill(name)
    await page.get_by_label("Lý do, căn cứ").fill("theo công văn 5")
    await page.get_by_role("button", name="Tiếp tục").click()
    await page.get_by_role("button", name="Đăng ký cơ quan").click()
    await expect(page.locator("pre")).to_contain_text("axis1.")


async def test_a_registrar_acts_and_a_viewer_is_refused(browser: Browser, real: Real) -> None:
    async with window_on(browser, real.url, real.folder) as window:
        page = window.page
        await window.go(f"/?token={real.token}")
        await page.get_by_role("navigation").get_by_role("link", name="Chứng thư").click()
        await register(page, "G15", "Bộ Công Thương")
        await page.get_by_role("link", name="Về trang của cơ quan").click()
        await page.get_by_role("link", name="Tạm ngừng cơ quan").click()
        await page.get_by_label("Lý do, căn cứ").fill("mất <b>khóa</b>")
        await page.get_by_role("button", name="Tạm ngừng cơ quan").click()
        await expect(page.get_by_role("status")).to_have_text("Đã tạm ngừng.")
        await expect(page.get_by_role("link", name="Khôi phục cơ quan")).to_be_visible()
        await page.get_by_role("navigation").get_by_role("link", name="Kiểm tra").click()
        acts = page.get_by_role("region", name="Thao tác của người vận hành").locator("tbody tr")
        await expect(acts.first).to_contain_text("console")
        await expect(acts.first).to_contain_text("tạm ngừng")
        await expect(acts.first).to_contain_text("mất <b>khóa</b>")
        await page.get_by_role("button", name="Chạy kiểm tra").click()
        first = page.get_by_role("region", name="Các lần kiểm tra").locator("tbody tr").first
        # It is a process that ends by itself; the page tells how it goes on.
        await expect(first).to_contain_text("mọi thứ đều khớp", timeout=1000 * SECONDS)
        await window.shoot("real-audit")
    async with real.at_desk(browser, "vy", "viewer") as window:
        page = window.page
        await window.go("/trust/units/G15")
        await expect(page.locator("h1")).to_have_text("Bộ Công Thương")
        await expect(page.get_by_role("link", name="Khôi phục cơ quan")).to_have_count(0)
        assert await window.go("/trust/units/G15/resume") == 403
        await expect(page.locator("main")).to_contain_text("Vai trò của bạn không đủ")
        await window.shoot("real-refused")
        await window.go("/audit")
        await expect(page.get_by_role("button", name="Chạy kiểm tra")).to_have_count(0)
