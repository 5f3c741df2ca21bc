"""What an operator sees first."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

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
    await visit.go("/?month=2026-11")
    await expect(visit.page.locator("h1")).to_have_text("Overview")


async def test_it_is_readable(visit: Visit) -> None:
    await visit.shoot("overview")
    await visit.check_accessibility()


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
