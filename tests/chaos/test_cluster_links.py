"""Ways to NATS servers that break: a node leaves a server that is of no use, within seconds, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from asyncio.sslproto import _SSLProtocolTransport
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.client import Client
from structlog.testing import capture_logs

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

        async def ask_who_is_silent() -> None:
            with pytest.raises(NotAnswered):
                await node.cluster.publish(f"silent.{node.stream}", b"", timeout=4.5)

        sequence = 0
        # Together: a task of its own would end unseen where the rest fails.
        async with asyncio.TaskGroup() as together:
            silent = together.create_task(ask_who_is_silent())
            while not silent.done():
                sequence += 1
                assert await node.cluster.message(node.stream, 1000, LIMIT) is None
                with pytest.raises(NotAnswered, match="no leader"):
                    await node.cluster.publish(f"nobody.{node.stream}", b"", timeout=LIMIT)
                assert await node.cluster.publish(f"at.{node.stream}", b"x", timeout=LIMIT) == sequence
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


class Faulty(Exception):
    """What nothing is expected to raise."""


@pytest.mark.parametrize("fault", ["watching it", "ending it"])
async def test_a_node_goes_on_whatever_ends_its_link(
    ways: Ways, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    broken = asyncio.Event()
    connected: Any = Client.is_connected

    def fails(_: object) -> None:
        broken.set()
        raise Faulty

    def fails_to_who_watches(client: Client) -> bool:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "cluster connection":
            fails(client)
        return bool(connected.fget(client))

    async with node_of(ways) as node:
        first = node.server
        await node.stores()
        with capture_logs() as logs:
            if fault == "watching it":
                monkeypatch.setattr(Client, "is_connected", property(fails_to_who_watches))
            else:
                monkeypatch.setattr(_SSLProtocolTransport, "abort", fails)
                node.links[f"node~{first}"].set("cut")
            await asyncio.wait_for(broken.wait(), LIMIT)
            monkeypatch.undo()
            await node.stores()
        assert node.server == following(first)
        failed = [log["server"] for log in logs if log["event"] == "cluster_link_failed"]
        assert [server.rpartition(":")[2] for server in failed] == [str(node.links[f"node~{first}"].port)]


async def test_a_lost_connection_that_cannot_be_aborted_is_no_failure(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = asyncio.Event()

    def as_python_3_11_2(_: object) -> None:
        broken.set()
        raise AttributeError("'NoneType' object has no attribute '_abort'")

    async with node_of(ways) as node:
        first = node.server
        with capture_logs() as logs:
            monkeypatch.setattr(_SSLProtocolTransport, "abort", as_python_3_11_2)
            node.links[f"node~{first}"].set("cut")
            await node.stores()
            assert broken.is_set()
        assert node.server == following(first)
        events = {log["event"] for log in logs}
        assert "cluster_connection_lost" in events
        assert "cluster_link_failed" not in events


async def test_a_server_that_hangs_up_at_once_is_tried_again_after_a_pause() -> None:
    loop = asyncio.get_running_loop()
    joined: asyncio.Queue[float] = asyncio.Queue()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "x", "version": "2.11.0", "proto": 1, "headers": True, "max_payload": 1 << 20}
        # The node closes its connection at the end of the test, wherever it stands.
        with contextlib.suppress(OSError, EOFError):
            writer.write(f"INFO {json.dumps(info)}\r\n".encode())
            await reader.readuntil(b"PING\r\n")
            writer.write(b"PONG\r\n")
            await writer.drain()
            joined.put_nowait(loop.time())
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await JetStream.connect([f"nats://127.0.0.1:{port}"], None, name="node")
        try:
            async with asyncio.timeout(LIMIT):
                times = [await joined.get() for _ in range(4)]
        finally:
            await connection.close()
    # Each pause is 0.2 s; what each connection takes varies.
    assert times[-1] - times[0] > 0.4


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
