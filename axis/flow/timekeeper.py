"""Whether the clock can be believed: the journal's time never runs backwards, so a wrong one would stay.

Two things are compared before anything is appended. The newest frame must not be more than a minute ahead of
the clock: then either that frame was appended with a wrong clock, or this clock is wrong. And while the node
runs, the clock must not jump forward against a timer that nobody sets. Small steps, and steps back, are
what time synchronisation does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["AHEAD_MS", "JUMP_MS", "Timekeeper"]

#: How far the newest frame may be ahead of the clock.
AHEAD_MS: Final = 60_000
#: How far the clock may run ahead of the timer from one look to the next.
JUMP_MS: Final = 5 * 60_000

_RETRY_SECONDS: Final = 30


class Timekeeper:
    """Watches one clock. `timer` counts seconds and is never set; without it jumps go unseen."""

    def __init__(self, clock: Clock, timer: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._timer = timer or (lambda: clock.now() / 1000)
        self._newest = 0
        self._offset = clock.now() - self._elapsed()
        self._doubt = ""

    def appended(self, at: int) -> None:
        """The newest frame's time, as the journal has it now."""
        self._newest = at

    @property
    def doubt(self) -> str:
        """Why nothing may be appended by this clock; empty while it is believed."""
        doubt = self._look()
        if bool(doubt) != bool(self._doubt):
            if doubt:
                get_logger().critical("clock_wrong", detail=doubt)
            else:
                get_logger().info("clock_right")
        self._doubt = doubt
        return doubt

    def check(self) -> None:
        """Raise Refusal `unavailable` while the clock is not believed."""
        if doubt := self.doubt:
            raise Refusal("unavailable", doubt, retry_after=_RETRY_SECONDS)

    def _look(self) -> str:
        now = self._clock.now()
        offset = now - self._elapsed()
        jump = offset - self._offset
        if jump > JUMP_MS:
            return (
                f"the clock has jumped {jump // 1000} s forward: set it right,"
                " or restart the node if it is right now"
            )
        self._offset = offset
        ahead = self._newest - now
        if ahead > AHEAD_MS:
            return f"the journal's newest frame is {ahead // 1000} s ahead of the clock: set the clock right"
        return ""

    def _elapsed(self) -> int:
        return round(self._timer() * 1000)
