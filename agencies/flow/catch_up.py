"""How a restored home's node reads its feed to the end; what it makes of an axis that refuses its keys."""

from __future__ import annotations

import sqlite3
from typing import Final

from agencies.events import Events
from agencies.link.axis_client import AxisClient
from agencies.store.database import Store
from agencies.store.heads import learnt
from agencies.store.restored import copied_head, is_catching_up, mark_caught_up
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["CatchUp"]

#: How far an axis node may be behind another before it stops answering.
_BEHIND_SECONDS: Final = 3
_KEYS_REFUSED: Final = frozenset({"certificate_revoked", "certificate_unknown"})


class CatchUp:
    """`several`: there is more than one axis node, and the one that answers may not have read everything."""

    def __init__(self, store: Store, client: AxisClient, events: Events, *, several: bool) -> None:
        self._store = store
        self._client = client
        self._events = events
        #: How long to wait for more before the feed is taken to be at its end.
        self.wait_seconds = _BEHIND_SECONDS if several else 0

    @property
    def active(self) -> bool:
        """Whether the node does not know yet all that it did."""
        return is_catching_up(self._store)

    async def end(self, asked_in: str) -> None:
        """The feed has no more: the node knows again what it did."""

        def change(connection: sqlite3.Connection) -> bool:
            known = learnt(connection, asked_in, self._client.heads)
            if known:
                mark_caught_up(connection)
            return known

        if await self._store.write(change):
            get_logger().info("caught_up", head=str(self._client.heads))
            self._events.publish([("caught_up", {"head": str(self._client.heads)})])

    def explained(self, refusal: Refusal) -> Refusal:
        """A refusal of the axis, in words that help: the keys of an older copy may be valid no more."""
        if refusal.name not in _KEYS_REFUSED or copied_head(self._store) is None:
            return refusal
        return Refusal("keys_replaced", f"the axis answers {refusal.name}: {refusal.detail}")
