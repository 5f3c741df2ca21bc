"""`python -m bench.scale`: what a document costs each process of an axis on a cluster. See docs/scale.md.

Three NATS servers, two axis nodes and the agencies, each a process of its own, started as a person would.
First nothing is sent for a while, then documents with a PDF each at a steady rate, until every receipt is
back.

- CPU: user and system time of each process, all threads (/proc/PID/stat), less the idle period's share.
- Stored: growth of the files; of SQLite files the pages in use once the WAL is folded in.
- Written: bytes that a process caused to be written to disks (/proc/PID/io), every copy and rewrite included.
- Network: TCP payload by kind of connection (`bench.wire`). As root the run has a loopback of its own, and
  `counted_of_loopback` says how much of everything on it, headers included, these connections explain.

Everything printed was measured. Agencies stand for machines of their own and share this one's cores with the
rest, so rates say nothing of capacity; CPU time, bytes and their ratios do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from axis import control
from axis.demo.traffic import Traffic
from axis.demo.units import demo_units
from axis.readonly import open_readonly
from bench.chaos.country import Country
from bench.chaos.engine import AXIS_NODES, NATS_SERVERS, Clustered
from bench.chaos.plan import Layout
from bench.costs import Costs, Reading, costs
from bench.measure import file_bytes, own_usage, written_bytes
from bench.nats import SERVERS, NatsCluster
from bench.wire import Wire, loopback_bytes, own_network

__all__ = ["main"]

MOST_AGENCIES: Final = 8
_AGENCIES: Final = "agencies"
_LOOK_SECONDS: Final = 0.5
_SETTLE_SECONDS: Final = 180.0
_ANSWER_SECONDS: Final = 10.0
_WARM_DOCUMENTS: Final = 40
#: An agency's gauges that are 0 once nothing of its own is under way.
_OPEN: Final = ("agency_outbox_queued", "agency_deliveries_in_flight", "agency_receipts_queued")


class NotSettled(Exception):
    """Not every receipt came back in time."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Every process by its kind, with the folder that it keeps."""

    country: Country
    servers: NatsCluster
    wire: Wire
    alone: bool

    def processes(self) -> list[tuple[str, int, Path]]:
        """(kind, pid, folder): the agencies are one kind."""
        axes = [(name, part.process.pid, part.home) for name, part in self.country.axes.items()]
        agencies = [(_AGENCIES, part.process.pid, part.home) for part in self.country.agencies.values()]
        numbers = range(1, SERVERS + 1)
        servers = [(f"nats-{n}", self.servers.process(n).pid, self.servers.store(n)) for n in numbers]
        return [*axes, *agencies, *servers]

    def read(self) -> Reading:
        """Every counter now."""
        self.wire.look()
        cpu, written = dict[str, float](), dict[str, int]()
        stored = dict[str, dict[str, int]]()
        for kind, pid, folder in self.processes():
            cpu[kind] = cpu.get(kind, 0.0) + own_usage(pid).cpu_seconds
            written[kind] = written.get(kind, 0) + written_bytes(pid)
            kept = stored.setdefault(kind, {})
            for what, count in _kept(folder).items():
                kept[what] = kept.get(what, 0) + count
        at = asyncio.get_running_loop().time()
        loopback = loopback_bytes() if self.alone else None
        _, frames, records = _head(self.country)
        return Reading(at, cpu, written, stored, self.wire.totals, loopback, frames, records)

    async def until(self, at: float) -> None:
        """Look at the connections often, up to a time of the event loop."""
        loop = asyncio.get_running_loop()
        while (left := at - loop.time()) > 0:
            await asyncio.to_thread(self.wire.look)
            await asyncio.sleep(min(left, _LOOK_SECONDS))


async def measure(
    folder: Path,
    rate: float,
    seconds: float,
    idle_seconds: float,
    agencies: int,
    *,
    spread: bool,
    alone: bool,
) -> Costs:
    """Run it. Everything started is ended before this returns. NotSettled, StartFailed, TimeoutError.

    `alone`: this process has a network of its own.
    """
    codes = tuple(unit.code for unit in demo_units(agencies))
    layout = Layout("cluster", AXIS_NODES["cluster"], codes, NATS_SERVERS["cluster"], (), (), ())
    engine = Clustered(folder / "nats", linked=False)
    country = Country(folder, engine, layout, spread=spread)
    assert engine.servers is not None
    try:
        _say(f"starting {SERVERS} NATS servers, {len(layout.axes)} axis nodes, {agencies} agencies")
        await country.start()
        parts = _Parts(country, engine.servers, Wire(_kinds(country, engine.servers)), alone)
        return await _run(parts, rate, seconds, idle_seconds) | {
            "agencies": agencies,
            "spread": spread,
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
        }
    finally:
        await country.stop()


