"""What this node does when the axis was restored from an older copy (design decision 6)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from agencies.events import Events
from agencies.link import directory_sync
from agencies.link.directory_sync import DirectorySync
from agencies.store import outbox, receipt_queue
from agencies.store.database import Store, set_setting
from agencies.store.heads import Heads, begin_epoch
from agencies.times import DAY_MS
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Recovery"]

_SINCE_DAYS = 30
#: A restored axis is found out once. Heads that go on being unknown are a defect of the axis's: no hurry.
_SETTLED_MS = 60_000
_MOST_SECONDS = 30


class Recovery:
    """Starts the feed at 0 and sends the last 30 days again, once for each head that was lost."""

    def __init__(
        self,
        *,
        store: Store,
        heads: Heads,
        directory: DirectorySync,
        clock: Clock,
        events: Events,
        stored: Callable[[], None],
    ) -> None:
        self._store = store
        self._heads = heads
        self._directory = directory
        self._clock = clock
        self._events = events
        self._stored = stored
        self._lock = asyncio.Lock()
        self._newest = 0
        self._repeats = 0

    async def head_unknown(self, refusal: Refusal) -> None:
        """The axis does not know a head that this node has seen."""
        async with self._lock:
            if self._heads.life != refusal.extra.get("life"):
                return  # another request's answer: done already
            await self._pause()
            since = self._clock.now() - _SINCE_DAYS * DAY_MS
            lost = str(self._heads)

            def change(connection: sqlite3.Connection) -> tuple[int, int]:
                for name in ("urgent_after", "normal_after"):
                    set_setting(connection, name, "0")
                begin_epoch(connection)
                directory_sync.forget(connection)
                # Held items were of the lost journal's numbering: the feed brings what still holds.
                connection.execute("DELETE FROM held")
                # Neither need what closed or opened attempts be in the journal any more; what is comes again.
                connection.execute("DELETE FROM counted WHERE event IN ('dead', 'requeued')")
                outbox.forget_outcomes(connection)
                connection.execute(
                    "UPDATE receipt SET state = 'waiting', code = ''"
                    " WHERE state = 'stopped' AND signed IS NULL"
                )
                return outbox.send_again(connection, since), receipt_queue.send_receipts_again(
                    connection, since
                )

            documents, receipts = await self._store.write(change)
            self._directory.restart()
            self._heads.forget()
            get_logger().error("axis_restored", lost_head=lost, documents=documents, receipts=receipts)
            self._events.publish([("alarm", {"what": "axis_restored", "lost_head": lost})])
            self._stored()

    async def _pause(self) -> None:
        settled = self._clock.now() - self._newest > _SETTLED_MS
        self._repeats = 0 if settled else self._repeats + 1
        if self._repeats:
            await self._clock.sleep(min(_MOST_SECONDS, 2 ** min(self._repeats, _MOST_SECONDS)))
        self._newest = self._clock.now()
