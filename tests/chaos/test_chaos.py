"""A country of real processes under faults: nothing lost, nothing doubled, all books equal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e

SEED = 20190312
EMBEDDED = ("axis_kill", "agency_kill", "axis_stop", "agency_stop", "link_cut", "link_delay")
CLUSTER = ("nats_kill", "axis_kill")


@pytest.mark.parametrize(
    ("engine", "seconds", "kinds"), [("embedded", 40, EMBEDDED), ("cluster", 60, CLUSTER)]
)
def test_a_seeded_run_loses_nothing(engine: str, seconds: int, kinds: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bench.chaos", "--engine", engine, "--seconds", str(seconds)]
    done = subprocess.run(
        [*command, "--seed", str(SEED), "--kinds", ",".join(kinds)],
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    print(done.stderr)  # the seed and the plan
    report = json.loads(done.stdout)
    assert "problems" not in report
    assert done.returncode == 0
    assert report["audits_equal"]
    assert (report["lost"], report["duplicated"]) == (0, 0)
    assert set(report["faults"]) <= set(kinds)
    assert len(report["faults"]) >= min(4, len(kinds))
    assert all(report["faults"].values())
    assert report["documents"] >= 60
    assert report["deliveries"] > report["documents"]
    assert 0 < report["longest_outage_seconds"] < seconds
