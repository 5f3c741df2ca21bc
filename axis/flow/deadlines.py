"""Deliveries that nobody took in 30 days are declared dead (contract, limits).

Open attempts are kept in memory: read from the facts once, then followed. The decision itself is made by
the sequencer, against the state at the head; one that was closed meanwhile is simply refused there.
"""

from __future__ import annotations

from typing import Final

from axis.core.decide import Expire
from axis.core.document import DELIVERY_LIFE_MS
from axis.core.errors import Refusal
from axis.flow.sequencer import Sequencer
from axis.logs import get_logger
from axis.ports import Clock, Journal

__all__ = ["Deadlines"]

_PREFIX: Final = "delivery-open/"
_PAGE: Final = 1000
_TICK_SECONDS: Final = 60.0


class Deadlines:
    """Watches the attempts that are in flight."""

    def __init__(self, journal: Journal, sequencer: Sequencer, clock: Clock) -> None:
        self._journal = journal
        self._sequencer = sequencer
        self._clock = clock
        self._open: set[str] = set()
        self._followed = 0

    @property
    def in_flight(self) -> int:
        """How many attempts were open when last looked."""
        return len(self._open)

    async def run(self) -> None:
        """Look once a minute, until cancelled."""
        while True:
            await self.tick()
            await self._clock.sleep(_TICK_SECONDS)

    async def tick(self) -> int:
        """Expire what is due; the number of deliveries that died."""
        await self._catch_up()
        due = self._clock.now() - DELIVERY_LIFE_MS
        dead = 0
        for key in sorted(self._open):
            opened_at, document_id, unit = key.removeprefix(_PREFIX).split("/", 2)
            if int(opened_at) > due:
                break
            try:
                await self._sequencer.submit(Expire(document_id, unit))
                dead += 1
            except Refusal as refusal:
                get_logger().info("expiry_refused", document_id=document_id, unit=unit, code=refusal.name)
                if refusal.code.temporary:
                    break
        return dead

    async def _catch_up(self) -> None:
        while True:
            page = self._journal.facts(_PREFIX, self._followed, _PAGE)
            for key, value, _ in page:
                if value:
                    self._open.add(key)
                else:
                    self._open.discard(key)
            if not page:
                return
            self._followed = page[-1][2]
            await self._clock.sleep(0)  # years of facts must not hold up the requests
