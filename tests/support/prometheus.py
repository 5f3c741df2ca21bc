"""Debian's Prometheus with the configuration of deploy/, on this machine's addresses."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["DEPLOY", "Prometheus", "here", "prometheus"]

DEPLOY = Path(__file__).parents[2] / "deploy"
LIMIT = 30.0
#: Between two looks at a process that tells nobody when it has scraped.
LOOK = 0.1

Address = tuple[str, int]


def here(text: str, axis: Address, agencies: Sequence[Address]) -> str:
    """The scrape configuration, scraping these each second instead of the containers each 15 s."""

    def targets(addresses: Sequence[Address]) -> str:
        listed = ", ".join(f'"{host}:{port}"' for host, port in addresses)
        return f"    static_configs:\n      - targets: [{listed}]\n"

    changes = {
        r"scrape_interval: 15s": "scrape_interval: 1s",
        r"    dns_sd_configs:\n      - names: \[axis\]\n(?: {8}.*\n)+": targets([axis]),
        r"    static_configs:\n      - targets:\n(?: {10}- \"agency-.*\n)+": targets(agencies),
    }
    for old, new in changes.items():
        text, found = re.subn(old, new, text)
        assert found == 1, f"deploy/prometheus/prometheus.yml: {old}"
    return text


@dataclass
class Prometheus:
    """A running one, asked over its HTTP API."""

    url: str
    process: asyncio.subprocess.Process
    log: Path
    session: aiohttp.ClientSession

    async def get(self, path: str, **parameters: str) -> Any:
        """What it answers as `data`."""
        async with self.session.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def value(self, query: str) -> float | None:
        """The one number that a query gives; None while there is none."""
        found = (await self.get("query", query=query))["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    async def values(self, wanted: dict[str, float]) -> dict[str, float | None]:
        """What queries give, once it is what is wanted, or the time is over."""
        found: dict[str, float | None] = {}

        async def right() -> bool:
            for query in wanted:
                found[query] = await self.value(query)
            return found == wanted

        await self.until(right)
        return found

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Look again until it holds; False where it does not within `LIMIT` seconds."""
        deadline = asyncio.get_running_loop().time() + LIMIT
        while not await holds():
            assert self.process.returncode is None, self.log.read_text()
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(LOOK)
        return True


@asynccontextmanager
async def prometheus(
    folder: Path, port: int, axis: Address, agencies: Sequence[Address]
) -> AsyncIterator[Prometheus]:
    """One that listens at a port of loopback, with its data in `folder`."""
    folder.mkdir()
    shutil.copy(DEPLOY / "prometheus/alerts.yml", folder)
    configuration = folder / "prometheus.yml"
    configuration.write_text(here((DEPLOY / "prometheus/prometheus.yml").read_text(), axis, agencies))
    log = folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "GOMAXPROCS": "1"},
        )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
            made = Prometheus(f"http://127.0.0.1:{port}", process, log, session)
            assert await made.until(lambda: _ready(made)), log.read_text()
            yield made
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), LIMIT)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _ready(made: Prometheus) -> bool:
    try:
        async with made.session.get(f"{made.url}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False
