"""Ways to NATS servers that break: a node leaves a server that is of no use, within seconds, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from axis.jetstream import JetStream, NotAnswered, Refused, cluster_tls, servers_of
from bench.chaos.links import Breakable, Link, Mode
from bench.chaos.nats_links import link_node, link_servers
from bench.nats import NatsCluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Seconds after which a node has found another server, on a busy machine.
LIMIT = 20.0


@dataclass
class Ways:
    """Three servers behind proxies."""

    servers: NatsCluster
    routes: dict[str, Breakable]

    def set_routes_of(self, name: str, mode: Mode) -> None:
        for route, ways in self.routes.items():
            if name in route.split("~"):
                ways.set(mode)


@dataclass
class Node:
    """What an axis node has: one connection, over links of its own, and a stream."""

    cluster: JetStream
    links: dict[str, Link]
    stream: str

    @property
    def server(self) -> str:
        """The name of the server that it is connected to; empty for none."""
        port = self.cluster.server.rpartition(":")[2]
        return next((name[len("node~") :] for name, link in self.links.items() if str(link.port) == port), "")

    async def stores(self, data: bytes = b"x") -> int:
        """Publish until something is stored."""
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    return await self.cluster.publish(f"at.{self.stream}", data)
                except (NotAnswered, Refused):
                    await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ways]:
    servers = NatsCluster(tmp_path_factory.mktemp("ways"))
    routes = await link_servers(servers)
    servers.start_all()
    yield Ways(servers, routes)
    servers.stop()
    await asyncio.gather(*(route.close() for route in routes.values()))


@asynccontextmanager
async def node_of(ways: Ways) -> AsyncIterator[Node]:
    await ways.servers.ready()
    links, url = await link_node("node", ways.servers)
    servers = servers_of(url)
    stream = str(uuid.uuid4())
    cluster = await JetStream.connect(servers, cluster_tls(ways.servers.keys, servers), name="node")
    try:
        config = {"name": stream, "subjects": [f"at.{stream}"], "num_replicas": 3}
        await cluster.make_stream(config, 2 * LIMIT)
        yield Node(cluster, links, stream)
    finally:
        await cluster.close()
        await asyncio.gather(*(link.close() for link in links.values()))
        for route in ways.routes.values():
            route.set("open")


def following(server: str) -> str:
    """The next server of the list."""
    return f"nats-{int(server[-1]) % 3 + 1}"


async def test_a_connection_that_works_is_kept(ways: Ways) -> None:
    async with node_of(ways) as node:
        first = node.server
        # Longer than a server of no use is kept; what fails here, or finds nothing, is not its fault.
        listened: asyncio.Queue[bytes] = asyncio.Queue()
        await node.cluster.listen(f"silent.{node.stream}", listened.put)
        silent = asyncio.create_task(node.cluster.publish(f"silent.{node.stream}", b"", timeout=4.5))
        sequence = 0
        while not silent.done():
            sequence += 1
            assert await node.cluster.message(node.stream, 1000, LIMIT) is None
            with pytest.raises(NotAnswered, match="no leader"):
                await node.cluster.publish(f"nobody.{node.stream}", b"", timeout=LIMIT)
            assert await node.cluster.publish(f"at.{node.stream}", b"x", timeout=LIMIT) == sequence
        with pytest.raises(NotAnswered):
            await silent
        assert node.server == first


@pytest.mark.parametrize("mode", ["cut", "hole"])
async def test_a_node_goes_to_the_next_server_when_its_link_breaks(ways: Ways, mode: Mode) -> None:
    async with node_of(ways) as node:
        first = node.server
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await node.cluster.listen(f"told.{node.stream}", heard.put)
        await node.stores()
        node.links[f"node~{first}"].set(mode)
        await node.stores()
        assert node.server == following(first)
        # It is heard, as before, what others tell.
        await node.cluster.tell(f"told.{node.stream}", b"news")
        assert await asyncio.wait_for(heard.get(), LIMIT) == b"news"


async def test_an_idle_node_leaves_a_silent_server(ways: Ways) -> None:
    async with node_of(ways) as node:
        first = node.server
        node.links[f"node~{first}"].set("hole")
        async with asyncio.timeout(LIMIT):
            while node.server != following(first):
                await asyncio.sleep(0.05)
        await node.stores()


async def test_a_node_leaves_a_server_that_has_lost_the_others(ways: Ways) -> None:
    async with node_of(ways) as node:
        first = node.server
        ways.set_routes_of(first, "hole")
        await node.stores()
        assert node.server not in {first, ""}


async def test_a_leader_alone_is_left_though_it_answers(ways: Ways) -> None:
    async with node_of(ways) as node:
        state = await node.cluster.stream(node.stream)
        assert state is not None
        for name, link in node.links.items():
            link.set("open" if name == f"node~{state.leader}" else "cut")
        async with asyncio.timeout(LIMIT):
            while node.server != state.leader:
                await asyncio.sleep(0.05)
        ways.set_routes_of(state.leader, "cut")
        for link in node.links.values():
            link.set("open")
        # Asking only how the stream stands, as an idle node does: the leader says so, and leads nobody.
        async with asyncio.timeout(LIMIT):
            while node.server in {state.leader, ""}:
                with contextlib.suppress(NotAnswered, Refused):
                    await node.cluster.stream(node.stream)
                await asyncio.sleep(0.2)
        await node.stores()
        assert (await node.cluster.stream(node.stream)) is not None
