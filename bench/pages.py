"""How long the console takes for a page: asked over HTTP on loopback, of a console in this process.

Counted is from the request to the last byte of the answer: query, template and writing. Each request is one
of somebody else, two seconds after the last one by the console's clock, so that no figures are served twice.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from axis.console.app import Sources, create_console
from axis.console.metrics import ConsoleMetrics
from axis.views.file import open_readonly, read_position
from axis.views.projection import Views
from bench.filled import Say
from bench.measure import percentiles

__all__ = ["measure_pages"]

#: Makes one address out of chance.
Make = Callable[[random.Random], str]

_STEP: Final = 2000
#: The first page is computed anew once four times of what it took have passed, and at least each second.
_REST: Final = 4
_LONGEST_REST: Final = 1.0
_ANSWER_SECONDS: Final = 60.0


class _Clock:
    """The console's: stands where the year ended, and goes on with each request."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def measure_pages(path: Path, codes: Sequence[str], times: int, seed: int, say: Say) -> dict[str, Any]:
    """Page → {"p50", "p95", "max", "cpu_p95"} in milliseconds; each asked for `times` times.

    `path` is a file of views of a year in which `codes` are the units. CPU time is this process's, so what
    asks is counted in. Raises RuntimeError for an answer that is no page.
    """
    return asyncio.run(_measure(path, _pages(codes), times, seed, say))


def _pages(codes: Sequence[str]) -> Mapping[str, Make]:
    top = [code for code in codes if "." not in code]
    middle = [code for code in codes if code.count(".") == 1] or top

    def month(rng: random.Random) -> str:
        return f"period=2026-{rng.randint(1, 12):02}"

    def days(rng: random.Random) -> str:
        first = date(2026, 1, 1) + timedelta(days=rng.randint(0, 300))
        return f"from={first}&until={first + timedelta(days=rng.randint(0, 60))}"

    return {
        "overview": lambda _: "/",
        "units_month": lambda rng: f"/units?{month(rng)}",
        "units_quarter": lambda rng: f"/units?period=2026-Q{rng.randint(1, 4)}",
        "units_year": lambda _: "/units?period=2026",
        "units_days": lambda rng: f"/units?{days(rng)}",
        "units_all": lambda _: "/units?period=all",
        "branch_month": lambda rng: f"/units?subtree={rng.choice(top)}&{month(rng)}",
        "branch_days": lambda rng: f"/units?subtree={rng.choice(top)}&{days(rng)}",
        "unit_month": lambda rng: f"/units/{rng.choice(codes)}?{month(rng)}",
        "unit_days": lambda rng: f"/units/{rng.choice(codes)}?{days(rng)}",
        "unit_top_month": lambda rng: f"/units/{rng.choice(top)}?{month(rng)}",
        "unit_top_days": lambda rng: f"/units/{rng.choice(top)}?{days(rng)}",
        "unit_middle_year": lambda rng: f"/units/{rng.choice(middle)}?period=2026",
    }


async def _measure(
    path: Path, pages: Mapping[str, Make], times: int, seed: int, say: Say
) -> dict[str, dict[str, float]]:
    token = secrets.token_urlsafe()
    with closing(open_readonly(path)) as views:
        position = read_position(views)
    assert position is not None
    clock = _Clock(position.at)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    results: dict[str, dict[str, float]] = {}
    async with (
        _console(path, clock, token) as url,
        aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session,
    ):
        for name, make in pages.items():
            say(f"measuring page {name}")
            rng = random.Random(f"{seed}/{name}")
            taken: list[float] = []
            worked: list[float] = []
            for _ in range(times):
                address = make(rng)
                clock.at += _STEP
                began, cpu = time.perf_counter(), time.process_time()
                async with session.get(address) as response:
                    await response.read()
                taken.append(1000 * (time.perf_counter() - began))
                worked.append(1000 * (time.process_time() - cpu))
                if response.status != 200:
                    raise RuntimeError(f"{address}: {response.status}")
                if name == "overview":
                    await asyncio.sleep(min(_LONGEST_REST, _REST * taken[-1] / 1000))
            results[name] = {**percentiles(taken), "cpu_p95": percentiles(worked)["p95"]}
    return results


@asynccontextmanager
async def _console(path: Path, clock: _Clock, token: str) -> AsyncIterator[str]:
    """Where a console of these views is found."""
    with closing(Views.open(path)) as views:
        sources = Sources(views, lambda _: None, ConsoleMetrics(path, clock), lambda: (), clock)
        runner = web.AppRunner(create_console(sources, token=token), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()
