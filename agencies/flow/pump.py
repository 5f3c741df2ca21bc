"""The pump: from the outbox to the axis, always the same bytes under the same id, until the answer is final.

Nothing in memory matters: what is due, how often it was tried and what was answered stand in the store, so
a node that was killed goes on where it was.

What is due while a shipment is under way goes with the next: under load one request and one commit carry
many documents, and a document alone waits for nobody. Urgent ones have a lane of their own, so that they
overtake; a document with large attachments travels by itself, so that it delays no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from agencies.backoff import Random, back_off, wait_for_signal
from agencies.flow.shipment import Shipments
from agencies.store import outbox
from agencies.store.database import Store
from agencies.store.outbox import TOGETHER_BYTES, Due, Lane
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Pump"]

_IDLE_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 5.0
#: Of one shipment: documents, and bytes of their envelopes. The axis takes 64, and 8 MiB with contents.
_TOGETHER: Final = 64
_ENVELOPES_BYTES: Final = 4 * 1024 * 1024


class Pump:
    """Sends what is due. `run` for the node's whole life; `wake` after each new entry."""

    def __init__(
        self, *, store: Store, shipments: Shipments, clock: Clock, random: Random, large_at_once: int
    ) -> None:
        self._store = store
        self._shipments = shipments
        self._clock = clock
        self._random = random
        self._large_at_once = large_at_once
        self._signal = asyncio.Event()
        self._under_way: dict[Lane, dict[str, asyncio.Task[None]]] = {lane: {} for lane in Lane}

    def wake(self) -> None:
        """There may be something to do."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled; what is under way then is tried again at the next start."""
        try:
            while True:
                self._signal.clear()
                now = self._clock.now()
                for lane in Lane:
                    self._start_due(lane, now)
                at = outbox.next_due(self._store, now)
                seconds = _IDLE_SECONDS if at is None else min(_IDLE_SECONDS, (at - now) / 1000)
                await wait_for_signal(self._signal, self._clock, seconds)
        finally:
            tasks = {task for lane in self._under_way.values() for task in lane.values()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self, lane: Lane, now: int) -> None:
        running = self._under_way[lane]
        if lane is Lane.LARGE:
            free = self._large_at_once - len(running)
            found = outbox.due(self._store, now, lane, self._large_at_once) if free > 0 else []
            for due in [one for one in found if one.document_id not in running][:free]:
                self._start(lane, [due])
        elif not running:
            found = outbox.due(self._store, now, lane, _TOGETHER)
            if found:
                self._start(lane, _fitting(found))

    def _start(self, lane: Lane, entries: list[Due]) -> None:
        task = asyncio.create_task(self._ship(entries))
        running = self._under_way[lane]
        running.update((due.document_id, task) for due in entries)

        def finished(_: asyncio.Task[None]) -> None:
            for due in entries:
                running.pop(due.document_id, None)
            self._signal.set()

        task.add_done_callback(finished)

    async def _ship(self, entries: list[Due]) -> None:
        try:
            await self._shipments.ship(entries)
        except Exception as error:
            # Not even the failure can be stored: the entries are still due, and wait in this task.
            ids = [due.document_id for due in entries]
            get_logger().error("submission_not_stored", document_ids=ids, error=repr(error))
            wait = back_off(entries[0].attempts, _LONGEST_PAUSE, self._random)
            await self._clock.sleep(wait / 1000)


def _fitting(found: Iterable[Due]) -> list[Due]:
    """The first of them that fit into one request; at least one."""
    taken: list[Due] = []
    contents = envelopes = 0
    for due in found:
        contents += due.bytes
        envelopes += len(due.envelope.signed) + len(due.envelope.signature)
        if taken and (contents > TOGETHER_BYTES or envelopes > _ENVELOPES_BYTES):
            break
        taken.append(due)
    return taken
