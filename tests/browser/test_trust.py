"""Certificates, and a registrar's acts as they are met: a link, a page that asks, the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from bench.history import Signers
from tests.browser.conftest import Visit
from tests.support.console import START

pytestmark = pytest.mark.asyncio(loop_scope="session")
TOKEN = "axis1." + "x" * 400


async def test_a_registrar_finds_a_certificate_and_acts(visit: Visit, tmp_path: Path) -> None:
    desk, page = visit.desk, visit.page
    await desk.history.enrol("G14", *Signers(tmp_path / "others", START).certificates("G14"))
    await desk.catch_up()
    await page.get_by_role("navigation").get_by_role("link", name="Chứng thư").click()
    rows = page.get_by_role("region", name="Danh sách chứng thư").locator("tbody tr")
    await expect(rows).to_have_count(4)
    await visit.shoot("trust")
    await rows.filter(has_text="G14").first.get_by_role("link", name="G14", exact=True).click()
    await expect(page.locator("h1")).to_have_text("Bộ Tư pháp")
    await visit.shoot("trust-unit")
    await page.get_by_role("link", name="Tạm ngừng cơ quan").click()
    await visit.shoot("trust-suspend")
    await page.get_by_label("Lý do, căn cứ").fill("theo công văn 5")
    await page.get_by_role("button", name="Tạm ngừng cơ quan").click()
    await expect(page.get_by_role("status")).to_have_text("Đã tạm ngừng.")
    assert [(name, given["reason"]) for name, given in desk.done] == [("org.suspend", "theo công văn 5")]


async def test_an_organisation_is_registered_and_its_token_shown(visit: Visit) -> None:
    desk, page = visit.desk, visit.page
    desk.answers["org.add"] = {"code": "H26", "token": TOKEN, "expires_at": "2026-12-06T00:00:00+07:00"}
    await visit.go("/trust/units")
    await visit.shoot("trust-units")
    await page.get_by_role("link", name="Đăng ký cơ quan").click()
    await page.get_by_label("Mã", exact=True).fill("H26")
    await page.get_by_label("Cơ quan", exact=True).fill("Ủy ban nhân dân thành phố <i>Hà Nội</i>")
    await page.get_by_label("Lý do, căn cứ").fill("<script>alert(1)</script>")
    await visit.shoot("trust-add")
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
    await visit.shoot("trust-confirm")
    await visit.check_accessibility()
    await page.get_by_role("button", name="Đăng ký cơ quan").click()
    await expect(page.locator("main")).to_contain_text(TOKEN)
    await visit.shoot("trust-token")
    await visit.check_accessibility()


async def test_an_audit_is_run_and_told_of(visit: Visit) -> None:
    page, runs = visit.page, visit.desk.runs
    await visit.go("/audit")
    await page.get_by_role("button", name="Chạy kiểm tra").click()
    told = page.locator("section[data-live]")
    await expect(told).to_contain_text("7 / 12")
    runs.kept[0]["progress"]["done"] = 11
    await expect(told).to_contain_text("11 / 12")
    await visit.shoot("audit-running")
    await visit.check_accessibility()
    problem = {"sequence": 4, "code": "chain_broken", "detail": "<script>alert(1)</script> " + "ab" * 200}
    runs.kept[0] |= {
        "state": "done",
        "seconds": 75,
        "report": {
            "head": "j:9:" + "ab" * 32, "records": 9, "root_hash": "cd" * 32, "signatures_checked": 5,
            "volumes_equal": False, "problems": [problem], "incomplete": False,
        },
    }  # fmt: skip
    await expect(told).to_contain_text("<script>alert(1)</script>")
    await expect(page.get_by_role("button", name="Chạy kiểm tra")).to_be_visible()
    await visit.shoot("audit")
    await visit.check_accessibility()
