"""Finding a document, and watching what goes by."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_document_is_found_by_words_without_marks(visit: Visit) -> None:
    await visit.go("/")
    await visit.page.get_by_role("navigation").get_by_role("link", name="Giao dịch").click()
    await visit.page.get_by_label("Từ trong trích yếu, số").fill("quyet dinh")
    await visit.page.get_by_role("button", name="Xem").click()
    rows = visit.page.locator("tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("Quyết định <b>số</b> 274")
    assert "text=quyet+dinh" in visit.page.url
    await visit.shoot("traffic")


async def test_a_pause_holds_what_comes_until_it_ends(visit: Visit) -> None:
    await visit.go("/traffic?kind=document&event=accepted")
    rows = visit.page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    pause = visit.page.get_by_role("button", name="Tạm dừng")
    await pause.click()
    await visit.desk.history.send("G14", ["G22"], [100], "Trong lúc tạm dừng")
    await visit.desk.catch_up()
    await expect(pause).to_have_attribute("data-waiting", "1")
    await expect(rows).to_have_count(2)
    await pause.click()
    await expect(rows.first).to_contain_text("Trong lúc tạm dừng")
    await expect(rows).to_have_count(3)


async def test_on_a_telephone_the_filter_is_folded_and_says_what_it_is(visit: Visit) -> None:
    page = visit.page
    await page.set_viewport_size({"width": 360, "height": 640})
    await visit.go("/traffic")
    words, rows = page.get_by_label("Từ trong trích yếu, số"), page.locator("tbody tr")
    await expect(rows.first).to_be_in_viewport()
    await expect(words).to_be_hidden()
    await page.locator("summary").click()
    await words.fill("quyet dinh")
    await page.get_by_label("Sự kiện").select_option("refused")
    await page.get_by_role("button", name="Xem").click()
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_be_in_viewport()
    await expect(words).to_be_hidden()
    said = "Lọc giao dịch: Từ trong trích yếu, số = quyet dinh; Sự kiện = từ chối"
    await expect(page.locator("summary")).to_have_text(said)
    await visit.check_accessibility()
    await visit.go("/traffic?since=x")
    await expect(words).to_be_visible()  # what is wrong is to be mended there
    await page.set_viewport_size({"width": 1280, "height": 800})
    await visit.go("/traffic")
    await expect(words).to_be_visible()
    await expect(page.locator("summary")).to_be_hidden()


async def test_a_link_in_a_mail_opens_what_it_names_and_a_form_there_does_nothing(visit: Visit) -> None:
    elsewhere = await visit.page.context.new_page()
    mail = (
        f'<a href="{visit.url}/traffic?event=refused">x</a>'
        f'<form method="post" action="{visit.url}/logout"><button>y</button></form>'
    )
    await elsewhere.route(
        "http://mail.example/", lambda route: route.fulfill(body=mail, content_type="text/html")
    )
    await elsewhere.goto("http://mail.example/")
    await elsewhere.get_by_role("link").click()
    await expect(elsewhere.locator("h1")).to_have_text("Giao dịch")
    await expect(elsewhere.locator("tbody tr")).to_have_count(1)
    await elsewhere.goto("http://mail.example/")
    await elsewhere.get_by_role("button").click()
    await expect(elsewhere.get_by_text("origin_not_allowed")).to_be_visible()
    assert await visit.go("/traffic") == 200
    await expect(visit.page.locator("h1")).to_have_text("Giao dịch")


async def test_a_wrong_filter_says_which(visit: Visit) -> None:
    await visit.go("/traffic?unit=Z99")
    await expect(visit.page.get_by_role("alert")).to_contain_text("Z99")
