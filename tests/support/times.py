"""A clock that runs at the real pace from wherever a test sets it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from axis.core.volumes import VIETNAM

__all__ = ["SetClock"]


class SetClock:
    """Stands where `set` put it, and goes on from there; sleeping takes its real time."""

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def set(self, day: datetime) -> None:
        """Let it be this moment, in Vietnam's time where it has no zone. Never backwards."""
        moment = day if day.tzinfo else day.replace(tzinfo=VIETNAM)
        ahead = round(moment.timestamp() * 1000) - time.time_ns() // 1_000_000
        assert ahead >= self._ahead, "a clock that goes backwards is another test's subject"
        self._ahead = ahead
