"""Down the tree of units, sorted, in any period."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_drills_into_a_unit_and_sorts(visit: Visit) -> None:
    page = visit.page
    await page.get_by_role("link", name="Cơ quan", exact=True).first.click()
    await expect(page.locator("h1")).to_have_text("Cơ quan")
    await page.get_by_role("link", name="Bộ Tư pháp").click()
    await expect(page.locator("table.units tbody tr")).to_have_count(2)
    await page.get_by_role("link", name="Đã nhận").first.click()
    await expect(page.locator("th[aria-sort=descending]")).to_have_text("Đã nhận ▾")
    await page.get_by_role("combobox").select_option("2026")
    await page.get_by_role("button", name="Xem").first.click()
    await expect(page.locator("main")).to_contain_text("Số liệu của kỳ 2026")
    await page.get_by_role("link", name="Tất cả cơ quan").click()
    await expect(page.locator("table.units tbody tr")).to_have_count(2)


async def test_it_is_readable(visit: Visit) -> None:
    await visit.go("/units?period=2026")
    for chart in await visit.page.locator("img.chart").all():
        await chart.scroll_into_view_if_needed()
        await expect(chart).to_have_js_property("complete", True)
        assert await chart.evaluate("image => image.naturalWidth") > 0
    await visit.shoot("units")


async def test_the_report_is_downloaded_and_printed(visit: Visit) -> None:
    page = visit.page
    await visit.go("/units?period=2026-11")
    for link, suffix, beginning in (("Tải CSV", "csv", b"\xef\xbb\xbf"), ("Tải XLSX", "xlsx", b"PK")):
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name=link).click()
        download = await waiting.value
        assert download.suggested_filename == f"volumes-2026-11.{suffix}"
        assert Path(await download.path()).read_bytes().startswith(beginning)
    await page.get_by_role("link", name="Bản in").click()
    await expect(page.locator("h1")).to_contain_text("11/2026")
    await visit.shoot("report")
    await page.emulate_media(media="print", color_scheme="light")
    await expect(page.locator("header.top")).to_be_hidden()
    await expect(page.locator("table.report")).to_be_visible()
    await page.screenshot(path=visit.shots / "report-print.png", full_page=True)
    await visit.check_accessibility()


async def test_a_units_page_is_readable(visit: Visit) -> None:
    await visit.go("/units?period=2026")
    await visit.page.get_by_role("link", name="G14", exact=True).click()
    await expect(visit.page.locator("h1")).to_have_text("Bộ Tư pháp")
    await expect(visit.page.locator("table.partners tbody")).to_contain_text("Văn phòng <Chính phủ>")
    for chart in await visit.page.locator("img.chart").all():
        await chart.scroll_into_view_if_needed()
        await expect(chart).to_have_js_property("complete", True)
    await visit.shoot("unit")