async def _run(parts: _Parts, rate: float, seconds: float, idle_seconds: float) -> Costs:
    loop = asyncio.get_running_loop()
    async with Traffic(parts.country.nodes, 1, patience=30.0) as traffic:
        async for _ in traffic.stream(_WARM_DOCUMENTS, rate):
            pass
        await _quiet(parts)
        _say(f"nothing is sent for {idle_seconds:g} s")
        idle_before = parts.read()
        await parts.until(loop.time() + idle_seconds)
        idle_after = parts.read()
        _say(f"{rate:g} documents a second for {seconds:g} s")
        warm = len(traffic.sent)
        before = parts.read()
        looking = asyncio.create_task(parts.until(loop.time() + seconds + _SETTLE_SECONDS))
        async for _ in traffic.stream(round(rate * seconds), rate):
            pass
        await _quiet(parts)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        after = parts.read()
        memory = {kind: own_usage(pid).rss_mib for kind, pid, _ in parts.processes()}  # of one agency
        sent = traffic.sent[warm:]
        if not await traffic.settle(sent, _SETTLE_SECONDS, lambda count: None):
            raise NotSettled("a document has no outcome")
    leader = await _leader(parts)
    return costs((idle_before, idle_after), (before, after), len(sent)) | {
        "deliveries": sum(len(each.recipients) for each in sent),
        "not_delivered": sum(each.state != "delivered" for each in sent),
        "connections": parts.wire.connections,
        "rss_mib": {kind: round(mib, 1) for kind, mib in memory.items()},
        "journal_leader": leader,
    }


async def _quiet(parts: _Parts) -> None:
    """Wait until no agency has anything under way and the axis nodes, with their views, stand at one head."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        for node in parts.country.nodes:
            # Each agency once, in turn: asking for every document would be work of its own.
            while await asyncio.to_thread(_under_way, node.api_url.rpartition(":")[2]):  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(_LOOK_SECONDS)
        await parts.country.at_one_head()
        for part in parts.country.axes.values():
            await control.call(part.home, "views.sync", {}, timeout=_SETTLE_SECONDS)


def _under_way(port: str) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_ANSWER_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    return any(float(line.split()[1]) for line in lines if line.startswith(_OPEN))


async def _leader(parts: _Parts) -> str:
    """The server that leads the journal's stream at the end."""
    cluster = await parts.servers.connect("bench")
    try:
        state = await cluster.stream(f"journal-{_head(parts.country)[0]}")
    finally:
        await cluster.close()
    return "" if state is None else state.leader


def _head(country: Country) -> tuple[str, int, int]:
    """(journal, frames, records) of the first axis node."""
    home = next(iter(country.axes.values())).home
    with closing(open_readonly(home / "journal.sqlite", timeout=10)) as file:
        row = file.execute("SELECT journal_id, number, sequence FROM journal, head").fetchone()
    return str(row[0]), int(row[1]), int(row[2])


def _kinds(country: Country, servers: NatsCluster) -> dict[int, str]:
    """Who talks to whom over connections to a port."""
    apis = [int(agency.api_url.rpartition(":")[2]) for agency in country.nodes]
    return (
        dict.fromkeys(country.ports.values(), "agencies-axis")
        | dict.fromkeys(servers.client_ports, "axis-nats")
        | dict.fromkeys(servers.route_ports, "nats-nats")
        | dict.fromkeys(apis, "software-agency")
    )


def _kept(folder: Path) -> dict[str, int]:
    """Bytes below a folder by what they are: the first name below a home, the stream's in a NATS store."""
    kept: dict[str, int] = {}
    for path in folder.rglob("*"):
        names = path.relative_to(folder).parts
        what = names[0]
        if what == "jetstream":
            # jetstream/ACCOUNT/streams/journal-… ; beside streams, the servers' own log of what they agree on
            what = (
                names[3].partition("-")[0] if names[2:3] == ("streams",) and len(names) > 3 else "consensus"
            )
        kept[what] = kept.get(what, 0) + file_bytes(path)
    return kept


def _print(found: dict[str, Any]) -> None:
    print("{documents} documents, {deliveries} deliveries, {documents_per_second}/s".format(**found))
    print("{frames_per_document} frames and {records_per_document} records a document".format(**found))
    for name, each in found["processes"].items():
        print(
            f"{name}: CPU {each['cpu_ms_per_document']} ms a document,"
            f" idle {each['idle_cpu_ms_per_second']} ms/s; written {each['written_bytes_per_document']} B;"
            f" stored {each['stored_bytes_per_document']}"
        )
    for kind, each in found["wire"].items():
        print(f"{kind}: {each['bytes_per_document']} B a document, idle {each['idle_bytes_per_second']} B/s")
    if share := found.get("counted_of_loopback"):
        print(f"these are {share:.1%} of all bytes on the loopback, headers included")
    print("journal led by {journal_leader}; {not_delivered} not delivered".format(**found))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=8.0, help="documents a second")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--agencies", type=int, default=6, choices=range(2, MOST_AGENCIES + 1))
    parser.add_argument("--spread", action="store_true", help="agencies use both axis nodes, not the first")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    alone = own_network()
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        run = measure(
            Path(folder),
            asked.rate,
            asked.seconds,
            asked.idle,
            asked.agencies,
            spread=asked.spread,
            alone=alone,
        )
        found = asyncio.run(run)
    if asked.json:
        print(json.dumps(found))
    else:
        _print(found)
    return 1 if found["not_delivered"] else 0


if __name__ == "__main__":
    sys.exit(main())
