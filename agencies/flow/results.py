"""From feed items to effects: each is judged, its contents are fetched; or it must wait, and says why.

What an item does at once is done also where it waits for its contents: a document of this node's own is
known from then on, whatever keeps its attachments away.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from axispb.v1 import api_pb2

from agencies.flow.effects import Effect, Happened, all_effects, nothing
from agencies.flow.fetch import OWNER, Contents, Fetched, Fetcher
from agencies.flow.handling import Arrival, Handler, Judged
from agencies.store.contents import insert_contents
from agencies.times import DAY_MS
from axis.core.errors import Refusal
from axis.logs import bound_trace, get_logger
from axis.ports import Clock

__all__ = ["Held", "Result", "Results"]

#: Items between two turns of the event loop: each costs a few signature checks.
_JUDGED_AT_ONCE: Final = 8
#: More content than this is fetched beside the feed, so that it delays no other document.
_LARGE_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """An item that cannot be finished now, and what it does all the same."""

    why: Refusal
    effect: Effect = nothing


Result = Effect | Held


class Results:
    """Judges items and fetches what they need."""

    def __init__(self, handler: Handler, fetcher: Fetcher, clock: Clock) -> None:
        self._handler = handler
        self._fetcher = fetcher
        self._clock = clock

    async def of(self, items: Sequence[api_pb2.FeedItem], came: Contents, *, large: bool) -> list[Result]:
        """Each item's effect, or why it must wait. `came`: contents that came along, unchecked.

        `large`: content of any size is fetched before this returns.
        """
        judged: list[Judged | Held] = []
        for number, item in enumerate(items):
            if number % _JUDGED_AT_ONCE == _JUDGED_AT_ONCE - 1:
                await asyncio.sleep(0)  # others have their turn
            judged.append(self._judged(item, large=large))
        arrivals = [one.arrival for one in judged if isinstance(one, Judged) and one.arrival]
        wanted = [(one.document_id, one.attachments) for one in arrivals]
        fetched = iter(await self._fetcher.fetch(wanted, came) if wanted else ())
        results: list[Result] = []
        for item, one in zip(items, judged, strict=True):
            if isinstance(one, Held) or one.arrival is None:
                results.append(one if isinstance(one, Held) else all_effects(one.effects))
            else:
                results.append(await self._arrived(item, one.effects, one.arrival, next(fetched)))
        return results

    def _judged(self, item: api_pb2.FeedItem, *, large: bool) -> Judged | Held:
        with bound_trace(item.trace_id):
            try:
                judged = self._handler.judge(item)
            except Refusal as refusal:
                return Held(refusal)
            except Exception as error:
                get_logger().exception("item_failed", sequence=item.sequence)
                return Held(Refusal("unavailable", repr(error)))
        content = sum(one.size for one in judged.arrival.attachments) if judged.arrival else 0
        if content > _LARGE_BYTES and not large:
            why = Refusal("unavailable", "large attachments are fetched beside the feed")
            return Held(why, all_effects(judged.effects))
        return judged

    async def _arrived(
        self, item: api_pb2.FeedItem, effects: list[Effect], arrival: Arrival, fetched: Fetched
    ) -> Result:
        at_once = all_effects(effects)
        with bound_trace(item.trace_id):
            try:
                effect = await self._handler.arrived(arrival, fetched)
            except Refusal as refusal:
                return Held(refusal, at_once)
            except Exception as error:
                get_logger().exception("item_failed", sequence=item.sequence)
                return Held(Refusal("unavailable", repr(error)), at_once)
        contents = {} if isinstance(fetched, Refusal) else fetched
        pin_until = self._clock.now() + DAY_MS

        def stored(connection: sqlite3.Connection) -> Happened:
            insert_contents(connection, contents, OWNER, pin_until)
            return all_effects([*effects, effect])(connection)

        return stored
