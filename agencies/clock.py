"""The machine's clock, behind the port that tests replace."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SystemClock"]


class SystemClock:
    """`axis.ports.Clock` of the operating system."""

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellation ends it at once."""
        await asyncio.sleep(seconds)
