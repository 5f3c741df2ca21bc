"""Documents of this node's own that its store does not know, found again at the axis.

A home that was restored from an older copy finds in its feed what it sent after the copy was made. The
envelope and the acceptance come with the feed; the contents are fetched here, beside it, until all are back.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from axispb.v1 import document_pb2

from agencies import outbox
from agencies.attachments import AttachmentRow
from agencies.backoff import Random, back_off, wait_for_signal
from agencies.contents import insert_contents
from agencies.fetch import OWNER, Fetcher
from agencies.key_ids import keep_found
from agencies.outbox import Outgoing
from agencies.packet_signatures import PacketSignatures, as_stored, packet_in
from agencies.store import Store
from agencies.times import DAY_MS
from axis.core.envelope import Kind, parse
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["FoundAgain", "put_found"]

_AT_ONCE: Final = 20
_IDLE_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 300.0
#: Settings, one for each document that is not complete yet.
_OPEN: Final = "found/"


def put_found(connection: sqlite3.Connection, outgoing: Outgoing) -> None:
    """Into the outbox, without contents; to be accepted in the same transaction."""
    outbox.put(connection, outgoing)
    keep_found(connection, outgoing.document_id, outgoing.created_at)
    connection.execute(
        "INSERT OR REPLACE INTO setting (name, value) VALUES (?, '')", (_OPEN + outgoing.document_id,)
    )


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
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._signatures = signatures
        self._clock = clock
        self._random = random
        self._signal = asyncio.Event()

    def wake(self) -> None:
        """There may be something to fetch."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        while True:
            self._signal.clear()
            failures = 0 if await self._round() else failures + 1
            pause = back_off(failures, _LONGEST_PAUSE, self._random) / 1000 if failures else _IDLE_SECONDS
            await wait_for_signal(self._signal, self._clock, pause)

    async def _round(self) -> bool:
        """Everything that is open, once; whether all of it is complete now."""
        after, complete = _OPEN, True
        while rows := self._store.rows(
            "SELECT name FROM setting WHERE name > ? AND name < ? ORDER BY name LIMIT ?",
            after,
            _OPEN[:-1] + chr(ord(_OPEN[-1]) + 1),
            _AT_ONCE,
        ):
            after = rows[-1]["name"]
            complete = await self._complete([row["name"].removeprefix(_OPEN) for row in rows]) and complete
        return complete

    async def _complete(self, ids: Sequence[str]) -> bool:
        found = [one for each in ids if (one := self._found(each)) is not None]
        results = await self._fetcher.fetch([(one.document_id, one.attachments) for one in found], {})
        done = True
        for one, contents in zip(found, results, strict=True):
            if isinstance(contents, Refusal):
                get_logger().warning("own_contents_missing", document_id=one.document_id, code=contents.name)
                done = False
            else:
                await self._keep(one, contents)
        return done

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
            connection.execute("DELETE FROM setting WHERE name = ?", (_OPEN + found.document_id,))

        await self._store.write(change)
        get_logger().info("own_document_complete", document_id=found.document_id)
