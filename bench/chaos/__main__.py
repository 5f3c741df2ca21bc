"""`python -m bench.chaos`: the plan and the progress go to stderr, one JSON line to stdout.

Exit status 0: all well; 1: something was lost, doubled or unequal, or a planned kind was never injected;
2: this machine lacks what the plan needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from axis import logs
from bench.chaos.clocks import FaketimeMissing, faketime_library
from bench.chaos.country import layout_of
from bench.chaos.engine import AXIS_NODES
from bench.chaos.faults import FAULTS, kinds_of
from bench.chaos.plan import Step, make_plan
from bench.chaos.run import RunSettings, run_chaos
from bench.chaos.volumes import MountDenied, own_namespace


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=sorted(AXIS_NODES), default="embedded")
    parser.add_argument("--kinds", default="", help="only these, with commas; default: all")
    parser.add_argument("--rate", type=float, default=4.0, help="documents a second")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    parser.add_argument("--keep", type=Path, help="leave homes and logs in this new folder")
    arguments = parser.parse_args()
    logs.configure(json=False, level=logging.WARNING)  # to stderr: stdout is for the report
    layout = layout_of(arguments.engine)
    kinds = [kind for kind in arguments.kinds.split(",") if kind] or kinds_of(layout)
    if unknown := set(kinds) - set(kinds_of(layout)):
        parser.error(f"no such kind with this engine: {', '.join(sorted(unknown))}")
    specs = [FAULTS[kind].spec for kind in kinds]
    plan = make_plan(layout, specs, seed=arguments.seed, seconds=arguments.seconds)
    _say(f"engine {arguments.engine}, seed {arguments.seed}, {arguments.seconds:g} s; the plan:")
    for step in plan:
        _say(str(step))
    if arguments.plan:
        return 0
    try:
        _prepare(plan)
        with tempfile.TemporaryDirectory(prefix="axis-chaos-") as folder:
            settings = RunSettings(
                arguments.keep or Path(folder),
                layout,
                plan,
                arguments.seed,
                arguments.seconds,
                arguments.rate,
            )
            report = asyncio.run(run_chaos(settings, _say))
    except (MountDenied, FaketimeMissing) as missing:
        _say(str(missing))
        return 2
    for problem in report.problems:
        _say(problem)
    print(json.dumps(report.as_json()))
    return 0 if report.passed else 1


def _prepare(plan: Sequence[Step]) -> None:
    needs = {FAULTS[step.kind].needs for step in plan}
    if "root" in needs:
        own_namespace()
    if "faketime" in needs:
        faketime_library()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
