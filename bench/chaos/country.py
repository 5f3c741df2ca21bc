"""A small country of real processes: axis nodes and agency nodes, with a link that can break between them.

Everything is started with the commands and files that a person would use. Logs lie beside the homes, so that
a full volume does not keep a node from saying why it stopped. Which engine the axis has is `engine`'s matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agencies import config as agency_config
from axis import control
from axis.demo.launch import Agency
from axis.demo.ports import Ports
from axis.demo.processes import NodeProcess, StartFailed
from axis.demo.units import MAX_UNITS, DemoUnit, demo_units
from bench.chaos.engine import AXIS_NODES, NATS_SERVERS, AxisHome, Engine
from bench.chaos.links import Link
from bench.chaos.nats_links import ROUTES
from bench.chaos.plan import Layout
from bench.chaos.volumes import Volume

__all__ = ["AGENCIES", "Country", "Part", "layout_of"]

AGENCIES: Final = 6
_START_SECONDS: Final = 90.0
_SAME_HEAD_SECONDS: Final = 0.2
_SAME_HEAD_TRIES: Final = 150


@dataclass(slots=True)
class Part:
    """One process of the country. `down`: a fault keeps it stopped, so nobody else may start it."""

    name: str
    home: Path
    process: NodeProcess
    down: bool = False

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, with these variables beside this process's own. StartFailed."""
        self.process.environment = dict(environment or {})
        await self.process.start(_START_SECONDS)
        self.down = False

    async def kill(self) -> None:
        """End it at once; it stays down until it is started."""
        self.down = True
        await self.process.kill()

    @property
    def ended_by_itself(self) -> bool:
        """Whether it runs no more although no fault has ended it."""
        return not self.down and not self.process.running


@dataclass(slots=True)
class Country:
    """The processes, started and stopped together.

    `volume_mebibytes`: of each home that the layout lets be filled. `spread`: agencies begin with different
    axis nodes; otherwise all of them with the first.
    """

    folder: Path
    engine: Engine
    layout: Layout
    volume_mebibytes: int = 0
    spread: bool = False
    say: Callable[[str], None] = lambda text: None
    axes: dict[str, Part] = field(default_factory=dict)
    agencies: dict[str, Part] = field(default_factory=dict)
    nodes: list[Agency] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    consoles: dict[str, str] = field(default_factory=dict)
    #: The port on which each axis node listens.
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Part]:
        """Every process by name."""
        return self.axes | self.agencies

    async def start(self) -> None:
        """Mount, found, start, enrol. MountDenied, StartFailed."""
        ports = Ports(self.say)
        if self.volume_mebibytes:
            for name in self.layout.volumes:
                self.volumes[name] = Volume(self.folder / "volumes" / name, self.volume_mebibytes)
                self.volumes[name].mount()
        homes = await self.engine.found({name: self._home(name) for name in self.layout.axes}, ports)
        for home in homes:
            await self._start_axis(home)
        units = {unit.code: unit for unit in demo_units(MAX_UNITS)}
        gate = asyncio.Semaphore(2)
        await asyncio.gather(*(self._join(gate, units[code], ports) for code in self.layout.agencies))
        await asyncio.gather(*(part.start() for part in self.agencies.values()))

    async def stop_nodes(self) -> None:
        """End the agency nodes, then the axis nodes; what is behind those still answers."""
        await asyncio.gather(*(part.process.stop() for part in self.agencies.values()))
        await self.at_one_head()
        await asyncio.gather(*(part.process.stop() for part in self.axes.values()))

    async def stop(self) -> None:
        """End everything, in order."""
        await self.stop_nodes()
        await self.engine.stop()
        await asyncio.gather(*(link.close() for link in self.links.values()))

    async def at_one_head(self) -> None:
        """Wait until no axis node is behind another, so that their books can be compared."""
        running = [part for part in self.axes.values() if part.process.running]
        for _ in range(_SAME_HEAD_TRIES):
            heads = [(await control.call(part.home, "node.status", {}))["head"] for part in running]
            if len(set(heads)) <= 1:
                return
            await asyncio.sleep(_SAME_HEAD_SECONDS)

    def unmount(self) -> None:
        """Let the volumes go; what was in them is gone."""
        for volume in self.volumes.values():
            volume.unmount()

    def _home(self, name: str) -> Path:
        return (self.volumes[name].folder if name in self.volumes else self.folder / "homes" / name) / "home"

    async def _start_axis(self, home: AxisHome) -> None:
        process = NodeProcess("axis.cli", list(home.command), self.folder / "logs" / f"{home.name}.log")
        part = self.axes[home.name] = Part(home.name, home.path, process)
        await part.start()
        self.consoles[home.name] = f"http://{home.console}"
        self.ports[home.name] = home.listen[1]
        for name in self.layout.links:
            if name.endswith(f"~{home.name}"):
                link = self.links[name] = Link(name, home.listen)
                await link.listen()

    async def _join(self, gate: asyncio.Semaphore, unit: DemoUnit, ports: Ports) -> None:
        """Register and enrol a unit; its node then reaches the axis through its links, where it has any."""
        home, api = self._home(unit.code), ports.free("127.0.0.1:0")
        async with gate:
            arguments = {"code": unit.code, "name": unit.name, "old_codes": [unit.old_code]}
            answer = await control.call(next(iter(self.axes.values())).home, "org.add", arguments, 30.0)
            init = NodeProcess("agencies.cli", ["init", "--home", str(home)], home).command
            process = await asyncio.create_subprocess_exec(
                *(*init, "--token", str(answer["token"]), "--api", api),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, errors = await asyncio.wait_for(process.communicate(), 60.0)
            if process.returncode:
                raise StartFailed(f"agency init {unit.code}: {errors.decode(errors='replace').strip()}")
        settings = agency_config.load(home)
        agency_config.save(home, settings.model_copy(update={"axis": self._addresses(unit.code)}))
        process_log = self.folder / "logs" / f"{unit.code}.log"
        node = NodeProcess("agencies.cli", ["serve", "--home", str(home)], process_log)
        self.agencies[unit.code] = Part(unit.code, home, node)
        self.nodes.append(Agency(unit.code, unit.name, home, f"http://{api}"))

    def _addresses(self, code: str) -> tuple[str, ...]:
        """The axis nodes as a unit's node reaches them, in the order in which it tries them."""
        names = list(self.axes)
        first = self.layout.agencies.index(code) % len(names) if self.spread else 0
        links = {name: self.links.get(f"{code}~{name}") for name in names[first:] + names[:first]}
        return tuple(f"https://127.0.0.1:{link.port if link else self.ports[n]}" for n, link in links.items())


def layout_of(engine: str) -> Layout:
    """The names of what a country with this engine consists of."""
    codes = tuple(unit.code for unit in demo_units(AGENCIES))
    axes = AXIS_NODES[engine]
    links = tuple(f"{code}~{axis}" for code in codes for axis in axes)
    servers = NATS_SERVERS[engine]
    return Layout(engine, axes, codes, servers, links, (axes[0], codes[1]), ROUTES if servers else ())
