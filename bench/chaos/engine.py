"""What stands behind the axis: one node with the embedded journal, or a cluster (a second `Engine`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from axis.demo.ports import Ports
from bench.chaos.links import Breakable
from bench.chaos.nats_links import link_node, link_servers
from bench.nats import NatsCluster

__all__ = ["AXIS_NODES", "NATS_SERVERS", "AxisHome", "Clustered", "Embedded", "Engine", "engine_of"]

#: The axis nodes of each engine.
AXIS_NODES: Final = {"embedded": ("axis-1",), "cluster": ("axis-1", "axis-2")}
#: The NATS servers of each engine.
NATS_SERVERS: Final = {"embedded": (), "cluster": ("nats-1", "nats-2", "nats-3")}


@dataclass(frozen=True, slots=True)
class AxisHome:
    """A founded axis node: where it lives, the arguments that start it, and where it listens."""

    name: str
    path: Path
    command: tuple[str, ...]
    listen: tuple[str, int]
    console: str


class Engine(Protocol):
    """Founds the axis nodes before they start, and ends what it started itself."""

    #: The servers that keep the journal's stream, where there are any.
    servers: NatsCluster | None
    #: Between axis nodes and servers, and from server to server, by name: `A~B`.
    links: dict[str, Breakable]

    async def found(self, homes: Mapping[str, Path], ports: Ports) -> list[AxisHome]:
        """Make the homes; in the order in which the nodes are to be started."""

    async def stop(self) -> None:
        """End its own processes and links, after the axis nodes."""


class Embedded:
    """One node; its journal is a file of its own."""

    servers: NatsCluster | None = None

    def __init__(self) -> None:
        self.links: dict[str, Breakable] = {}

    async def found(self, homes: Mapping[str, Path], ports: Ports) -> list[AxisHome]:
        """Make the one home."""
        from axis.app.home import init_home

        ((name, path),) = homes.items()
        listen, console = ports.free("127.0.0.1:0"), ports.free("127.0.0.1:0")
        path.mkdir(parents=True)
        await asyncio.to_thread(init_home, path, listen, console)
        host, _, port = listen.rpartition(":")
        return [AxisHome(name, path, ("serve", "--home", str(path)), (host, int(port)), console)]

    async def stop(self) -> None:
        """Nothing beside the node."""


class Clustered:
    """Several nodes over three NATS servers; with `linked`, every way to a server leads through a proxy."""

    def __init__(self, folder: Path, *, linked: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.servers: NatsCluster | None = NatsCluster(folder)
        self.links: dict[str, Breakable] = {}
        self._linked = linked

    async def found(self, homes: Mapping[str, Path], ports: Ports) -> list[AxisHome]:
        """Start the servers; make the first home, and further nodes of the same axis."""
        from axis.app.home import give_cluster_keys, init_home, join_home, set_journal

        assert self.servers is not None
        if self._linked:
            self.links |= await link_servers(self.servers)
        self.servers.start_all()
        await self.servers.ready()
        made: list[AxisHome] = []
        for name, path in homes.items():
            listen, console = ports.free("127.0.0.1:0"), ports.free("127.0.0.1:0")
            path.mkdir(parents=True)
            if made:
                await asyncio.to_thread(join_home, made[0].path, path, listen, console)
            else:
                await asyncio.to_thread(init_home, path, listen, console)
                give_cluster_keys(path, self.servers.keys)
            url = self.servers.url
            if self._linked:
                links, url = await link_node(name, self.servers)
                self.links |= links
            set_journal(path, url)
            host, _, port = listen.rpartition(":")
            command = ("serve", "--home", str(path))
            made.append(AxisHome(name, path, command, (host, int(port)), console))
        return made

    async def stop(self) -> None:
        """End the servers and the links to them."""
        if self.servers is not None:
            self.servers.stop()
        await asyncio.gather(*(link.close() for link in self.links.values()))


def engine_of(name: str, folder: Path) -> Engine:
    """The engine of this name; what it starts itself lives in a folder below `folder`."""
    return Clustered(folder / "nats") if name == "cluster" else Embedded()
