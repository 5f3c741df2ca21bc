"""What the node clears away: contents that nothing names, and answers nobody will ask for again."""

from __future__ import annotations

import sqlite3
from typing import Final

from agencies.store.database import Store
from agencies.times import DAY_MS
from axis.logs import get_logger
from axis.ports import Blobs, Clock

__all__ = ["keep_house"]

_EVERY_SECONDS: Final = 3600.0
_ANSWERS_KEPT: Final = 30 * DAY_MS


async def keep_house(store: Store, blobs: Blobs, clock: Clock) -> None:
    """Once an hour, until cancelled."""

    def is_named(sha256: bytes) -> bool:
        return store.row("SELECT 1 FROM attachment WHERE sha256 = ? LIMIT 1", sha256) is not None

    def forget(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM idempotency WHERE created_at < ?", (clock.now() - _ANSWERS_KEPT,))

    while True:
        await clock.sleep(_EVERY_SECONDS)
        try:
            deleted = await blobs.collect(clock.now(), is_named)
            await store.write(forget)
        except Exception:
            get_logger().exception("housekeeping_failed")
        else:
            get_logger().info("house_kept", blobs_deleted=deleted)
