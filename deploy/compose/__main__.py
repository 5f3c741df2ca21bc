"""`python3 -m deploy.compose check|up|down|env [PROFILE]`. Exit codes: 0 done, 1 it failed."""

from __future__ import annotations

import signal
import sys

from deploy.compose import engine as engines
from deploy.compose.check import check
from deploy.compose.image import build, images_here
from deploy.compose.running import Failed, say
from deploy.compose.stack import PROFILES, Stack

_ALL_SECONDS = 900
#: A project of its own: what a user runs, and its data, is not touched.
_CHECK_PROJECT = "axis-check"


def main(action: str, profile: str) -> None:
    """Do one of the actions. Raises Failed."""
    if profile not in PROFILES:
        raise Failed(f"PROFILE={profile}: one of {', '.join(PROFILES)}")
    # Whatever hangs in spite of the single limits ends here, and is cleared away.
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, _too_long)
    signal.alarm(_ALL_SECONDS)
    if action == "env":
        _env()
    elif action == "up":
        engine = engines.own()
        Stack(engine, profile, build(engine, profile)).up()
    elif action == "down":
        _down(profile)
    else:
        _check(profile)


def _check(profile: str) -> None:
    engine = engines.own()
    try:
        stack = Stack(engine, profile, build(engine, profile), _CHECK_PROJECT)
        stack.down()  # of a run that was cut off
        try:
            stack.up()
            check(stack)
        finally:
            stack.down()
            say("took everything down")
    finally:
        engines.stop(engine)


def _down(profile: str) -> None:
    engine = engines.find()
    if engine is not None:
        Stack(engine, profile).down()
    engines.stop_ours()


def _env() -> None:
    engine = engines.find()
    if engine is None:
        raise Failed("no Docker engine is running: make compose-up")
    print(f"export DOCKER_HOST={engine.host}")
    # Without the same names docker-compose would make every container anew.
    for name, image in images_here(engine).items():
        print(f"export {name}={image}")


def _too_long(number: int, _: object) -> None:
    raise Failed(f"stopped by signal {signal.Signals(number).name}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "default")
    except Failed as error:
        print(f"compose failed: {error}", file=sys.stderr)
        sys.exit(1)
    if sys.argv[1] == "check":
        print("compose: passed", file=sys.stderr)
