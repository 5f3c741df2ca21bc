"""Documents of this node's own that its store does not know, found again at the axis.

A home that was restored from an older copy finds in its feed what it sent after the copy was made. The
envelope and the acceptance come with the feed; the contents are fetched here, beside it, until all are back
or a month of answers that do not bring them was in vain.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from axispb.v1 import document_pb2

from agencies.attachments import AttachmentRow
from agencies.backoff import Random, back_off, wait_for_signal
from agencies.events import Events
from agencies.flow.fetch import OWNER, Fetcher
from agencies.link.axis_client import OutOfReach
from agencies.packet_signatures import PacketSignatures, as_stored, packet_in
from agencies.store import outbox
from agencies.store.contents import insert_contents
from agencies.store.database import Store
from agencies.store.found_marks import Tries, fetching, mark_complete, mark_lost, mark_tried
from agencies.store.key_ids import keep_found
from agencies.store.outbox import Outgoing
from agencies.times import DAY_MS
from axis.core.envelope import Kind, parse
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["FoundAgain", "put_found"]

_AT_ONCE: Final = 20
_IDLE_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 300.0
#: As long, and as often, as what waits in the feed is tried (`agencies.flow.receiver`).
_ASKED_FOR: Final = 30 * DAY_MS
_TRIES_AT_LEAST: Final = 20


def put_found(connection: sqlite3.Connection, outgoing: Outgoing) -> None:
    """Into the outbox, without contents; to be accepted in the same transaction."""
    outbox.put(connection, outgoing)
    keep_found(connection, outgoing.document_id, outgoing.created_at)
    mark_tried(connection, outgoing.document_id, Tries())


@dataclass(frozen=True, slots=True)
class _Found:
    document_id: str
    attachments: tuple[AttachmentRow, ...]
    packet: AttachmentRow | bytes


class FoundAgain:
    """Completes what was found. `run` for the node's whole life."""

    def __init__(
        self,
        *,
        store: Store,
        fetcher: Fetcher,
        signatures: PacketSignatures,
        clock: Clock,
        random: Random,
        events: Events,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._signatures = signatures
        self._clock = clock
        self._random = random
        self._events = events
        self._signal = asyncio.Event()

    def wake(self) -> None:
        """There may be something to fetch."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._signal.clear()
            now = self._clock.now()
            next_at = await self._round(now)
            pause = _IDLE_SECONDS if next_at is None else max(0.0, (next_at - now) / 1000)
            await wait_for_signal(self._signal, self._clock, pause)

    async def _round(self, now: int) -> int | None:
        """Everything that is due, once; when the next is. Time in milliseconds."""
        after, waiting = "", []
        while page := fetching(self._store, after, _AT_ONCE):
            await asyncio.sleep(0)  # there may be many of which none is due
            after = page[-1][0]
            due = {document_id: tries for document_id, tries in page if tries.next_at <= now}
            waiting += [tries.next_at for _, tries in page if tries.next_at > now]
            waiting += await self._complete(due)
        return min(waiting, default=None)

    async def _complete(self, due: Mapping[str, Tries]) -> list[int]:
        """Try these documents; when those that are still open are tried again."""
        found = [one for each in due if (one := self._found(each)) is not None]
        results = await self._fetcher.fetch([(one.document_id, one.attachments) for one in found], {})
        waiting = []
        for one, contents in zip(found, results, strict=True):
            if not isinstance(contents, Refusal):
                await self._keep(one, contents)
            elif tries := await self._missing(one.document_id, due[one.document_id], contents):
                waiting.append(tries.next_at)
        return waiting

    async def _missing(self, document_id: str, before: Tries, why: Refusal) -> Tries | None:
        """Its contents did not come: when they are asked for again; None where they are given up."""
        now = self._clock.now()
        pause = back_off(before.count, _LONGEST_PAUSE, self._random, why.retry_after)
        if isinstance(why, OutOfReach):
            # Only what the axis answers tells that nobody has them, however long it is away.
            unanswered = replace(before, next_at=now + pause)
            await self._store.write(lambda c: mark_tried(c, document_id, unanswered))
            return unanswered
        first_at, count = before.first_at or now, before.count + 1
        if now - first_at > _ASKED_FOR and count >= _TRIES_AT_LEAST:
            await self._store.write(lambda c: mark_lost(c, document_id, why.name))
            get_logger().error("own_contents_given_up", document_id=document_id, code=why.name, tries=count)
            self._events.publish([("alarm", {"what": "own_contents_given_up", "document_id": document_id})])
            return None
        tries = Tries(count, first_at, now + pause)
        await self._store.write(lambda c: mark_tried(c, document_id, tries))
        get_logger().warning("own_contents_missing", document_id=document_id, code=why.name, tries=count)
        return tries

    def _found(self, document_id: str) -> _Found | None:
        row = self._store.row("SELECT kind, signed FROM sent WHERE document_id = ?", document_id)
        if row is None:
            return None
        message = parse(row["signed"], Kind(row["kind"]))
        if isinstance(message, document_pb2.Document):
            rows = tuple(AttachmentRow(a.name, a.media_type, a.size, a.sha256) for a in message.attachments)
            return _Found(document_id, rows, packet_in(message, rows))
        packet = message.packet if isinstance(message, document_pb2.Status) else b""
        return _Found(document_id, (), packet)

    async def _keep(self, found: _Found, contents: Mapping[bytes, bytes]) -> None:
        signature = as_stored(await self._signatures.of(found.packet, contents))
        pin_until = self._clock.now() + DAY_MS

        def change(connection: sqlite3.Connection) -> None:
            insert_contents(connection, contents, OWNER, pin_until)
            if signature:
                outbox.keep_packet(connection, found.document_id, signature)
            mark_complete(connection, found.document_id)

        await self._store.write(change)
        get_logger().info("own_document_complete", document_id=found.document_id)
