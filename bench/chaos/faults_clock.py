"""clock_jump: one process with a wrong clock, hours ahead or behind, and what it must do about that.

An axis must refuse work by a clock that it cannot believe: its `/readyz` must say so within the limit below.
It can know that its clock is behind from its journal, at any time (or does not get as far as that, where its
clock is before the certificates of its cluster), and that it has run ahead from its timer, while it runs: so
it is started with a wrong clock for the one, and its clock is set wrong for the other.

An agency has nobody to compare with but the axis. Behind, it takes the axis's certificate for not yet valid
and waits. What it would sign *ahead* the axis takes only when its time has come (`created_in_future`), so
ahead means here: within what the axis allows, and hours ahead only for the axis.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from axis.demo.processes import StartFailed
from bench.chaos.clocks import WrongClock
from bench.chaos.country import Country
from bench.chaos.plan import Step

__all__ = ["jump", "set_right"]

_NOTICED_SECONDS: Final = 30.0
_ALLOWED_AHEAD_HOURS: Final = 4 / 60  # the axis takes what was made up to 5 minutes in its future


async def jump(country: Country, step: Step) -> None:
    """Give the process a wrong clock. TimeoutError where an axis goes on believing it."""
    part = country.parts[step.target]
    clock = WrongClock(country.folder / "clocks" / step.target)
    axis = step.target in country.axes
    hours = step.amount if step.variant == "ahead" else -step.amount
    if not axis:
        hours = min(hours, _ALLOWED_AHEAD_HOURS)
    runs_ahead = axis and step.variant == "ahead"
    clock.shift(0.0 if runs_ahead else hours)
    await part.kill()
    try:
        await part.start(clock.environment)
    except StartFailed as failed:
        # By its clock the cluster's certificates, as old as the run, do not count yet: it serves nobody.
        if not axis or runs_ahead or "certificate is not yet valid" not in str(failed):
            raise
        country.say(f"{step.target} does not start by this clock: the cluster's certificates are of later")
        return
    if runs_ahead:
        clock.shift(hours)
    if axis:
        await asyncio.wait_for(_ready_is(False, country.consoles[step.target]), _NOTICED_SECONDS)


async def set_right(country: Country, step: Step) -> None:
    """The right clock again: what runs ahead is set back as it runs, what began wrong is started anew."""
    part = country.parts[step.target]
    axis = step.target in country.axes
    if axis and step.variant == "ahead" and part.process.running:
        WrongClock(country.folder / "clocks" / step.target).shift(0.0)
        await asyncio.wait_for(_ready_is(True, country.consoles[step.target]), _NOTICED_SECONDS)
        return
    await part.kill()
    await part.start()


async def _ready_is(wanted: bool, console: str) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            try:
                async with session.get(f"{console}/readyz") as response:
                    if (response.status == 200) is wanted:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.2)
