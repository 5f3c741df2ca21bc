"""Every page, with the worst that others may write in every field: readable at both widths, by everybody, and
text stays text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import openpyxl
import pytest
import pytest_asyncio
from axispb.v1 import journal_pb2
from playwright.async_api import Browser, expect

from axis.console.access import ACCESS
from axis.console.accounts import hash_password
from axis.console.roles import Role
from axis.core.errors import Refusal
from bench.history import Signers
from tests.browser.conftest import Visit, visiting
from tests.support.console import START, TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")
PASSWORD = "một mật khẩu dài"
#: Routes that answer programs, or with files and images.
NO_PAGES = ("/api/", "/live/", "/charts/", "/static/", "/language/", "/livez", "/readyz", "/metrics")
FILES = (".csv", ".ndjson", ".xlsx")


def script(field: str) -> str:
    """What would be seen to have run, or to have been stopped by the policy alone."""
    return f"<script>alert('{field}')</script><img src=x onerror=alert()>"


#: Without a space: a word, from right to left with an override that nobody ends, marks upon marks.
LONG = ("Quyếtđịnhsố" * 50)[:500]
LEFT = ("مرحبا" * 40 + "\u202eabc")[:200]
MARKS = "Z\u0338\u0322\u034e\u0347" * 100


#: Every page by its route.
PAGES = {
    "/": ["/"],
    "/traffic": ["/traffic"],
    "/deliveries": ["/deliveries"],
    "/documents/{document_id}": ["/documents/{document_id}"],
    "/units": ["/units?period=all"],
    "/units/{code}": ["/units/H26?period=all"],
    "/reports/volumes": ["/reports/volumes?period=all"],
    "/trust": ["/trust"],
    "/trust/units": ["/trust/units"],
    "/trust/units/{code}": ["/trust/units/H26"],
    "/trust/units/{code}/{act}": [
        "/trust/units/H26/token",
        "/trust/units/H26/suspend",
        "/trust/units/H28/resume",
    ],
    "/trust/certificates/{serial}/revoke": ["/trust/certificates/{serial}/revoke"],
    "/trust/add": ["/trust/add"],
    "/audit": ["/audit"],
    "/api": ["/api"],
    "/login": ["/login"],
}


@dataclass
class Bad:
    """A console in front of a history of bad input, and what pages are asked for of it."""

    visit: Visit
    document_id: str
    serial: str

    async def go(self, path: str) -> int:
        return await self.visit.go(path.format(document_id=self.document_id, serial=self.serial))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bad(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bad]:
    folder = tmp_path_factory.mktemp("bad")
    async with visiting(browser, folder) as visit:
        history = visit.desk.history
        for code, name in (("H26", script("name")), ("H27", LONG[:200]), ("H28", LEFT), ("H29", MARKS[:200])):
            await history.register(code, name)
        certificates = Signers(folder / "others", START).certificates("H26")
        await history.enrol("H26", *certificates)
        sent = await history.send(
            "H26",
            ["G14", "H27"],
            [10, 20, 30, 40],
            script("subject"),
            script("number"),
            notation=script("notation"),
            names=[script("file"), LONG[:255], LEFT, MARKS[:255]],
        )
        await history.take(sent, "G14", reason=script("reason"))
        await history.take(sent, "H27", reason=LONG)
        await history.report("G14", "H26", sent.document_id, "02", script("note"))
        await history.report("G14", "H26", sent.document_id, "03", LONG)
        await history.notice(sent, "H27", 2, script("reason"), host="H27")
        for subject in (LONG, LEFT, MARKS):
            await history.send("H26", ["G14"], [10], subject, LONG[:100], notation=LONG[:100])
        for operator, remark in ((script("operator"), script("remark")), (LONG[:64], LONG)):
            resumed = journal_pb2.UnitResumed(code="H26")
            await history.add(operator=operator, remark=remark, resumed=resumed)
        held = journal_pb2.UnitSuspended(code="H28", reason=script("held"))
        await history.add(operator=LEFT[:64], suspended=held)
        await history.add(rejected=journal_pb2.Rejected(organisation="H26", code="id_reused", detail=LONG))
        await visit.desk.catch_up()
        yield Bad(visit, sent.document_id, certificates[0].serial)


async def test_every_page_is_looked_at() -> None:
    served = {path for method, path in ACCESS if method == "GET"}
    assert set(PAGES) == {
        path for path in served if not path.startswith(NO_PAGES) and not path.endswith(FILES)
    }


@pytest.mark.parametrize("path", [path for paths in PAGES.values() for path in paths])
async def test_a_page_is_readable_whatever_it_shows(bad: Bad, path: str) -> None:
    assert await bad.go(path) == 200
    name = re.sub(r"\W+", "-", path.partition("?")[0]).strip("-")
    await bad.visit.shoot(f"bad-{name or 'overview'}")
    await bad.visit.check_accessibility()
    assert bad.visit.complaints() == []


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/", ["subject", "reason", "number", "notation"]),
        ("/traffic", ["subject", "reason", "number", "notation"]),
        ("/documents/{document_id}", ["subject", "reason", "number", "notation", "file", "note"]),
        ("/units?period=all", ["name"]),
        ("/units/H26?period=all", ["name", "subject"]),
        ("/reports/volumes?period=all", ["name"]),
        ("/trust/units", ["name"]),
        ("/trust/units/H26/suspend", ["name"]),
        ("/audit", ["operator", "remark", "held"]),
        ("/traffic?operator=*", ["remark", "held"]),
    ],
)
async def test_script_in_a_field_is_shown_as_text(bad: Bad, path: str, fields: list[str]) -> None:
    await bad.go(path)
    main = bad.visit.page.locator("main")
    for field in fields:
        await expect(main).to_contain_text(script(field))
    await expect(main.locator("script, img[onerror]")).to_have_count(0)
    assert bad.visit.complaints() == []


async def test_script_in_what_comes_by_itself_is_shown_as_text(bad: Bad) -> None:
    visit, history = bad.visit, bad.visit.desk.history
    for path in ("/", "/traffic"):
        await visit.go(path)
        subject = script(f"live{path[1:]}")
        sent = await history.send(
            "H26", ["G14"], [10], subject, script("number"), notation=script("notation")
        )
        await history.take(sent, "G14", reason=script("late"))
        await visit.desk.catch_up()
        rows = visit.page.locator("tbody[data-tail] tr.new")
        await expect(rows.filter(has_text=subject)).to_have_count(2)
        await expect(rows.first).to_contain_text(script("late"))
        await expect(rows.first).to_contain_text(script("notation"))
        await visit.shoot("bad-live" + path.rstrip("/").replace("/", "-"))
        # On the wide screen no column is pushed out of sight.
        beyond = "table => table.scrollWidth - table.clientWidth"
        assert await visit.page.locator("div.scroll").first.evaluate(beyond) <= 0
        assert visit.complaints() == []


async def test_script_in_an_export_is_text(bad: Bad) -> None:
    async def exported(path: str) -> bytes:
        answer = await bad.visit.desk.get(path, Authorization=f"Bearer {TOKEN}")
        assert answer.status == 200
        return await answer.read()

    rows = list(csv.DictReader(io.StringIO((await exported("/traffic.csv")).decode("utf-8-sig"))))
    lines = list(map(json.loads, (await exported("/traffic.ndjson")).splitlines()))
    for found in (rows, lines):
        assert {script("subject"), LONG, LEFT, MARKS} <= {row["subject"] for row in found}
        assert {script("reason"), script("remark"), script("held")} <= {row["reason"] for row in found}
        assert script("operator") in {row["operator"] for row in found}
    names = {script("name"), LONG[:200], LEFT, MARKS[:200]}
    volumes = "/reports/volumes.{}?period=all"
    text = (await exported(volumes.format("csv"))).decode("utf-8-sig")
    assert names <= {row[1] for row in csv.reader(io.StringIO(text))}
    sheet = openpyxl.load_workbook(io.BytesIO(await exported(volumes.format("xlsx")))).active
    assert sheet is not None
    cells = {cell.value: cell.data_type for row in sheet.iter_rows(max_col=2) for cell in row}
    assert {cells[name] for name in names} == {"s"}


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/documents/<b>none", "/units/Z99", "/trust/units/Z99", "/trust/units/Z99/suspend",
     "/trust/units/G14/<b>x", "/trust/certificates/00ff/revoke", "/audit?run=none", "/language/fr"],
)  # fmt: skip
async def test_what_does_not_exist_is_told_in_words(bad: Bad, path: str) -> None:
    assert await bad.go(path) == 404
    await expect(bad.visit.page.get_by_role("alert")).to_contain_text("Không tìm thấy")
    assert bad.visit.complaints() == []


async def test_a_wrong_filter_is_told_with_its_name(bad: Bad) -> None:
    visit = bad.visit
    for path in ("/?unit=G14", f"/traffic?text={LONG}x", "/units?sort=<script>", "/trust?state=x"):
        assert await visit.go(path) == 422
        name = path.partition("?")[2].partition("=")[0]
        await expect(visit.page.locator("main p").filter(has_text=f"({name}): ").first).to_be_visible()
    await visit.shoot("problem-filter")
    await visit.check_accessibility()


async def test_an_act_that_is_refused_is_told_in_words(visit: Visit) -> None:
    (document_id, *_) = visit.desk.history.sent
    page = visit.page
    await visit.go(f"/documents/{document_id}")
    form = page.get_by_role("region", name="Nơi nhận").locator("form").first
    await form.get_by_label("Lý do").fill(script("why"))
    visit.desk.refuse.append(Refusal("delivery_closed", script("detail")))
    await form.get_by_role("button").click()
    await expect(page.get_by_role("alert")).to_contain_text(script("detail"))
    await visit.shoot("problem-act")
    await visit.check_accessibility()


async def test_one_logs_out_and_in_and_is_told_what_one_may_not(visit: Visit) -> None:
    page, name = visit.page, "v" * 64
    visit.desk.accounts.add(name, Role.VIEWER, password=hash_password(PASSWORD), at=1)
    await page.get_by_role("button", name="Đăng xuất").click()
    await expect(page.locator("h1")).to_have_text("Đăng nhập")
    await visit.go("/units")
    await expect(page.locator("h1")).to_have_text("Đăng nhập")
    await visit.shoot("login")
    for password in ("không phải thế này", PASSWORD):
        await page.get_by_label("Tên").fill(name)
        await page.get_by_label("Mật khẩu").fill(password)
        await page.get_by_role("button", name="Đăng nhập").first.click()
        if password != PASSWORD:
            await expect(page.get_by_role("alert")).to_contain_text("không đúng")
            await visit.shoot("problem-login")
            await visit.check_accessibility()
    await expect(page.locator("h1")).to_have_text("Cơ quan")  # what was asked for before
    await visit.go("/")
    await visit.shoot("overview-viewer")
    assert await visit.go("/trust/add") == 403
    await expect(page.get_by_role("alert")).to_contain_text("Vai trò của bạn không đủ")
    await visit.shoot("problem-role")
    await visit.check_accessibility()
    assert await visit.go("/nowhere") == 404
    await visit.shoot("problem-unknown")
    await visit.check_accessibility()
