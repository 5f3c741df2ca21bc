"""What an operator sees first."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import Visit, window_on
from tests.support.console import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_document_arrives_while_one_looks(visit: Visit) -> None:
    await expect(visit.page.locator("h1")).to_have_text("Tổng quan")
    await visit.desk.history.send("G14", ["G22"], [100], "Công văn <script>alert(1)</script> mới đến")
    await visit.desk.catch_up()
    first = visit.page.locator("tbody[data-tail] tr").first
    await expect(first).to_contain_text("Công văn <script>alert(1)</script> mới đến")


async def test_the_language_is_switched_and_stays(visit: Visit) -> None:
    await visit.page.get_by_role("link", name="EN").click()
    await expect(visit.page.locator("h1")).to_have_text("Overview")
    await visit.go("/")
    await expect(visit.page.locator("h1")).to_have_text("Overview")


async def test_it_is_readable(visit: Visit) -> None:
    await visit.shoot("overview")


async def test_the_figures_change_while_one_looks(visit: Visit) -> None:
    figures = visit.page.locator("section[data-live] dd")
    await expect(figures.first).to_have_text("2")
    await visit.desk.history.send("G14", ["G22"])
    await visit.desk.catch_up()
    await expect(figures.first).to_have_text("3")
    await visit.page.get_by_role("link", name="3", exact=True).first.click()
    await expect(visit.page.locator("h1")).to_have_text("Cơ quan")


async def test_a_page_that_is_no_longer_live_says_so(visit: Visit) -> None:
    told = visit.page.get_by_role("alert")
    await expect(told).to_have_count(0)
    await visit.page.evaluate("streams.forEach((source) => source.dispatchEvent(new Event('error')))")
    await expect(told).to_have_count(0)
    await visit.page.evaluate("streams.forEach((source) => source.close())")
    await visit.page.evaluate("streams.forEach((source) => source.dispatchEvent(new Event('error')))")
    await expect(told).to_have_text("Trang này không còn tự cập nhật, xin tải lại trang.")


async def test_the_charts_are_drawn_anew_while_one_looks(visit: Visit) -> None:
    page = visit.page
    today = page.locator("table.days tbody tr").first
    images = page.locator("img.chart")
    before = [await image.get_attribute("src") for image in await images.all()]
    await page.locator("summary").click()
    await page.locator("h1").click()  # whoever is in that part is not disturbed
    for sent in (3, 4):
        await visit.desk.history.send("G14", ["G22"])
        await visit.desk.catch_up()
        await expect(today.locator("td").first).to_have_text(str(sent))
        after = [await image.get_attribute("src") for image in await images.all()]
        assert set(before).isdisjoint(after)
        assert len(after) == 2
        for image in await images.all():
            await expect(image).to_have_js_property("complete", True)
            assert await image.evaluate("image => image.naturalWidth") > 0
        before = after
    await expect(page.locator("table.minutes")).to_be_visible()


async def test_without_script_a_page_is_right_after_it_is_loaded_again(
    browser: Browser, visit: Visit
) -> None:
    async with window_on(browser, visit.url, visit.shots, script=False) as window:
        await window.go(f"/?token={TOKEN}")
        sent = window.page.locator("table.days tbody tr").first.locator("td").first
        await expect(sent).to_have_text("2")
        before = await window.page.locator("img.chart").first.get_attribute("src")
        await visit.desk.history.send("G14", ["G22"])
        await visit.desk.catch_up()
        await window.page.reload()
        await expect(sent).to_have_text("3")
        assert await window.page.locator("img.chart").first.get_attribute("src") != before
