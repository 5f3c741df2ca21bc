"""Two axis nodes over three NATS servers: an agency may talk to either, and nothing tells them apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from agencies import enrol
from agencies.clock import SystemClock
from axis.app.home import give_cluster_keys, init_home, join_home, set_journal
from axis.app.serve import Running, serving
from axis.cli_views import audit_home
from bench.nats import NatsCluster
from tests.support.country import LIMIT, Country


@dataclass
class Cluster:
    """Two nodes of one axis, and a country behind the first."""

    country: Country
    second: Running
    urls: tuple[str, str]

    async def join(self, code: str, *, first: int) -> None:
        """An agency that knows both nodes and tries number `first` first."""
        home = self.country.folder / code
        token = await self.country.token(code)
        urls = list(self.urls)[first:] + list(self.urls)[:first]
        await enrol.init(home, token, SystemClock(), axis=urls, api="127.0.0.1:0")
        await self.country.start(code)


@asynccontextmanager
async def two_nodes(folder: Path, nats: NatsCluster) -> AsyncIterator[Cluster]:
    await nats.ready()
    async with AsyncExitStack() as opened:
        one, two = folder / "axis", folder / "axis-2"
        await asyncio.to_thread(init_home, one, "127.0.0.1:0", "127.0.0.1:0")
        give_cluster_keys(one, nats.keys)
        set_journal(one, nats.url)
        first = await opened.enter_async_context(serving(one))
        await asyncio.to_thread(join_home, one, two, "127.0.0.1:0", "127.0.0.1:0")
        second = await opened.enter_async_context(serving(two))
        session = await opened.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT))
        )
        country = Country(folder, first, session, SystemClock())
        try:
            yield Cluster(country, second, (first.agency_url, second.agency_url))
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))


@pytest.fixture
async def cluster(tmp_path: Path, nats: NatsCluster) -> AsyncIterator[Cluster]:
    async with two_nodes(tmp_path, nats) as made:
        yield made


async def test_agencies_of_either_node_exchange_documents(cluster: Cluster) -> None:
    country = cluster.country
    await cluster.join("G22", first=0)
    await cluster.join("G14", first=1)
    small, large = b"%PDF small", bytes(range(256)) * 3000
    for sender, receiver in (("G22", "G14"), ("G14", "G22")):
        sent = await country.post(sender, {"to": [receiver], "subject": "Công văn"}, small, large)
        outcome = await country.outcome(sender, sent["document_id"])
        assert outcome["state"] == "delivered"
        await country.arrived(receiver, sent["document_id"])
        for number, content in enumerate((small, large)):
            path = f"/v1/inbox/{sent['document_id']}/attachments/{number}"
            async with country.session.get(country.nodes[receiver].api_url + path) as response:
                assert await response.read() == content

    journals = [node.node.journal for node in (country.axis, cluster.second)]
    heads = await asyncio.gather(*(journal.changed(0, LIMIT) for journal in journals))
    assert heads[0] == heads[1] == journals[0].head()
    assert journals[0].peaks() == journals[1].peaks()
    homes = (country.axis_home, country.folder / "axis-2")
    reports = [await asyncio.to_thread(audit_home, home, quick=False) for home in homes]
    assert [report.problems for report in reports] == [(), ()]
    assert reports[0].root_hash == reports[1].root_hash
