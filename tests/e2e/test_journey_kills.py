"""Nodes killed at random moments under load: nothing lost, nothing doubled, all books equal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.chaos import run_chaos

pytestmark = pytest.mark.e2e

SEED = 20190312
KINDS = ["axis_killed", "agency_killed", "axis_and_agency_killed"]


def test_five_kills_lose_nothing(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    report = asyncio.run(run_chaos(tmp_path / "axis", seed=SEED, kinds=KINDS, rounds=5, say=print))
    assert report.problems == []
    assert (report.lost, report.duplicated) == (0, 0)
    assert report.audits_equal
    assert sum(report.faults.values()) == 5
    assert report.documents >= 20
