"""Seeded schedules of faults against the whole journey. SIMULATION_SEED=n runs one of them alone."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from axispb.v1 import api_pb2

from agencies.receiver import Receiver
from agencies.store import set_setting
from tests.simulation import invariants
from tests.simulation.chance import Calm, Chance, CrashAt
from tests.simulation.country import Country
from tests.simulation.loop import run
from tests.simulation.template import HOSTED, NODES, Template

OVER = 30.0


async def journey(country: Country, documents: int, spread: float) -> None:
    """So many documents, handed in within `spread` seconds; then rest, and the count."""
    await country.start()
    clerk = asyncio.create_task(country.decide())
    chance = country.random

    async def one(number: int) -> None:
        await asyncio.sleep(chance.uniform(0, spread))
        sender = chance.choice(NODES)
        others = [code for code in (*NODES, *HOSTED) if code != sender]
        to = tuple(chance.sample(others, chance.choice((1, 2, 2))))
        files = tuple(bytes([number]) * chance.choice((10, 3000)) for _ in range(chance.choice((0, 1, 2))))
        await country.send(sender, to, files, priority=chance.choice((0, 0, 1)))

    await asyncio.gather(*(one(number) for number in range(documents)))
    await asyncio.sleep(max(0.0, getattr(country.plan, "over", 0.0) - asyncio.get_running_loop().time()))
    await country.quiet()
    invariants.check(country)
    clerk.cancel()


def simulate(template: Template, folder: Path, plan: Any, seed: int, documents: int = 4) -> None:
    """One schedule in a folder of its own; what fails says how to run it again."""
    folder.mkdir()
    country = Country(template, folder, plan, seed)

    async def main() -> None:
        try:
            await journey(country, documents, OVER / 3)
        finally:
            country.stop()

    try:
        run(main())
    except BaseException as error:
        faults = "\n".join(getattr(plan, "faults", [str(plan)]))
        raise AssertionError(
            f"SIMULATION_SEED={seed}: {error!r} ({country.why})\ninjected:\n{faults}"
        ) from error
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def few_words() -> Iterator[None]:
    """Thousands of schedules: only what is critical is printed."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


def test_a_calm_day(template: Template, memory: Path) -> None:
    simulate(template, memory / "calm", Calm(), 1)


COUNT = int(os.environ.get("SIMULATION_COUNT", "2000"))
PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_schedules(template: Template, memory: Path, part: int) -> None:
    """Every fault there is, at random: 2,000 schedules in twenty portions."""
    given = os.environ.get("SIMULATION_SEED")
    if given is not None:
        seeds = range(int(given), int(given) + 1) if part == 0 else range(0)
    else:
        seeds = range(part * COUNT // PARTS, (part + 1) * COUNT // PARTS)
    for seed in seeds:
        simulate(template, memory / f"seed-{seed}", Chance(seed, OVER), seed)


@pytest.mark.parametrize("host", ["axis", "G22", "G14", "H26"])
def test_a_crash_at_every_point(template: Template, memory: Path, host: str) -> None:
    """Before and after every port call of the journey of one document, on every machine."""
    places = set()
    number = 0
    while True:
        number += 1
        plan = CrashAt(host, number)
        simulate(template, memory / f"{host}-{number}", plan, seed=3, documents=2)
        if not plan.where:
            break
        places.add(plan.where)
    assert number > 10
    if host == "axis":
        assert {"journal.append: before", "journal.append: after"} <= places
    else:
        assert {"store.commit: before", "store.commit: after"} <= places


def test_a_cursor_stored_before_its_page_is_found_out(
    template: Template, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness sees a defect that only a crash between two commits shows."""
    take = Receiver.take

    async def careless(self: Receiver, page: api_pb2.FeedPage, asked_in: str) -> None:
        def ahead(connection: Any) -> None:
            set_setting(connection, "urgent_after", str(page.urgent_next))
            set_setting(connection, "normal_after", str(page.normal_next))

        await self._store.write(ahead)
        await take(self, page, asked_in)

    monkeypatch.setattr(Receiver, "take", careless)

    def one_crash_after_the_other() -> None:
        for number in range(1, 100):
            simulate(template, memory / f"careless-{number}", CrashAt("G14", number), seed=3, documents=2)

    with pytest.raises(AssertionError, match="in flight"):
        one_crash_after_the_other()
