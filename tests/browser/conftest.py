"""Debian's Chromium, driven by Playwright, in front of a console."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.console import TOKEN, Desk, desk_in

#: CSS pixels: the narrowest telephone and a wide screen.
WIDTHS = (360, 1920)
LIMIT = 30_000  # milliseconds

CHROMIUM = "/usr/bin/chromium"

expect.set_options(timeout=LIMIT)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=4 * LIMIT
        )
        yield started
        await started.close()


@dataclass
class Visit:
    """A browser's window on a console."""

    desk: Desk
    page: Page
    shots: Path
    faults: list[str]

    async def go(self, path: str) -> None:
        """Open a page of the console."""
        await self.page.goto(self.desk.url + path)

    async def shoot(self, name: str) -> None:
        """A picture of the whole page at both widths; nothing may stick out at the side."""
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            beyond = await self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert beyond <= 0, f"{name} at {width}: {beyond} pixels stick out"
            await self.page.screenshot(path=self.shots / f"{name}-{width}.png", full_page=True)

    async def check_accessibility(self) -> None:
        """No violation that axe-core calls serious or critical, in light and in dark."""
        for scheme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=scheme)
            found = (await Axe().run(self.page)).response["violations"]
            grave = [each for each in found if each["impact"] in ("serious", "critical")]
            assert not grave, [
                (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]]) for each in grave
            ]


@asynccontextmanager
async def visiting(browser: Browser, folder: Path) -> AsyncIterator[Visit]:
    """A console of its own, and a window that has logged in by the start-up link."""
    shots = Path(os.environ.get("SCREENSHOTS", str(folder / "screenshots")))
    shots.mkdir(parents=True, exist_ok=True)
    async with desk_in(folder) as desk:
        context = await browser.new_context(locale="vi-VN", timezone_id="Europe/Paris")
        context.set_default_timeout(LIMIT)
        page = await context.new_page()
        faults: list[str] = []
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        visit = Visit(desk, page, shots, faults)
        await visit.go(f"/?token={TOKEN}")
        yield visit
        assert not faults, "the browser complained (a blocked style or script, an error)"
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, tmp_path: Path) -> AsyncIterator[Visit]:
    async with visiting(browser, tmp_path) as made:
        yield made
