"""A real axis and real agency nodes, over TLS, in one process with the production wiring."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.link import enrol
from axis import control
from axis.app.home import init_home
from axis.app.serve import Running, serving
from axis.ports import Clock

__all__ = ["LIMIT", "Country", "country_in", "free_port"]

LIMIT = 60.0


def free_port() -> int:
    """One that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Country:
    """A running axis, and the agencies that joined it."""

    folder: Path
    axis: Running
    session: aiohttp.ClientSession
    clock: Clock
    nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def axis_home(self) -> Path:
        return self.folder / "axis"

    async def operator(self, operation: str, **arguments: Any) -> Any:
        return await control.call(self.axis_home, operation, arguments)

    async def token(self, code: str, **more: Any) -> str:
        answer = await self.operator("org.add", code=code, name=f"Unit {code}", **more)
        return str(answer["token"])

    async def join(self, code: str, **more: Any) -> Path:
        home = self.folder / code
        await enrol.init(home, await self.token(code, **more), self.clock, api="127.0.0.1:0")
        return home

    async def start(self, code: str, **options: Any) -> Node:
        self.nodes[code] = await Node(self.folder / code, clock=self.clock, **options).start()
        return self.nodes[code]

    async def json(self, method: str, code: str, path: str, status: int = 200, **options: Any) -> Any:
        async with self.session.request(method, self.nodes[code].api_url + path, **options) as response:
            assert response.status == status, await response.text()
            return await response.json(content_type=None)

    async def post(self, code: str, request: dict[str, Any], *files: bytes, **more: Any) -> Any:
        form = aiohttp.FormData()
        form.add_field("document", json.dumps(request), content_type="application/json")
        for number, content in enumerate(files):
            name = f"Tệp {number}.pdf"
            form.add_field("file", content, filename=name, content_type="application/pdf")
        return await self.json("POST", code, "/v1/documents", data=form, **({"status": 202} | more))

    async def until(self, code: str, path: str, holds: Callable[[Any], Any]) -> Any:
        """What `holds` finds in the answer of a node's API, asked again after each of its events."""
        events = self.nodes[code].parts.events
        async with asyncio.timeout(LIMIT):
            while True:
                newest = events.newest
                found = holds(await self.json("GET", code, path))
                if found:
                    return found
                await events.beyond(newest, LIMIT)

    async def outcome(self, code: str, document_id: str) -> Any:
        async with asyncio.timeout(LIMIT):
            while True:
                found = await self.json("GET", code, f"/v1/documents/{document_id}?wait=10")
                if found["state"] not in ("queued", "accepted"):
                    return found

    async def arrived(self, code: str, document_id: str) -> Any:
        async with asyncio.timeout(LIMIT):
            after = ""
            while True:
                page = await self.json("GET", code, f"/v1/inbox?wait=10&after={after}")
                after = page["next"]
                for found in page["documents"]:
                    if found["document_id"] == document_id:
                        return found


@asynccontextmanager
async def country_in(folder: Path, clock: Clock | None = None) -> AsyncIterator[Country]:
    """A running axis without agencies."""
    await asyncio.to_thread(init_home, folder / "axis", "127.0.0.1:0", "127.0.0.1:0")
    async with (
        serving(folder / "axis", clock=clock) as running,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
    ):
        made = Country(folder, running, session, clock or SystemClock())
        try:
            yield made
        finally:
            await asyncio.gather(*(node.stop() for node in made.nodes.values()))
