"""A complete local axis: one axis node and its agency nodes, each a process of its own.

What the demonstration, the benchmark, the fault runs and the end-to-end tests start. It uses the very
commands and files that a person would: `axis serve`, `agency init`, `agency serve`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from axis import control
from axis.demo.ports import Ports, agency_api
from axis.demo.processes import NodeProcess, StartFailed
from axis.demo.units import DemoUnit

__all__ = ["Agency", "LocalAxis"]

#: Up to here each agency node is a process of its own; beyond, several share one.
OWN_PROCESS_LIMIT: Final = 8
_SHARED_PROCESSES: Final = 4
_FIRST_API_PORT: Final = 8091
_URL: Final = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency node: where it lives and how to reach it."""

    code: str
    name: str
    home: Path
    api_url: str
    token: str = field(default="", repr=False)  # the API's bearer token; loopback needs none


class LocalAxis:
    """An axis home with its agencies' homes in `HOME/agencies/CODE`, started and stopped together."""

    def __init__(self, home: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.home = home
        self.console_url = ""
        self.agencies: list[Agency] = []
        self.axis = NodeProcess("axis.cli", ["serve", "--home", str(home)], home / "axis.log")
        self.nodes: list[NodeProcess] = []
        self._ports = Ports(say)

    async def start(
        self, units: list[DemoUnit], listen: str | None = None, console: str | None = None
    ) -> None:
        """Found what is missing, then start the axis and every agency node. Goes on with an existing home.

        `listen` with port 0: any free ports, for the agencies too.
        """
        if (self.home / "axis.toml").exists():
            self._ports.settle(self.home, console)
        else:
            await self._found(listen or "127.0.0.1:8443", console or "127.0.0.1:8080")
        await self._start_axis()
        await self._join(units, 0 if (listen or "").endswith(":0") else _FIRST_API_PORT)
        await self._start_agencies()

    async def stop(self) -> None:
        """End the agency nodes, then the axis; each gets time to finish what it has promised."""
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await self.axis.stop()

    def node_of(self, code: str) -> NodeProcess:
        """The process that runs an agency's node."""
        index = next(i for i, agency in enumerate(self.agencies) if agency.code == code)
        return self.nodes[index % len(self.nodes)]

    async def _found(self, listen: str, console: str) -> None:
        from axis.app.home import init_home

        addresses = [self._ports.free(address) for address in (listen, console)]
        self.home.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(init_home, self.home, *addresses)

    async def _start_axis(self) -> None:
        line = await self.axis.start()
        urls = _URL.findall(line)
        if len(urls) != 2:
            raise StartFailed(f"unexpected ready line: {line}")
        self.console_url = urls[1]

    async def _join(self, units: list[DemoUnit], first_port: int) -> None:
        """Register and enrol every unit that has no home yet."""
        joining = []
        for number, unit in enumerate(units):
            home = self.home / "agencies" / unit.code
            if not (home / "agency.toml").exists():
                port = first_port + number if first_port else 0
                joining.append((unit, home, self._ports.free(f"127.0.0.1:{port}")))
        # Two at a time: each start of Python takes about a second of one core.
        gate = asyncio.Semaphore(2)
        await asyncio.gather(*(self._enrol(gate, *each) for each in joining))
        for unit in units:
            home = self.home / "agencies" / unit.code
            self.agencies.append(Agency(unit.code, unit.name, home, f"http://{agency_api(home)}"))

    async def _enrol(self, gate: asyncio.Semaphore, unit: DemoUnit, home: Path, api: str) -> None:
        async with gate:
            answer = await control.call(
                self.home,
                "org.add",
                {"code": unit.code, "name": unit.name, "old_codes": [unit.old_code]},
                timeout=30.0,
            )
            if not isinstance(answer, dict):
                raise StartFailed(f"org add {unit.code}: {answer!r}")
            process = await asyncio.create_subprocess_exec(
                *NodeProcess("agencies.cli", ["init", "--home", str(home)], home).command,
                *("--token", str(answer["token"]), "--api", api),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, errors = await asyncio.wait_for(process.communicate(), 60.0)
            if process.returncode:
                raise StartFailed(f"agency init {unit.code}: {errors.decode(errors='replace').strip()}")

    async def _start_agencies(self) -> None:
        if len(self.agencies) <= OWN_PROCESS_LIMIT:
            groups = [[agency] for agency in self.agencies]
        else:
            groups = [self.agencies[i::_SHARED_PROCESSES] for i in range(_SHARED_PROCESSES)]
        self.nodes = [self._node(group) for group in groups]
        await asyncio.gather(*(node.start() for node in self.nodes))

    def _node(self, group: list[Agency]) -> NodeProcess:
        homes = [argument for agency in group for argument in ("--home", str(agency.home))]
        log = group[0].home / "agency.log"
        if len(group) == 1:
            return NodeProcess("agencies.cli", ["serve", *homes], log)
        return NodeProcess("agencies.fleet", homes, log)
