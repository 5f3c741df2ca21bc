"""The `axis` command line, in the test's own process."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from axis.cli import main

__all__ = ["Done", "answer", "axis"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def axis(*arguments: object) -> Done:
    """The whole command line. Not in an event loop's thread: commands have their own."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(sys, "argv", ["axis", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
    return Done(status, stdout.getvalue(), stderr.getvalue())


def answer(*arguments: object) -> Any:
    """What a command that succeeds says as JSON."""
    done = axis(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
