"""One document: its steps and signatures, and what an operator does about a delivery."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

NASTY = "<script>alert(1)</script>"


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
    await visit.check_accessibility()


async def test_text_of_others_stays_text_and_breaks_nothing(visit: Visit) -> None:
    subject = (NASTY + " العربية مرحبا \u202e đảo ngược \u202c " + "Zal̸̢͎go " + "dài" * 200)[:500]
    sent = await visit.desk.history.send("G22", ["G14"], [10], subject)
    await visit.desk.history.take(sent, "G14", reason=NASTY)
    await visit.desk.catch_up()
    for path in ("/", "/traffic", f"/documents/{sent.document_id}"):
        await visit.go(path)
        await expect(visit.page.locator("main")).to_contain_text(NASTY)
        await visit.shoot("nasty" + path.replace("/", "-")[:11])


async def test_what_does_not_exist_is_said_in_words(visit: Visit) -> None:
    await visit.go("/documents/none")
    await expect(visit.page.get_by_role("alert")).to_contain_text("Không tìm thấy")
