"""A registrar and a viewer in front of an axis node as it is started: `axis init`, `axis serve`."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import LIMIT

pytestmark = pytest.mark.asyncio(loop_scope="session")
AXIS = Path(sys.executable).with_name("axis")
SECONDS = 120
PASSWORD = "một mật khẩu dài"


async def axis(home: Path, *arguments: str, given: str = "") -> None:
    """A command that has to end well."""
    process = await asyncio.create_subprocess_exec(
        AXIS, *arguments, "--home", home, stdin=PIPE, stdout=DEVNULL, stderr=PIPE
    )
    _, told = await asyncio.wait_for(process.communicate(given.encode()), SECONDS)
    assert process.returncode == 0, told.decode()


async def _link(process: Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        if found := re.search(r"console (http\S+)", line.decode()):
            return found[1]
    raise AssertionError("the node ended before it was ready")


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[str]:
    """A new axis home, served on free ports: the link that logs in."""
    await axis(home, "init", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
    process = await asyncio.create_subprocess_exec(AXIS, "serve", "--home", home, stdout=PIPE, stderr=DEVNULL)
    try:
        yield await asyncio.wait_for(_link(process), SECONDS)
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), SECONDS)


async def register(page: Page, code: str, name: str) -> None:
    await page.get_by_role("link", name="Đăng ký cơ quan").click()
    await page.get_by_label("Mã", exact=True).fill(code)
    await page.get_by_label("Cơ quan", exact=True).fill(name)
    await page.get_by_label("Lý do, căn cứ").fill("theo công văn 5")
    await page.get_by_role("button", name="Tiếp tục").click()
    await page.get_by_role("button", name="Đăng ký cơ quan").click()
    await expect(page.locator("pre")).to_contain_text("axis1.")


async def test_a_registrar_acts_and_a_viewer_is_refused(browser: Browser, tmp_path: Path) -> None:
    shots = Path(os.environ.get("SCREENSHOTS", str(tmp_path)))
    async with served(tmp_path / "axis") as link:
        url = link.partition("/?")[0]
        context = await browser.new_context(locale="vi-VN")
        context.set_default_timeout(LIMIT)
        page = await context.new_page()
        await page.goto(link)
        await page.get_by_role("navigation").get_by_role("link", name="Chứng thư").click()
        await register(page, "G14", "Bộ Tư pháp")
        await page.get_by_role("link", name="Về trang của cơ quan").click()
        await page.get_by_role("link", name="Tạm ngừng cơ quan").click()
        await page.get_by_label("Lý do, căn cứ").fill("mất <b>khóa</b>")
        await page.get_by_role("button", name="Tạm ngừng cơ quan").click()
        await expect(page.get_by_role("status")).to_have_text("Đã tạm ngừng.")
        await expect(page.get_by_role("link", name="Khôi phục cơ quan")).to_be_visible()
        await page.get_by_role("navigation").get_by_role("link", name="Kiểm tra").click()
        acts = page.get_by_role("region", name="Thao tác của người vận hành").locator("tbody tr")
        await expect(acts.first).to_contain_text("console")
        await expect(acts.first).to_contain_text("tạm ngừng")
        await expect(acts.first).to_contain_text("mất <b>khóa</b>")
        await page.get_by_role("button", name="Chạy kiểm tra").click()
        first = page.get_by_role("region", name="Các lần kiểm tra").locator("tbody tr").first
        for _ in range(SECONDS):
            await page.goto(f"{url}/audit")
            if "đang chạy" not in await first.inner_text():
                break
            await asyncio.sleep(1)  # an audit is a process that ends by itself
        await expect(first).to_contain_text("mọi thứ đều khớp")
        await page.screenshot(path=shots / "audit-real.png", full_page=True)
        await context.close()

        await axis(
            tmp_path / "axis",
            "operator",
            "add",
            "vy",
            "--role",
            "viewer",
            "--password-stdin",
            given=f"{PASSWORD}\n",
        )
        context = await browser.new_context(locale="vi-VN")
        context.set_default_timeout(LIMIT)
        page = await context.new_page()
        await page.goto(f"{url}/login")
        await page.get_by_label("Tên").fill("vy")
        await page.get_by_label("Mật khẩu").fill(PASSWORD)
        await page.get_by_role("button", name="Đăng nhập").first.click()
        await expect(page.locator("h1")).to_have_text("Tổng quan")
        await page.goto(f"{url}/trust/units/G14")
        await expect(page.locator("h1")).to_have_text("Bộ Tư pháp")
        await expect(page.get_by_role("link", name="Khôi phục cơ quan")).to_have_count(0)
        answer = await page.goto(f"{url}/trust/units/G14/resume")
        assert answer is not None
        assert answer.status == 403
        await expect(page.locator("main")).to_contain_text("không có quyền")
        await page.goto(f"{url}/audit")
        await expect(page.get_by_role("button", name="Chạy kiểm tra")).to_have_count(0)
        await context.close()
