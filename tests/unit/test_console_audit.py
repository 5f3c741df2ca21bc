"""Audits and operators' acts on the audit page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2

from axis.console.roles import Role
from axis.core.errors import Refusal
from tests.support.console import START, TOKEN, Desk, desk_in

HTML = "text/html"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


def report(*problems: dict[str, Any], incomplete: bool = False) -> dict[str, Any]:
    return {
        "head": "j:9:ab", "records": 9, "root_hash": "cd" * 32, "signatures_checked": 5,
        "volumes_equal": not problems, "problems": list(problems), "incomplete": incomplete,
    }  # fmt: skip


async def test_an_operator_runs_an_audit_and_sees_how_far_it_is(desk: Desk) -> None:
    cookie = {"Cookie": f"axis_console={(await desk.get(f'/?token={TOKEN}')).cookies['axis_console'].value}"}
    page = await (await desk.get("/audit", **cookie)).text()
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    form = {"csrf": csrf, "quick": "1"}
    desk.runs.refusal = Refusal("unavailable", "an audit is under way", retry_after=30)
    busy = await desk.client.post("/audit", data=form, headers=cookie, allow_redirects=False)
    assert (busy.status, "an audit is under way" in await busy.text()) == (503, True)
    desk.runs.refusal = None
    begun = await desk.client.post("/audit", data=form, headers=cookie, allow_redirects=False)
    assert (begun.status, begun.headers["Location"]) == (303, "/audit")
    page = await (await desk.get("/audit", **cookie)).text()
    assert ('max="12" value="7"' in page, 'action="/audit"' in page) == (True, False)
    run: Any = (await desk.api("/api/v1/audits"))["audits"][0]
    assert (run["by"], run["quick"], run["state"], run["progress"]["of"]) == ("console", True, "running", 12)
    desk.runs.kept[0] |= {"state": "done", "seconds": 75, "report": report()}
    page = await (await desk.get("/audit", **cookie)).text()
    assert "mọi thứ đều khớp" in page
    assert "1 phút 15 giây" in page
    wrong = report({"sequence": 4, "code": "chain_broken", "detail": "<b>frame 2</b>"})
    desk.runs.kept.insert(0, {**desk.runs.kept[0], "id": "2", "report": wrong})
    page = await (await desk.get("/audit", **cookie)).text()
    assert "&lt;b&gt;frame 2&lt;/b&gt;" in page
    assert "1 vấn đề" in page
    earlier = await (await desk.get(f"/audit?run={START}", **cookie)).text()
    assert "chain_broken" not in earlier
    assert (await desk.get("/audit?run=none", **cookie)).status == 404


async def test_a_viewer_runs_none(desk: Desk) -> None:
    viewer = {"Authorization": f"Bearer {await desk.operator(Role.VIEWER)}"}
    page = await desk.get("/audit", **viewer)
    assert (page.status, 'action="/audit"' in await page.text()) == (200, False)
    refused = await desk.client.post("/audit", headers={**viewer, "Accept": HTML})
    assert (refused.status, "Vai trò của bạn không đủ" in await refused.text()) == (403, True)
    assert (await desk.get("/api/v1/audits", **viewer)).status == 200
    assert (await desk.client.post("/api/v1/audits", headers=viewer)).status == 403
    assert desk.runs.kept == []
    operator = {"Authorization": f"Bearer {await desk.operator(Role.OPERATOR)}"}
    begun = await (await desk.client.post("/api/v1/audits?quick=1", headers=operator)).json()
    assert (begun["state"], begun["quick"]) == ("running", True)


async def test_operators_acts_in_pages(desk: Desk) -> None:
    for n in range(60):
        await desk.history.add(
            operator="rin", suspended=journal_pb2.UnitSuspended(code="G14", reason=f"lần {n:02}")
        )
    await desk.catch_up()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    first = await (await desk.get("/audit", **bearer)).text()
    assert (first.count(">rin<"), "lần 59" in first, "lần 09" in first) == (50, True, False)
    older = re.findall(r'rel="next" href="([^"]+)"', first)[0]
    second = await (await desk.get(older, **bearer)).text()
    assert (second.count(">rin<"), "lần 09" in second, 'rel="next"' in second) == (10, True, False)


async def test_acts_of_one_operator(desk: Desk) -> None:
    for operator in ("rin", "Oanh <b>", "rin"):
        await desk.history.add(operator=operator, resumed=journal_pb2.UnitResumed(code="G14"))
    await desk.catch_up()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    everything = await (await desk.get("/audit", **bearer)).text()
    assert (everything.count(">rin</a>"), everything.count(">Oanh &lt;b&gt;</a>")) == (2, 1)
    links = re.findall(r'href="(/audit\?operator=[^"#]+)', everything)
    assert len(links) == 3
    for link, found in zip(links, (2, 1, 2), strict=True):
        one = await (await desk.get(link, **bearer)).text()
        assert one.count("</a></td><td><span class=") == found
    nobody = await (await desk.get("/audit?operator=nobody", **bearer)).text()
    assert "Không có giao dịch nào phù hợp" in nobody


async def test_a_run_is_followed_until_it_has_ended(desk: Desk) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert "data-live" not in await (await desk.get("/audit", **bearer)).text()
    await desk.runs.start("rin", quick=True)
    assert 'data-live="/live/audit"' in await (await desk.get("/audit", **bearer)).text()
    async with asyncio.timeout(20), desk.client.get("/live/audit", headers=bearer) as stream:

        async def told(word: str) -> None:
            while word not in (line := (await stream.content.readline()).decode()):
                assert line, "ended before"

        await told('value="7"')
        desk.runs.kept[0]["progress"]["done"] = 11
        await told('value="11"')
        desk.runs.kept[0] |= {"state": "done", "seconds": 75, "report": report()}
        await told("mọi thứ đều khớp")
