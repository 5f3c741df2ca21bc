"""A home's way into a cluster, broken off anywhere, goes on from there; an empty home founds none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from axis.app.home import give_cluster_keys, init_home, join_home, read_home, set_journal
from axis.app.leaving import leave
from axis.app.serve import Running, serving
from axis.blobs.jetstream import JetStreamBlobs
from axis.control import HomeLock
from axis.core.errors import Refusal
from axis.jetstream import NotAnswered
from axis.journal import seeding, standing, stream
from axis.ports import JournalBroken
from bench.nats import NatsCluster
from tests.contract.test_blobs import sha

CONTENT = b"taken before it was in the cluster"


@pytest.fixture
async def homes(tmp_path: Path, nats: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two homes of one axis that are to be in a cluster, and have never been."""
    monkeypatch.setattr(standing, "SHORT_SECONDS", 1.0)
    monkeypatch.setattr(stream, "_REST_SECONDS", 0.5)
    await nats.ready()
    one, two = tmp_path / "axis", tmp_path / "axis-2"
    await asyncio.to_thread(init_home, one, "127.0.0.1:0", "127.0.0.1:0")
    give_cluster_keys(one, nats.keys)
    async with serving(one) as alone:
        await keep(alone, CONTENT)
    set_journal(one, nats.url)
    await asyncio.to_thread(join_home, one, two, "127.0.0.1:0", "127.0.0.1:0")
    return one, two


async def keep(node: Running, content: bytes) -> None:
    now = node.node.clock.now()
    await node.node.blobs.put_small([content], owner="G22", now=now, pin_until=now + 3_600_000)


async def held(node: Running, content: bytes) -> bool:
    """Whether it can be read there."""
    async with node.node.blobs.open(sha(content)) as data:
        return b"".join([piece async for piece in data]) == content


async def broken_off(home: Path) -> None:
    with pytest.raises(Refusal, match="broken off"):
        async with serving(home):
            pass


async def fails(*_: object, **__: object) -> None:
    raise NotAnswered("broken off")


async def test_a_founding_goes_on_though_others_have_appended(
    homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = homes
    with monkeypatch.context() as broken:
        broken.setattr(JetStreamBlobs, "seed", fails)
        await broken_off(one)
    async with serving(two) as second:
        await second.node.registry.add("G98", "Đơn vị", "", [], "")
        async with serving(one) as first:
            assert first.node.journal.get("unit/G98")
        assert await held(second, CONTENT)


async def test_a_home_that_has_only_joined_founds_nothing(homes: tuple[Path, Path]) -> None:
    one, two = homes
    with pytest.raises(JournalBroken, match="is gone"):
        async with serving(two):
            pass
    async with serving(one) as first, serving(two) as second:
        assert second.node.journal.head() == first.node.journal.head()


@pytest.mark.parametrize("step", ["frames", "attachments"])
async def test_a_return_goes_on_where_it_was_broken_off(
    homes: tuple[Path, Path], nats: NatsCluster, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    one, two = homes
    async with AsyncExitStack() as opened:
        async with serving(one):
            second = await opened.enter_async_context(serving(two))
        with HomeLock(one):
            await leave(read_home(one))
        async with serving(one) as alone:
            await alone.node.registry.add("G98", "Đơn vị", "", [], "")
            await keep(alone, b"taken alone")
        set_journal(one, nats.url)
        with monkeypatch.context() as broken:
            if step == "frames":
                broken.setattr(seeding, "_fill", fails)
            else:
                broken.setattr(JetStreamBlobs, "seed", fails)
            await broken_off(one)
        async with serving(one):
            assert await held(second, b"taken alone")
