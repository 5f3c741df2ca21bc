"""What stands behind the axis: one node with the embedded journal, or a cluster (a second `Engine`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from axis.demo.ports import Ports

__all__ = ["AXIS_NODES", "AxisHome", "Embedded", "Engine"]

#: The axis nodes of each engine.
AXIS_NODES: Final = {"embedded": ("axis-1",)}


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

    async def found(self, homes: Mapping[str, Path], ports: Ports) -> list[AxisHome]:
        """Make the homes; in the order in which the nodes are to be started."""

    async def stop(self) -> None:
        """End its own processes, after the axis nodes."""


class Embedded:
    """One node; its journal is a file of its own."""

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
