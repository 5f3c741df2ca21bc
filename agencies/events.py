"""What happens at this node, for whoever waits for it: long polls of the local API and its event stream.

Nothing here is durable: an event says that it is worth looking at the store again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

__all__ = ["Event", "Events"]

_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `number` grows while the node runs."""

    number: int
    name: str
    data: dict[str, object]


class Events:
    """The newest events, and a way to wait for more."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._changed = asyncio.Event()
        self.newest = 0

    def publish(self, events: Iterable[tuple[str, dict[str, object]]]) -> None:
        """Tell that things have happened, after they are stored."""
        for name, data in events:
            self.newest += 1
            self._kept.append(Event(self.newest, name, data))
            self._changed.set()

    def after(self, number: int) -> list[Event]:
        """The kept events beyond a number, in order."""
        # They are numbered without gaps, so the newest so many are those.
        count = min(max(0, self.newest - number), len(self._kept))
        return list(islice(self._kept, len(self._kept) - count, None))

    async def beyond(self, number: int, seconds: float) -> bool:
        """Wait until there is an event beyond `number`; False if there is none after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self.newest <= number:
                    # Each waiter looks at the numbers again: an event that was set and cleared meanwhile
                    # is not missed.
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
