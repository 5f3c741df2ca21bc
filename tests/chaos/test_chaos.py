"""A country of real processes under faults: nothing lost, nothing doubled, all books equal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e

SEED = 20190312
KINDS = ("axis_kill", "agency_kill", "axis_stop", "agency_stop", "link_cut", "link_delay")


def test_a_seeded_run_loses_nothing() -> None:
    command = [sys.executable, "-m", "bench.chaos", "--seconds", "40", "--seed", str(SEED)]
    done = subprocess.run(
        [*command, "--kinds", ",".join(KINDS)], capture_output=True, text=True, timeout=420, check=False
    )
    print(done.stderr)  # the seed and the plan
    report = json.loads(done.stdout)
    assert "problems" not in report
    assert done.returncode == 0
    assert report["audits_equal"]
    assert (report["lost"], report["duplicated"]) == (0, 0)
    assert set(report["faults"]) <= set(KINDS)
    assert len(report["faults"]) >= 4
    assert all(report["faults"].values())
    assert report["documents"] >= 60
    assert report["deliveries"] > report["documents"]
    assert 0 < report["longest_outage_seconds"] < 40
