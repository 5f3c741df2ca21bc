"""A unit's page and its twin: volumes, hours, partners, certificates, last contact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.history import Signers
from tests.support.console import DAY, TOKEN, Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_any_code_leads_to_the_unit(desk: Desk) -> None:
    for code in ("G22", "000.00.00.G22"):
        response = await desk.get(f"/units/{code}", Authorization=f"Bearer {TOKEN}")
        text = await response.text()
        assert (response.status, "Văn phòng &lt;Chính phủ&gt;" in text) == (200, True)
        assert "G22, 000.00.00.G22" in text
        assert "Quyết định &lt;b&gt;số&lt;/b&gt; 274" in text  # recent
        assert (await desk.api(f"/api/v1/units/{code}"))["code"] == "G22"


async def test_an_unknown_code_is_told_in_words_and_in_code(desk: Desk) -> None:
    response = await desk.get("/units/nobody", Authorization=f"Bearer {TOKEN}")
    assert (response.status, "Không tìm thấy" in await response.text()) == (404, True)
    response = await desk.get("/api/v1/units/nobody", Authorization=f"Bearer {TOKEN}")
    assert (response.status, response.content_type) == (404, "application/problem+json")
    assert (await desk.get("/units/nobody")).status == (await desk.get("/units/G22")).status


async def test_volumes_alone_and_with_those_below(desk: Desk) -> None:
    found = await desk.api("/api/v1/units/G14?month=2026-11")
    counted = await desk.api("/api/v1/volumes?month=2026-11&subtree=G14")
    total = counted["total"]
    own = next(row for row in counted["rows"] if row["code"] == "G14")
    assert {name: found["branch"][name] for name in total} == total
    assert {name: found["volumes"][name] for name in total} == {name: own[name] for name in total}
    assert [row["code"] for row in found["children"]] == ["G14.01"]
    assert [unit["code"] for unit in (await desk.api("/api/v1/units/G14.01"))["path"]] == ["G14", "G14.01"]


async def test_hours_and_partners_count_documents_once(desk: Desk) -> None:
    """18:06 on 18 November in Viet Nam; a requeue is no second document, a status none at all."""
    found = await desk.api("/api/v1/units/G22?month=2026-11")
    busy = {
        row["hour"]: (row["sent"], row["received"]) for row in found["hours"] if row["sent"] + row["received"]
    }
    assert busy == {18: (1, 0)}
    assert found["partners"] == [
        {"code": "G14", "name": "Bộ Tư pháp", "sent": 1, "received": 0},
        {"code": "G14.01", "name": "Cục Hộ tịch", "sent": 1, "received": 0},
    ]
    first = next(iter(desk.history.sent.values()))
    await desk.history.move(20 * DAY)
    await desk.history.notice(first, "G14.01", 2, "again", host="G14.01")
    await desk.history.take(first, "G14.01", attempt=2)
    await desk.catch_up()
    later = await desk.api("/api/v1/units/G14.01?month=2026-12")
    assert later["partners"] == [{"code": "G22", "name": "Văn phòng <Chính phủ>", "sent": 0, "received": 1}]
    assert sum(row["received"] for row in later["hours"]) == 1
    assert (await desk.api("/api/v1/units/G22?month=2026-12"))["partners"] == []
    assert len((await desk.api("/api/v1/units/G22?period=all"))["partners"]) == 2


async def test_certificates_and_last_contact_of_its_node(desk: Desk, tmp_path: Path) -> None:
    other = Signers(tmp_path / "other", desk.history.now)
    await desk.history.enrol("G14", *other.certificates("G14"))
    await desk.catch_up()
    below = await desk.api("/api/v1/units/G14.01")
    assert (below["host"], below["last_contact"], below["certificates"]) == ("G14", None, [])
    desk.contacts["G14"] = desk.history.now
    below = await desk.api("/api/v1/units/G14.01")
    assert str(below["last_contact"]).startswith("2026-11-18T18:06")
    states = [
        (each["usage"], each["state"]) for each in (await desk.api("/api/v1/units/G14"))["certificates"]
    ]
    assert states == [("sign", "active"), ("tls", "active")]
    await desk.history.move(2000 * DAY)
    await desk.catch_up()
    text = await (await desk.get("/units/G14", Authorization=f"Bearer {TOKEN}")).text()
    assert text.count("hết hạn") >= 2


async def test_the_chart_of_hours(desk: Desk) -> None:
    response = await desk.get("/charts/hours.svg?subtree=G22&period=2026", Authorization=f"Bearer {TOKEN}")
    assert (response.status, response.content_type) == (200, "image/svg+xml")
    assert "Giờ trong ngày" in await response.text()
    assert (await desk.get("/charts/hours.svg?subtree=x", Authorization=f"Bearer {TOKEN}")).status == 422
