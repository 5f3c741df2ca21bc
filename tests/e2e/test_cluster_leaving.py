"""A home leaves its cluster with everything, goes on alone, and comes back; broken off, it stays in it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agencies.clock import SystemClock
from axis import control
from axis.app import leaving
from axis.app.home import Home, give_cluster_keys, init_home, join_home, read_home, set_journal
from axis.app.serve import Running, serving
from axis.app.whole import NotWhole, whole
from axis.commands.views import audit_home
from axis.control import HomeLock
from axis.core.errors import Refusal
from axis.core.frame import Head
from axis.journal import standing, stream
from axis.ports import JournalBroken
from bench.nats import NatsCluster
from tests.support.country import LIMIT, Country


async def halted(node: Running, why: str) -> None:
    async with asyncio.timeout(LIMIT):
        while why not in node.node.journal.doubt:
            await asyncio.sleep(0.05)


async def same(one: Running, two: Running) -> Head:
    """Wait until both nodes are sure of one head."""
    async with asyncio.timeout(LIMIT):
        while one.node.journal.doubt or two.node.journal.doubt or heads(one) != heads(two):
            await asyncio.sleep(0.05)
    return heads(one)


def heads(node: Running) -> Head:
    return node.node.journal.head()


async def leave(home: Path) -> Head:
    """What `axis serve --journal sqlite:` does first."""
    with HomeLock(home):
        return await leaving.leave(read_home(home))


async def test_a_home_leaves_with_everything_and_comes_back(
    tmp_path: Path, nats: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "SHORT_SECONDS", 1.0)
    monkeypatch.setattr(stream, "_REST_SECONDS", 0.5)
    await nats.ready()
    one, two = tmp_path / "axis", tmp_path / "axis-2"
    async with AsyncExitStack() as opened:
        await asyncio.to_thread(init_home, one, "127.0.0.1:0", "127.0.0.1:0")
        give_cluster_keys(one, nats.keys)
        set_journal(one, nats.url)
        first = await opened.enter_async_context(serving(one))
        await asyncio.to_thread(join_home, one, two, "127.0.0.1:0", "127.0.0.1:0")
        async with serving(two):
            session = await opened.enter_async_context(aiohttp.ClientSession())
            country = Country(tmp_path, first, session, SystemClock())
            for code in ("G22", "G14"):
                await country.join(code)
                node = await country.start(code)
                opened.push_async_callback(node.stop)
            content = bytes(range(256)) * 800
            sent = await country.post("G22", {"to": ["G14"], "subject": "Công văn"}, b"%PDF", content)
            assert (await country.outcome("G22", sent["document_id"]))["state"] == "delivered"

        # Broken off after the stream was closed: it is still in the cluster, and opens it again.
        with monkeypatch.context() as broken:
            broken.setattr(leaving, "whole", _not_whole)
            with pytest.raises(JournalBroken, match="damaged"):
                await leave(two)
        await halted(first, "a home went on alone")
        async with serving(two) as second:
            await same(first, second)

        # Opened by an operator of the first while the second was being verified: it stays in the cluster.
        with monkeypatch.context() as broken:
            broken.setattr(leaving, "whole", Reopens(one))
            with pytest.raises(Refusal, match="somebody else mends the stream"):
                await leave(two)
        assert read_home(two).settings.journal == nats.url

        head = await leave(two)
        await halted(first, "a home went on alone")
        assert read_home(two).settings.journal == ""
        report = await asyncio.to_thread(audit_home, two, quick=False)
        assert (report.problems, report.head) == ((), str(head))
        async with serving(two) as alone:
            await alone.node.registry.add("G98", "Đơn vị", "", [], "")
            assert heads(alone).number > heads(first).number
        set_journal(two, nats.url)
        async with serving(two) as back:
            await same(first, back)
            assert first.node.journal.get("unit/G98")
            await first.node.registry.add("G99", "Đơn vị", "", [], "")
            await same(first, back)


class Reopens:
    """In the place of the verification, in its thread."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __call__(self, home: Home, show: Any) -> tuple[Head, str]:
        asyncio.run(control.call(self._home, "journal.reseed", {"reopen": True}))
        return whole(home, show)


def _not_whole(*_: object) -> None:
    raise NotWhole("damaged")
