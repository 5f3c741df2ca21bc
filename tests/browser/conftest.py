"""Debian's Chromium, driven by Playwright, in front of a console."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, Request, async_playwright, expect

from tests.support.console import TOKEN, Desk, desk_in

#: CSS pixels: the narrowest telephone and a wide screen.
WIDTHS = (360, 1920)
LIMIT = 30_000  # milliseconds

CHROMIUM = "/usr/bin/chromium"
#: What axe-core looks at: everything, and in the dark what may be another there.
SCHEMES: Final[tuple[tuple[Literal["light", "dark"], dict[str, object]], ...]] = (
    ("light", {"resultTypes": ["violations"]}),
    ("dark", {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}),
)

#: Waits until each chart is the one for this width, and can be seen.
CHARTS_LOADED = """async ([width, limit]) => {
  const images = [...document.querySelectorAll("picture img")];
  images.forEach((image) => (image.loading = "eager"));
  const right = (image) => image.complete && image.naturalWidth > 0
    && image.currentSrc.includes("size=small") === (width <= 640);
  for (const end = Date.now() + limit; !images.every(right);) {
    if (Date.now() > end) throw new Error("a chart was not loaded");
    await new Promise((again) => setTimeout(again, 20));
  }
}"""

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
class Window:
    """A browser's window on a console at `url`; pictures go into `shots`."""

    url: str
    page: Page
    shots: Path
    #: What the browser complained of: a blocked style or script, an error, a dialog, a request elsewhere.
    faults: list[str]

    async def go(self, path: str) -> int:
        """Open a page of the console: the status of the answer."""
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        return answer.status

    async def shoot(self, name: str) -> None:
        """A picture of the whole page at both widths; nothing may stick out at the side."""
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            await self.page.evaluate(CHARTS_LOADED, [width, LIMIT])
            beyond = await self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert beyond <= 0, f"{name} at {width}: {beyond} pixels stick out"
            await self.page.screenshot(path=self.shots / f"{name}-{width}.png", full_page=True)

    async def check_accessibility(self) -> None:
        """No violation that axe-core calls serious or critical, in light and in dark."""
        for scheme, rules in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme)
            found = (await Axe().run(self.page, options=rules)).response["violations"]
            grave = [each for each in found if each["impact"] in ("serious", "critical")]
            assert not grave, [
                (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]]) for each in grave
            ]
        await self.page.emulate_media(color_scheme="light")

    def complaints(self) -> list[str]:
        """What the browser complained of since it was last asked."""
        told = self.faults.copy()
        self.faults.clear()
        return told


@dataclass
class Visit(Window):
    """A window on a console in front of a little history."""

    desk: Desk


@asynccontextmanager
async def window_on(
    browser: Browser, url: str, folder: Path, *, script: bool = True
) -> AsyncIterator[Window]:
    """A window that nobody has logged in from. At the end nothing may have gone wrong in it."""
    shots = Path(os.environ.get("SCREENSHOTS", str(folder / "screenshots")))
    shots.mkdir(parents=True, exist_ok=True)
    context = await browser.new_context(
        locale="vi-VN", timezone_id="Europe/Paris", java_script_enabled=script
    )
    context.set_default_timeout(LIMIT)
    page = await context.new_page()
    faults: list[str] = []
    gone_to: set[str] = set()

    async def dismiss(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def ask(request: Request) -> None:
        if not request.url.startswith(url):
            faults.append(f"a request elsewhere: {request.url}")
        if request.is_navigation_request():
            gone_to.add(request.url)

    def say(message: ConsoleMessage) -> None:
        # A page that is answered with 404 or 422 is an error to the browser; what is in it is not excused.
        answered = message.location["url"] in gone_to and "responded with a status of" in message.text
        if message.type == "error" and not answered:
            faults.append(f"{message.text} ({message.location['url']})")

    page.on("dialog", dismiss)
    page.on("console", say)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", ask)
    yield Window(url, page, shots, faults)
    assert not faults, f"the browser complained: {faults}"
    await context.close()


@asynccontextmanager
async def visiting(browser: Browser, folder: Path) -> AsyncIterator[Visit]:
    """A console of its own, and a window that has logged in by the start-up link."""
    async with desk_in(folder) as desk, window_on(browser, desk.url, folder) as window:
        await window.go(f"/?token={TOKEN}")
        yield Visit(window.url, window.page, window.shots, window.faults, desk)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, tmp_path: Path) -> AsyncIterator[Visit]:
    async with visiting(browser, tmp_path) as made:
        yield made
