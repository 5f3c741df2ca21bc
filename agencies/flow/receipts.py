"""Receipts on their way to the axis: in batches, with the outbox's rules of persistence."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from axispb.v1 import api_pb2

from agencies.backoff import Random, back_off, wait_for_signal
from agencies.config import Settings
from agencies.events import Events
from agencies.flow.own_certificates import OwnCertificates
from agencies.flow.standing import Standing, adopt, judge_standing
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store import inbox, receipt_queue
from agencies.store.database import Store
from agencies.store.heads import epoch, learnt
from axis.core.errors import TEMPORARY_FOR_RECEIPTS, Refusal, code
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["ReceiptSender"]

_BATCH: Final = 100
_IDLE_SECONDS: Final = 60.0


class ReceiptSender:
    """Sends the receipts that are due, one batch at a time."""

    def __init__(
        self,
        *,
        store: Store,
        client: AxisClient,
        identity: Identity,
        directory: DirectorySync,
        own_certificates: OwnCertificates,
        clock: Clock,
        random: Random,
        events: Events,
        settings: Settings,
        head_unknown: Callable[[Refusal], Awaitable[None]],
    ) -> None:
        self._store = store
        self._client = client
        self._identity = identity
        self._directory = directory
        self._own_certificates = own_certificates
        self._clock = clock
        self._random = random
        self._events = events
        self._settings = settings
        self._head_unknown = head_unknown
        self._signal = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled; a batch whose answer is lost is sent again."""
        while True:
            self._signal.clear()
            now = self._clock.now()
            batch = receipt_queue.receipts_due(self._store, now, _BATCH)
            if batch:
                await self.send(batch)
                continue
            at = receipt_queue.next_receipt_due(self._store, now)
            seconds = _IDLE_SECONDS if at is None else min(_IDLE_SECONDS, (at - now) / 1000)
            await wait_for_signal(self._signal, self._clock, seconds)

    async def send(self, batch: list[receipt_queue.ReceiptDue]) -> None:
        """One batch: afterwards each of its receipts is taken, stopped or postponed."""
        asked_in = epoch(self._store)
        batch = await self._signed_now(batch)
        try:
            results = await self._client.receipts([due.envelope for due in batch])
        except Refusal as refusal:
            if refusal.name == "head_unknown":
                await self._head_unknown(refusal)
                return
            # The batch as a whole: whatever it is, the receipts themselves were not judged.
            at = self._clock.now() + self._wait(batch[0].attempts, refusal.retry_after)
            await self._postpone(batch, refusal.name, at)
            return
        now = self._client.axis_time or self._clock.now()
        standing = [await self._standing(due, result) for due, result in zip(batch, results, strict=True)]

        def change(connection: sqlite3.Connection) -> bool:
            if not learnt(connection, asked_in, self._client.heads):
                return False
            for due, result, stands in zip(batch, results, standing, strict=True):
                code = stands.name if isinstance(stands, Refusal) else result.code
                if code and _is_temporary(code):
                    at = self._clock.now() + self._wait(due.attempts, None)
                    receipt_queue.postpone_receipt(connection, due, code, at)
                    continue
                settled = receipt_queue.settle_receipt(
                    connection, due, sequence=result.sequence, code=code, at=result.at or now
                )
                if settled and isinstance(stands, Standing):
                    adopt(connection, stands)
            return True

        if not await self._store.write(change):
            return  # the axis was restored meanwhile: what it answered is void
        self._tell(batch, results)

    async def _standing(
        self, due: receipt_queue.ReceiptDue, result: api_pb2.ReceiptResult
    ) -> Standing | Refusal | None:
        """What stands in the place of a receipt that came too late; `unavailable`: not to be judged yet."""
        given = result.standing
        if not result.HasField("standing") or (given.unit, given.attempt) != (due.unit, due.attempt):
            return None
        try:
            await self._directory.at_least(given.sequence)
            bound = inbox.binding(self._store, due.document_id)
            return judge_standing(given, due.document_id, bound, self._identity, self._own_certificates)
        except Refusal as refusal:
            if refusal.name == "unavailable":
                return refusal
            get_logger().error("standing_invalid", document_id=due.document_id, code=refusal.name)
            return None

    def _tell(self, batch: list[receipt_queue.ReceiptDue], results: Sequence[api_pb2.ReceiptResult]) -> None:
        """What was answered, once it is stored."""
        for due, result in zip(batch, results, strict=True):
            if result.code:
                get_logger().warning(
                    "receipt_refused",
                    document_id=due.document_id,
                    unit=due.unit,
                    code=result.code,
                    detail=result.detail,
                )
        self._events.publish(
            ("receipt_taken", {"document_id": due.document_id, "unit": due.unit, "outcome": due.outcome})
            for due, result in zip(batch, results, strict=True)
            if not result.code
        )

    async def _postpone(self, batch: list[receipt_queue.ReceiptDue], name: str, at: int) -> None:
        def change(connection: sqlite3.Connection) -> None:
            for due in batch:
                receipt_queue.postpone_receipt(connection, due, name, at)

        await self._store.write(change)
        get_logger().info("receipts_postponed", receipts=len(batch), code=name)

    def _wait(self, attempts: int, retry_after: int | None) -> int:
        return back_off(attempts, self._settings.max_back_off_seconds, self._random, retry_after)

    async def _signed_now(self, batch: list[receipt_queue.ReceiptDue]) -> list[receipt_queue.ReceiptDue]:
        """The same bytes signed anew where a newer certificate has come (design decision 8)."""
        current = self._identity.credentials.certificate_sha256
        old = [due for due in batch if due.certificate_sha256 != current]
        if not old:
            return batch
        signed = {id(due): self._identity.sign(due.envelope.signed) for due in old}

        def change(connection: sqlite3.Connection) -> None:
            for due in old:
                receipt_queue.resign_receipt(connection, due, signed[id(due)], current)

        await self._store.write(change)
        return [replace(due, envelope=signed.get(id(due), due.envelope)) for due in batch]


def _is_temporary(name: str) -> bool:
    return name in TEMPORARY_FOR_RECEIPTS or code(name).temporary
