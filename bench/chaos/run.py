"""One run: start the country, offer load, follow the plan, let everything settle, compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axis.demo.processes import StartFailed
from bench.chaos import check
from bench.chaos.country import Country
from bench.chaos.engine import engine_of
from bench.chaos.faults import FAULTS
from bench.chaos.load import Load
from bench.chaos.plan import Layout, NotInjected, Step
from bench.chaos.report import ChaosReport

__all__ = ["RunSettings", "run_chaos"]

_FINISH_SECONDS: Final = 90.0
_SETTLE_SECONDS: Final = 240.0
_CHECKED_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`rate`: documents a second. The plan's faults need mounts or faketime only where it has such kinds."""

    folder: Path
    layout: Layout
    plan: Sequence[Step]
    seed: int
    seconds: float
    rate: float = 4.0

    @property
    def volume_mebibytes(self) -> int:
        """Room for the whole run's documents; 0 where no volume is filled."""
        filled = any(FAULTS[step.kind].needs == "root" for step in self.plan)
        return int(96 + self.seconds / 2) if filled else 0


async def run_chaos(settings: RunSettings, say: Callable[[str], None]) -> ChaosReport:
    """Run it. Everything started is ended before this returns. MountDenied, StartFailed."""
    report = ChaosReport(faults=dict.fromkeys((step.kind for step in settings.plan), 0))
    country = Country(
        settings.folder,
        engine_of(settings.layout.engine, settings.folder),
        settings.layout,
        volume_mebibytes=settings.volume_mebibytes,
        say=say,
    )
    try:
        try:
            await country.start()
            say("the country runs")
            load = await _under_load(settings, country, report, say)
            await _compare(country, load, report, say)
            await country.stop_nodes()
            # While the cluster answers: it holds the attachments that another node took.
            unequal = await check.audited({name: part.home for name, part in country.axes.items()})
        finally:
            await country.stop()
    finally:
        country.unmount()
    report.problems += unequal
    report.audits_equal = report.audits_equal and not unequal
    return report


async def _under_load(
    settings: RunSettings, country: Country, report: ChaosReport, say: Callable[[str], None]
) -> Load:
    load = Load(country.nodes, settings.seed, settings.rate)
    offering = asyncio.create_task(load.run())
    watching = asyncio.create_task(_watch(country, report))
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        for step in settings.plan:
            await asyncio.sleep(began + step.at - loop.time())
            await _do(country, step, report, say)
            if offering.done():
                break
        await asyncio.sleep(began + settings.seconds - loop.time())
        load.end()
        await asyncio.wait_for(offering, _FINISH_SECONDS)
    finally:
        offering.cancel()
        watching.cancel()
        await asyncio.gather(offering, watching, return_exceptions=True)
    return load


async def _do(country: Country, step: Step, report: ChaosReport, say: Callable[[str], None]) -> None:
    """One fault, and its end. What goes wrong with it is a problem of the run, not its end."""
    fault = FAULTS[step.kind]
    say(str(step))
    try:
        try:
            await fault.inject(country, step)
            report.faults[step.kind] += 1
            await asyncio.sleep(step.hold)
        finally:
            await fault.heal(country, step)
    except (NotInjected, StartFailed, TimeoutError, OSError) as error:
        report.problems.append(
            f"step {step.number}, {step.kind} {step.target}: {error or type(error).__name__}"
        )
        say(report.problems[-1])


async def _watch(country: Country, report: ChaosReport) -> None:
    """Notice nodes that end though no fault ended them; start them again, as their service manager would."""
    while True:
        for part in country.parts.values():
            if part.ended_by_itself and part.name not in country.volumes:
                report.problems.append(f"{part.name} ended by itself")
                await part.process.stop()
                await part.start()
        await asyncio.sleep(_CHECKED_SECONDS)


async def _compare(country: Country, load: Load, report: ChaosReport, say: Callable[[str], None]) -> None:
    say(f"{len(load.letters)} documents sent; waiting for every outcome")
    if not await load.settle(_SETTLE_SECONDS):
        report.problems.append(f"not settled after {_SETTLE_SECONDS:g} s")
    say("comparing inboxes, files and books")
    report.documents = len(load.letters)
    report.deliveries = sum(len(letter.recipients) for letter in load.letters)
    report.lost, report.duplicated, problems = await check.deliveries_right(load)
    report.problems += load.problems + problems
    home = next(iter(country.axes.values())).home
    differences = await check.volumes_right(load, home)
    report.longest_outage_seconds = round(await check.longest_outage(load, home), 3)
    report.problems += differences
    report.audits_equal = not differences
