"""Seeded schedules of faults against the whole journey. SIMULATION_SEED=n runs one of them alone."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.chance import Calm, Chance
from tests.simulation.schedules import OVER, portion, simulate
from tests.simulation.template import Template

pytestmark = pytest.mark.usefixtures("quietly")

#: Schedules in all, and of one portion.
COUNT = int(os.environ.get("SIMULATION_COUNT", "2000"))
PORTION = 200


def test_a_calm_day(template: Template, memory: Path) -> None:
    simulate(template, memory / "calm", Calm(), 1)


def test_schedules(template: Template, memory: Path) -> None:
    """Every fault there is, at random, in as many processes as the machine has cores."""
    given = os.environ.get("SIMULATION_SEED")
    if given is not None:
        simulate(template, memory / f"seed-{given}", Chance(int(given), OVER), int(given))
        return
    portions = [range(first, min(COUNT, first + PORTION)) for first in range(0, COUNT, PORTION)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
        failed = [words for some in processes.map(portion, portions) for words in some]
    assert not failed, f"{len(failed)} of {COUNT} schedules failed:\n" + "\n".join(failed[:5])


def test_a_schedule_is_the_same_each_time(template: Template, memory: Path) -> None:
    """The same seed injects the same faults at the same moments: what failed once can be looked at."""
    plans = [Chance(17, OVER), Chance(17, OVER)]
    for number, plan in enumerate(plans):
        simulate(template, memory / f"again-{number}", plan, 17)
    assert plans[0].faults == plans[1].faults
    assert len(plans[0].faults) > 3
