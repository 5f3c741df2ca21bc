"""A home whose journal was appended to with a wrong clock: the node starts, says so, and appends nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from axis import control
from axis.app.home import init_home
from axis.app.node import open_home
from axis.app.serve import _collect, serving
from axis.core.commands import Register
from axis.core.errors import Refusal
from axis.doctor import examine

HOUR_MS = 3_600_000


class FastClock:
    """An hour ahead."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + HOUR_MS

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def test_a_journal_ahead_of_the_clock_is_said_everywhere(tmp_path: Path) -> None:
    home = tmp_path / "axis"
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")
    async with serving(home, clock=FastClock()) as running:
        await running.node.sequencer.submit(Register("G22", "Văn phòng"))
    async with serving(home) as running:
        console = urlsplit(running.console_url)
        url = f"http://{console.netloc}/readyz?verbose"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 503
            told = await response.text()
        assert "ahead of the clock" in json.loads(told)["reason"]
        ok = {check["name"]: check["ok"] for check in json.loads(told)["checks"]}
        assert ok == {"journal": True, "head": True, "clock": False, "views": True}
        assert not re.search(r"G22|Văn phòng", told), "nobody has logged in"
        with pytest.raises(Refusal, match="unavailable"):
            await control.call(home, "org.add", {"code": "G14", "name": "Bộ Nội vụ"}, 10)
        checks = await asyncio.to_thread(examine, home)
        wrong = [check for check in checks if check.name == "clock"]
        assert [check.ok for check in wrong] == [False, False]
        assert all("nothing is appended" in check.detail and check.remedy for check in wrong)
    async with open_home(home) as node:
        assert node.sequencer.clock_doubt


async def test_no_blob_is_deleted_by_a_wrong_clock(tmp_path: Path) -> None:
    """Its pin may seem to have ended long ago."""
    home, content = tmp_path / "axis", b"uploaded"
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    name = hashlib.sha256(content).digest()
    for clock, kept in ((FastClock(), False), (None, True)):
        async with open_home(home, clock=clock) as node:
            if clock is not None:
                await node.sequencer.submit(Register("G22", "Văn phòng"))
            await node.blobs.put(name, len(content), chunks(), owner="G22", now=1, pin_until=1)
            await _collect(node)
            assert (node.blobs.size(name) is not None) is kept
