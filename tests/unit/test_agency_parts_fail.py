"""What fails in one part of an agency node, and passes, ends neither the part nor the node."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.tasks import keep_running
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis


class QuickClock(SystemClock):
    """Waits of up to a minute take no time; what was waited for is kept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.01) if seconds <= 60 else seconds)


@pytest.fixture
async def axis(tmp_path: Path) -> AsyncIterator[StubAxis]:
    made = StubAxis(tmp_path, SystemClock().now)
    runner = await made.start()
    made.agency("G22", tmp_path / "home")
    made.stranger("G14")
    yield made
    await runner.cleanup()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "problem", [Refusal("storage_full", retry_after=30), sqlite3.OperationalError("disk I/O error")]
)
async def test_receipts_are_sent_when_the_disk_has_room_again(
    axis: StubAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    async with Node(tmp_path / "home", clock=QuickClock(), random=lambda: 0.0) as node:
        store = node.parts.store
        write, full, failed = store.write, asyncio.Event(), []

        async def limited(change: Callable[[sqlite3.Connection], Any]) -> Any:
            if full.is_set() and change.__qualname__.startswith("ReceiptSender."):
                failed.append(change)
                raise problem
            return await write(change)

        monkeypatch.setattr(store, "write", limited)
        full.set()
        axis.accept(axis.document("G14", "G22"))
        await until(lambda: len(failed) > 2)
        assert not node.parts.stopping.is_set()
        full.clear()
        await until(lambda: store.row("SELECT 1 FROM receipt WHERE state = 'taken'"))


async def test_a_part_that_fails_is_begun_again_after_longer_and_longer_waits() -> None:
    clock, runs = QuickClock(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 8:
            raise Refusal("storage_full") if runs % 2 else ValueError("unexpected")
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("work", work, clock, lambda: 1.0))
    await until(lambda: runs == 8)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
