"""Commands and calls with a limit, and what is said meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Failed", "fetch", "run", "say"]

_BEGAN = time.monotonic()


class Failed(Exception):
    """The check cannot go on; the message says why."""


def say(text: str) -> None:
    """One line for a person, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN:5.1f} s] {text}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str], timeout: float, *, env: Mapping[str, str] | None = None, stdin: bytes = b""
) -> bytes:
    """What a command wrote to standard output. Failed when it fails, or takes more than `timeout` seconds."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)}: not done in {timeout:g} s") from error
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not installed") from error
    if done.returncode:
        tail = (done.stderr + done.stdout).decode(errors="replace").strip()[-2000:]
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{tail}")
    return done.stdout


def fetch(url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Any:
    """The JSON that an address answers; a POST where there is a body. Failed when it does not answer 200."""
    request = urllib.request.Request(url, body, dict(headers or {}))  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return json.load(answer)
    except (OSError, ValueError) as error:
        raise Failed(f"{url}: {error}") from error
