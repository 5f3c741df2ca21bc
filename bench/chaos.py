"""Fault runs: kill, stop and pause the nodes of a local axis under load, then count what was lost.

    python -m bench.chaos --seconds 120 --seed 1

Every fault is drawn from the seed, which is printed. The run ends with one JSON line; exit status 1 if
anything was lost or doubled, if the axis's and the agencies' books differ, or if a planned fault was never
injected.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from axis.demo.launch import LocalAxis
from axis.demo.processes import NodeProcess
from axis.demo.traffic import Traffic
from axis.demo.units import demo_units
from bench.books import audit_clean, books_equal, misdelivered

__all__ = ["ChaosReport", "run_chaos"]

IN_FLIGHT: Final = 20
_PATIENCE: Final = 90.0


@dataclass(slots=True)
class ChaosReport:
    """The contract's last line of `make chaos`."""

    documents: int = 0
    deliveries: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    longest_outage_seconds: float = 0.0
    audits_equal: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing doubled, all books equal, every planned fault injected."""
        return (
            not (self.lost or self.duplicated or self.problems)
            and self.audits_equal
            and all(self.faults.values())
        )

    def as_json(self) -> dict[str, object]:
        """The fields of the contract; problems only where there are some."""
        shape = {name: getattr(self, name) for name in self.__slots__}
        if not self.problems:
            del shape["problems"]
        return shape


class _Faults:
    """What can go wrong, each under the name that the report counts it by."""

    def __init__(self, local: LocalAxis, rng: random.Random) -> None:
        self._local = local
        self._rng = rng
        self.kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "axis_killed": lambda: self._killed(local.axis),
            "agency_killed": lambda: self._killed(self._any_agency()),
            "axis_terminated": lambda: self._terminated(local.axis),
            "agency_terminated": lambda: self._terminated(self._any_agency()),
            "axis_paused": lambda: self._paused(local.axis),
            "agency_paused": lambda: self._paused(self._any_agency()),
            "axis_and_agency_killed": lambda: self._killed(local.axis, self._any_agency()),
            "all_killed": lambda: self._killed(local.axis, *local.nodes),
        }

    def _any_agency(self) -> NodeProcess:
        return self._rng.choice(self._local.nodes)

    async def _killed(self, *nodes: NodeProcess) -> None:
        for node in nodes:
            await node.kill()
        await asyncio.sleep(self._rng.uniform(0.0, 1.5))
        # The agencies may come back before the axis: they must live with that.
        await asyncio.gather(*(node.start(90.0) for node in nodes))

    async def _terminated(self, node: NodeProcess) -> None:
        await node.stop()
        await node.start(90.0)

    async def _paused(self, node: NodeProcess) -> None:
        os.kill(node.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._rng.uniform(0.5, 3.0))
        finally:
            os.kill(node.pid, signal.SIGCONT)


async def run_chaos(
    home: Path,
    *,
    seed: int,
    seconds: float = 0.0,
    kinds: list[str] | None = None,
    rounds: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> ChaosReport:
    """Run `rounds` faults of `kinds`, or faults of every kind for `seconds`, under constant load.

    At least 20 documents are in flight when a fault comes.
    """
    rng = random.Random(seed)
    local = LocalAxis(home, say)
    report = ChaosReport()
    try:
        await local.start(demo_units(6), listen="127.0.0.1:0", console="127.0.0.1:0")
        faults = _Faults(local, rng)
        chosen = kinds or list(faults.kinds)
        report.faults = dict.fromkeys(chosen, 0)
        async with Traffic(local.agencies, seed, patience=_PATIENCE) as traffic:
            enough = asyncio.Event()
            load = asyncio.create_task(_load(traffic, enough))
            outage = _Outage(traffic)
            watch = asyncio.create_task(outage.watch())
            await _inject(faults, chosen, report, traffic, rng, seconds, rounds, say, load)
            # Not cancelled: a post cut off in the middle may have been taken without our being told.
            enough.set()
            await asyncio.wait_for(load, 2 * _PATIENCE)
            say(f"{len(traffic.sent)} documents sent; waiting for every outcome")
            await traffic.settle(traffic.sent, 180.0, lambda count: None)
            await _end(watch)
            report.longest_outage_seconds = round(outage.longest, 3)
            await _count(report, local, traffic)
    finally:
        await local.stop()
    clean = await audit_clean(home)
    report.problems += clean
    report.audits_equal = report.audits_equal and not clean
    return report


async def _load(traffic: Traffic, enough: asyncio.Event) -> None:
    """Keep more than 20 documents in flight, and no more than 60."""
    while not enough.is_set():
        open_ones = [each for each in traffic.sent if each.open]
        if len(open_ones) < 3 * IN_FLIGHT:
            await traffic.send_one()
        else:
            await asyncio.gather(*(traffic.refresh(each) for each in open_ones))
            await asyncio.sleep(0.1)


class _Outage:
    """The longest time in which documents were open and none got its last receipt."""

    def __init__(self, traffic: Traffic) -> None:
        self.longest = 0.0
        self._traffic = traffic

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        settled, since = 0, loop.time()
        while True:
            now_settled = sum(not each.open for each in self._traffic.sent)
            if now_settled != settled or len(self._traffic.sent) == now_settled:
                settled, since = now_settled, loop.time()
            self.longest = max(self.longest, loop.time() - since)
            await asyncio.sleep(0.1)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _inject(
    faults: _Faults,
    chosen: list[str],
    report: ChaosReport,
    traffic: Traffic,
    rng: random.Random,
    seconds: float,
    rounds: int,
    say: Callable[[str], None],
    load: asyncio.Task[None],
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    done = 0
    plan: list[str] = []
    while done < rounds or loop.time() < end:
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        await _until_in_flight(traffic, load)
        if not plan:  # every kind once before any comes again
            plan = rng.sample(chosen, len(chosen))
        kind = plan.pop()
        say(f"fault {done + 1}: {kind}, {sum(each.open for each in traffic.sent)} documents in flight")
        await faults.kinds[kind]()
        report.faults[kind] += 1
        done += 1


async def _until_in_flight(traffic: Traffic, load: asyncio.Task[None]) -> None:
    async with asyncio.timeout(120):
        while sum(each.open for each in traffic.sent) < IN_FLIGHT:
            if load.done():
                load.result()
            await asyncio.sleep(0.05)


async def _count(report: ChaosReport, local: LocalAxis, traffic: Traffic) -> None:
    report.documents = len(traffic.sent)
    report.deliveries = sum(len(each.recipients) for each in traffic.sent)
    report.lost, report.duplicated, problems = await misdelivered(local, traffic)
    report.problems += problems
    differences = await books_equal(local, traffic)
    report.problems += differences
    report.audits_equal = not differences


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=0, help="at least this many faults")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not arguments.rounds:
        arguments.rounds = 8 if arguments.seconds else 20
    print(f"seed {arguments.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="axis-chaos-") as folder:
        report = asyncio.run(
            run_chaos(
                Path(folder) / "axis",
                seed=arguments.seed,
                seconds=arguments.seconds,
                rounds=arguments.rounds,
                say=lambda text: print(text, file=sys.stderr, flush=True),
            )
        )
    for problem in report.problems:
        print(problem, file=sys.stderr)
    print(json.dumps(report.as_json()))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
