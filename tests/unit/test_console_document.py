"""An operator's acts on a delivery, by the forms of a document's page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axispb.v1 import evidence_pb2, journal_pb2

from axis.console.roles import Role
from axis.core.document import check_receipt
from axis.core.errors import Refusal
from tests.support.console import TOKEN, Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def page_of(desk: Desk, **headers: str) -> tuple[str, str]:
    """(the document's path, its page)."""
    events = (await desk.api("/api/v1/traffic?text=274&event=refused"))["events"]
    path = f"/documents/{events[0]['document_id']}"
    response = await desk.get(path, **headers)
    assert response.status == 200
    return path, await response.text()


async def test_a_viewer_sees_no_act_and_may_do_none(desk: Desk) -> None:
    viewer = f"Bearer {await desk.operator(Role.VIEWER)}"
    path, page = await page_of(desk, Authorization=viewer)
    assert 'action="/documents' not in page
    answer = await desk.client.post(
        f"{path}/requeue", data={"to": "G14.01"}, headers={"Authorization": viewer}
    )
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "role_insufficient")
    assert desk.done == []


async def test_a_refused_delivery_is_sent_again_by_who_is_logged_in(desk: Desk) -> None:
    cookie = (await desk.get(f"/?token={TOKEN}")).cookies["axis_console"].value
    path, page = await page_of(desk, Cookie=f"axis_console={cookie}")
    assert f'action="{path}/requeue"' in page
    assert f'action="{path}/close"' not in page, "nothing is in flight"
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    form = {"to": "G14.01", "reason": "gửi nhầm, xin nhận lại", "csrf": csrf}
    forged = await desk.client.post(
        f"{path}/requeue", data={**form, "csrf": "x"}, headers={"Cookie": f"axis_console={cookie}"}
    )
    assert (forged.status, desk.done) == (403, [])
    desk.refuse.append(Refusal("delivery_closed", "attempt 1 to G14.01 is open"))
    refused = await desk.client.post(
        f"{path}/requeue", data=form, headers={"Cookie": f"axis_console={cookie}"}, allow_redirects=False
    )
    assert (refused.status, "attempt 1 to G14.01 is open" in await refused.text()) == (409, True)
    answer = await desk.client.post(
        f"{path}/requeue", data=form, headers={"Cookie": f"axis_console={cookie}"}, allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (303, f"{path}?done=requeued")
    ((name, given),) = desk.done
    assert (name, given["to"], given["reason"], given["operator"]) == (
        "document.requeue", "G14.01", form["reason"], "console",
    )  # fmt: skip
    assert (
        "Đã mở lần gửi mới."
        in await (await desk.get(f"{path}?done=requeued", Cookie=f"axis_console={cookie}")).text()
    )


async def test_an_old_form_is_refused_in_words(desk: Desk) -> None:
    cookie = (await desk.get(f"/?token={TOKEN}")).cookies["axis_console"].value
    headers = {"Cookie": f"axis_console={cookie}", "Accept": "text/html"}
    answer = await desk.client.post("/logout", data={"csrf": "old"}, headers=headers)
    page = await answer.text()
    assert (answer.status, answer.content_type) == (403, "text/html")
    assert "hãy tải lại trang" in page
    assert "load the page again" in page


async def test_an_unknown_document_is_not_found_in_words(desk: Desk) -> None:
    answer = await desk.get("/documents/x", Authorization=f"Bearer {TOKEN}")
    assert (answer.status, "Không tìm thấy" in await answer.text()) == (404, True)


async def test_a_receipt_from_the_end_of_time_is_shown(desk: Desk) -> None:
    """A receiver signs when it stored a document, by a clock of its own: up to the end of UTC's year 9999."""
    sent = await desk.history.send("G22", ["G14"])
    latest = 253_402_300_799_999
    receipt = desk.history.receipt(sent, "G14", stored_at=latest)
    check_receipt(evidence_pb2.Receipt.FromString(receipt.signed.partition(b"\n")[2]))
    await desk.history.add(receipted=journal_pb2.Receipted(receipt=receipt))
    await desk.catch_up()
    (delivery,) = (await desk.api(f"/api/v1/documents/{sent.document_id}"))["deliveries"]
    assert delivery["receipt"]["stored_at"] == "9999-12-31T23:59:59.000+07:00"
    page = await desk.get(f"/documents/{sent.document_id}", Authorization=f"Bearer {TOKEN}")
    assert (page.status, "31/12/9999 23:59:59" in await page.text()) == (200, True)


async def test_a_document_of_many_steps_is_shown_in_parts(desk: Desk) -> None:
    history = desk.history
    for number in range(301):
        await history.register(f"H26.{number:03}")
    sent = await history.send("G22", [f"H26.{number:03}" for number in range(301)], [3])
    for number in range(60):
        await history.take(sent, f"H26.{number:03}")
    for number in range(25):
        await history.report("H26.001", "G22", sent.document_id, "03", f"lần {number:02}")
    await desk.catch_up()
    path = f"/documents/{sent.document_id}"

    async def page(query: str = "") -> str:
        response = await desk.get(path + query, Authorization=f"Bearer {TOKEN}")
        assert response.status == 200
        return await response.text()

    newest = await page()
    for said in ("Dòng 1–300 trong 301.", "Dòng 12–61 trong 61.", "và 5 trạng thái trước đó"):
        assert said in newest
    assert ("lần 04" in newest, "lần 05" in newest, "lần 24" in newest) == (False, True, True)
    assert newest.count("biên nhận: ") == 50, "who signed each step that is shown, and no more is read"
    before = await page("?step=0")
    assert before.count("tiếp nhận: ") == 1
    assert before.count("biên nhận: ") == 49
    assert ">H26.300</a>" not in newest
    assert ">H26.300</a>" in await page("?delivery=300")
    found = await desk.api(f"/api/v1{path}")
    assert len(found["deliveries"]) == 301
    assert len(found["deliveries"][1]["statuses"]) == 25


async def test_the_page_that_follows_an_act_shows_it(desk: Desk) -> None:
    document_id, sent = next(iter(desk.history.sent.items()))
    headers = {"Authorization": f"Bearer {await desk.operator(Role.OPERATOR)}"}
    await desk.history.notice(sent, "G14.01", 2, "gửi lại", host="G14")
    await desk.history.flush()  # journalled, and not yet in the views
    posted = asyncio.create_task(
        desk.client.post(
            f"/documents/{document_id}/requeue",
            data={"to": "G14.01", "reason": "gửi lại"},
            headers=headers,
            allow_redirects=False,
        )
    )
    answered, _ = await asyncio.wait({posted}, timeout=0.5)
    assert (answered, len(desk.done)) == (set(), 1), "the act is done, and its page would not show it"
    await desk.catch_up()
    answer = await asyncio.wait_for(posted, 10)
    assert answer.status == 303
    assert "gửi lại" in await (await desk.get(answer.headers["Location"], **headers)).text()
