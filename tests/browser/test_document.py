"""One document: its steps and signatures, and what an operator does about a delivery."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_document_tells_all_that_happened_to_it(visit: Visit) -> None:
    await visit.go("/traffic?text=quyet+dinh")
    await visit.page.get_by_role("link", name="Quyết định <b>số</b> 274").first.click()
    await expect(visit.page.locator("h1")).to_have_text("Quyết định <b>số</b> 274")
    steps = visit.page.get_by_role("region", name="Các bước").locator("tbody tr")
    await expect(steps).to_have_count(3)
    await expect(steps.first).to_contain_text("văn bản: G22")
    await expect(steps.first).to_contain_text("tiếp nhận: axis")
    await expect(steps.last).to_contain_text("sai nơi nhận")
    await visit.shoot("document")
