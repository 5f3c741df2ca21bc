"""What a real node says of its readiness: pages that are behind are told, and stop nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from axis.app.home import VIEWS_FILE, init_home
from axis.app.serve import serving
from axis.core.commands import Register
from tests.support.wire import MovedClock


async def test_pages_that_are_behind_are_said_to_be(tmp_path: Path) -> None:
    home, clock = tmp_path / "axis", MovedClock()
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")
    async with serving(home, clock=clock) as running, aiohttp.ClientSession() as session:

        async def told(path: str) -> tuple[int, Any]:
            async with session.get(URL(running.console_url).join(URL(path))) as response:
                return response.status, await response.json()

        def views(found: Any) -> bool:
            return bool({check["name"]: check["ok"] for check in found["checks"]}["views"])

        with closing(sqlite3.connect(home / VIEWS_FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else writes into the file now
            await running.node.sequencer.submit(Register("G22", "Văn phòng"))
            assert views((await told("/readyz?verbose"))[1]), "a moment is nothing"
            clock.ahead = 11_000
            status, found = await told("/readyz?verbose")
            assert (status, found["ready"], views(found)) == (200, True, False)
            assert await told("/readyz") == (200, {"ready": True, "reason": None})
            assert (await running.node.sequencer.submit(Register("G14", "Bộ Tư pháp"))).changed
            other.execute("ROLLBACK")
        head = running.node.journal.head().sequence
        assert await running.node.views.reached(head, 30)
        assert views((await told("/readyz?verbose"))[1])
