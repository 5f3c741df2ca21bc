"""What programs can do, as a page for those who write them."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_description_is_found_and_readable(visit: Visit) -> None:
    await visit.page.get_by_role("contentinfo").get_by_role("link", name="Dành cho phần mềm").click()
    await expect(visit.page.locator("h1")).to_have_text("Dành cho phần mềm")
    await visit.shoot("api")
    await visit.check_accessibility()
    shape = visit.page.locator("details#TrafficPage")
    await shape.get_by_text("TrafficPage", exact=True).click()
    await expect(shape.locator("pre")).to_contain_text('"older"')
