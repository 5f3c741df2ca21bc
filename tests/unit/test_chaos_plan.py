"""The chaos plan, without a country: replayable, and complete enough for what is promised."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.chaos.country import layout_of
from bench.chaos.faults import FAULTS, kinds_of
from bench.chaos.plan import Step, make_plan
from bench.chaos.report import ChaosReport

LAYOUT = layout_of("embedded")
SPECS = [FAULTS[kind].spec for kind in kinds_of(LAYOUT)]


def plan(seed: int, seconds: float) -> tuple[Step, ...]:
    return make_plan(LAYOUT, SPECS, seed=seed, seconds=seconds)


def test_same_seed_and_seconds_give_the_same_plan() -> None:
    assert plan(7, 120) == plan(7, 120)
    assert plan(7, 120) != plan(8, 120)


@pytest.mark.parametrize("seed", range(50))
def test_two_minutes_hold_every_kind_of_the_embedded_axis(seed: int) -> None:
    steps = plan(seed, 120)
    assert {step.kind for step in steps} == set(kinds_of(LAYOUT))
    assert len(kinds_of(LAYOUT)) == 8
    for step, following in pairwise(steps):
        assert following.at > step.at + step.hold
    assert steps[-1].at + steps[-1].hold < 120


@pytest.mark.parametrize("seed", range(50))
def test_ten_minutes_hold_every_kind_of_a_cluster(seed: int) -> None:
    layout = layout_of("cluster")
    kinds = kinds_of(layout)
    assert len(kinds) == 17
    long, short = (
        make_plan(layout, [FAULTS[kind].spec for kind in kinds], seed=seed, seconds=seconds)
        for seconds in (600, 120)
    )
    assert {step.kind for step in long} == set(kinds)
    assert len({step.kind for step in short}) >= 8


def test_ten_minutes_hold_every_form_and_target_of_a_cut() -> None:
    cuts = [step for step in plan(1, 600) if step.kind == "link_cut"]
    assert {step.variant for step in cuts} == {"reset", "black_hole"}
    assert {step.target for step in cuts} <= set(LAYOUT.links)


def test_a_planned_kind_that_never_came_fails_the_run() -> None:
    report = ChaosReport(documents=1, faults={"axis_kill": 1, "link_cut": 0}, audits_equal=True)
    assert not report.passed
    report.faults["link_cut"] = 1
    assert report.passed
    report.lost = 1
    assert not report.passed
