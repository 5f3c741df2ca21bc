"""Machines lost for good, and a crash at every point of a small day, one after the other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulation.chance import Calm, Chance, CrashAt
from tests.simulation.schedules import OVER, simulate
from tests.simulation.template import Template

pytestmark = pytest.mark.usefixtures("quietly")


def test_lost_machines(template: Template, memory: Path) -> None:
    """An agency goes on from an older copy of its home: nothing is sent twice, and its volumes are right."""
    for seed in range(int(os.environ.get("SIMULATION_LOST", "15"))):
        plan = Chance(seed, OVER) if seed % 3 else Calm()
        simulate(template, memory / f"lost-{seed}", plan, seed, documents=6, lose=True)


@pytest.mark.parametrize("host", ["axis", "G22", "G14", "H26"])
def test_a_crash_at_every_point(template: Template, memory: Path, host: str) -> None:
    """Before and after every port call of a small day, on every machine."""
    places = set()
    number = 0
    while True:
        number += 1
        plan = CrashAt(host, number)
        simulate(template, memory / f"{host}-{number}", plan, seed=3, documents=2)
        if not plan.where:
            break
        places.add(plan.where)
    port = "journal.append" if host == "axis" else "store.commit"
    assert number > 10
    assert {f"{port}: before", f"{port}: after"} <= places
