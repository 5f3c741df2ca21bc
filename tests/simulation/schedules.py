"""One schedule: a country, people who use it, faults by a plan, and the count at the end."""

from __future__ import annotations

import asyncio
import gc
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import structlog

from tests.simulation import invariants
from tests.simulation.chance import Chance
from tests.simulation.country import CLOSED, Country
from tests.simulation.loop import run
from tests.simulation.template import DECIDES, HOSTED, NODES, Template

__all__ = ["few_words", "memory_folder", "portion", "simulate"]

#: Seconds after which nothing fails any more.
OVER = 30.0
#: Of this many schedules one has its journal in a file, and is audited.
AUDITED = 25
#: Of this many one has an axis of two nodes.
CLUSTERED = 4
#: Of this many one loses its newest frames.
RESTORED = 6
#: Of this many one lasts for days, mostly a month.
MONTHS = 3


def simulate(
    template: Template,
    folder: Path,
    plan: Any,
    seed: int,
    documents: int = 2,
    *,
    lose: bool = False,
) -> None:
    """One schedule in a folder of its own; AssertionError says how to run it again.

    `lose`: one agency's machine is lost, and a copy takes its place.
    """
    folder.mkdir()
    audited = not isinstance(plan, Chance) or seed % AUDITED == 0
    country = Country(template, folder, plan, seed, sqlite=audited, clustered=seed % CLUSTERED == 1)

    async def main() -> None:
        try:
            await _day(country, documents, lose=lose)
            if lose:
                invariants.forget_what_was_lost(country)
                invariants.check_own_volumes(country)
            invariants.check(country, audited=audited)
        finally:
            await country.stop()

    try:
        # Ids are drawn from the seed too, or no run would be like the other.
        with mock.patch.object(secrets, "token_bytes", Random(seed).randbytes):
            run(main())
    except BaseException as error:
        faults = "\n".join(getattr(plan, "faults", [str(plan)]))
        raise AssertionError(
            f"SIMULATION_SEED={seed}: {error!r} {country.why}\ninjected:\n{faults}"
        ) from error
    finally:
        shutil.rmtree(folder)


async def _day(country: Country, documents: int, *, lose: bool) -> None:
    """Documents handed in during the first twenty seconds, while others decide, answer and operate."""
    await country.start()
    clerk = asyncio.create_task(country.decide())
    work = [_send(country, number) for number in range(documents)]
    work += [_answer(country), _requeue(country), _suspend(country), _close(country)]
    if country.seed % MONTHS == 2 and not lose:
        work.append(_wait(country))
    if lose:
        work.append(_lose(country))
    elif country.seed % RESTORED == 4 and not country.sqlite and not country.clustered:
        work.append(_restore(country))
    await asyncio.gather(*work)
    await asyncio.sleep(max(0.0, OVER - asyncio.get_running_loop().time()))
    if country.older:
        await country.review()
    await country.quiet()
    clerk.cancel()


async def _send(country: Country, number: int) -> None:
    chance = country.random
    sender, size = chance.choice(NODES), chance.choice((10, 3000, 3000, 70_000))
    await asyncio.sleep(chance.uniform(0, 20))
    others = [code for code in (*NODES, *HOSTED) if code != sender]
    to = tuple(chance.sample(others, chance.choice((1, 2, 2))))
    files = tuple(bytes([number, n]) * size for n in range(chance.choice((0, 1, 2))))
    await country.send(sender, to, files, priority=chance.choice((0, 0, 1)))


async def _answer(country: Country) -> None:
    """A status about something that came."""
    code = country.random.choice(NODES)
    await asyncio.sleep(country.random.uniform(15, 25))
    node = country.agencies[code].node
    rows = node.store.rows("SELECT document_id FROM received WHERE kind = 'document'") if node else []
    if rows:
        await country.say(code, country.random.choice([row["document_id"] for row in rows]))


async def _requeue(country: Country) -> None:
    """The operator sends a refused document once more."""
    await asyncio.sleep(country.random.uniform(20, 30))
    for document_id in list(country.files):
        if country.random.random() < 0.5:
            await country.operate("requeue", document_id, DECIDES)


async def _suspend(country: Country) -> None:
    """A unit is suspended for a while; another one is registered below it."""
    chance = country.random
    code, suspends = chance.choice((*NODES, *HOSTED)), chance.random() < 0.3
    await asyncio.sleep(chance.uniform(0, 15))
    await country.operate("add", "G14.02", "Unit", "G14")
    if suspends:
        country.suspended = True
        await country.operate("suspend", code)
        await asyncio.sleep(chance.uniform(1, 15))
        await country.operate("resume", code)


async def _close(country: Country) -> None:
    """The operator gives a delivery up that may be in flight."""
    await asyncio.sleep(country.random.uniform(5, 25))
    for document_id in list(country.files)[:1]:
        await country.operate("close", document_id, DECIDES, CLOSED)


async def _wait(country: Country) -> None:
    """Deadlines pass: of the day, of deliveries, and of documents that their node could not send."""
    chance = country.random
    await asyncio.sleep(chance.uniform(2, 25))
    await country.days_pass(chance.choice((0.7, 29.9995, 30.0, 31.0, 45.0)), chance.choice(NODES))


async def _lose(country: Country) -> None:
    """An agency's machine burns down; its home was copied a while before."""
    chance = country.random
    agency = country.agencies[chance.choice(NODES)]
    await asyncio.sleep(chance.uniform(1, 15))
    agency.copy()
    await asyncio.sleep(chance.uniform(1, 15))
    agency.lose()
    await country.send_again(agency.code)


async def _restore(country: Country) -> None:
    """The axis comes back from an older copy, and its nodes offer again what that lacks."""
    await asyncio.sleep(country.random.uniform(1, 20))
    await country.restored()


@contextmanager
def few_words() -> Iterator[None]:
    """Thousands of schedules: only what is critical is logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory, where the machine has one for that: simulated disks are not this test's disk."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=shared if shared.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def portion(seeds: Sequence[int]) -> list[str]:
    """Run these seeds in a process of its own; what failed, in words."""
    sys.settrace(None)
    failed = []
    with memory_folder() as folder, few_words():
        (folder / "template").mkdir()
        template = Template.make(folder / "template")
        # What is loaded stays: looking through it for garbage again and again took a tenth of the time.
        gc.freeze()
        gc.set_threshold(20_000)
        for seed in seeds:
            try:
                simulate(template, folder / f"seed-{seed}", Chance(seed, OVER), seed)
            except AssertionError as error:
                failed.append(str(error))
    return failed
