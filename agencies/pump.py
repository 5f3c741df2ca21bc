"""The pump: from the outbox to the axis, always the same bytes under the same id, until the answer is final.

Nothing in memory matters: what is due, how often it was tried and what was answered stand in the store, so
a node that was killed goes on where it was. An acceptance counts only when it verifies and binds our bytes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from axispb.v1 import api_pb2, evidence_pb2

from agencies import outbox
from agencies.axis_client import AxisClient
from agencies.backoff import Random, back_off, wait_for_signal
from agencies.config import Settings
from agencies.directory_sync import DirectorySync
from agencies.effects import document_changed
from agencies.events import Events
from agencies.heads import epoch, learnt
from agencies.identity import Identity
from agencies.judge import judge_acceptance
from agencies.store import Store
from agencies.tasks import all_of
from axis.core.envelope import Envelope, Kind
from axis.core.errors import TEMPORARY_FOR_RECEIPTS, Refusal
from axis.logs import bound_trace, get_logger
from axis.ports import BlobMissing, Blobs, Clock

__all__ = ["Pump"]

_IDLE_SECONDS: Final = 60.0
_ABOUT_US: Final = frozenset({"sender_not_registered", "sender_suspended"})
_UPLOADS_AT_ONCE: Final = 16


class Pump:
    """Submits what is due. `run` for the node's whole life; `wake` after each new entry."""

    def __init__(
        self,
        *,
        store: Store,
        client: AxisClient,
        identity: Identity,
        directory: DirectorySync,
        blobs: Blobs,
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
        self._blobs = blobs
        self._clock = clock
        self._random = random
        self._events = events
        self._settings = settings
        self._head_unknown = head_unknown
        self._signal = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._uploads = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    def wake(self) -> None:
        """There may be something to do."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled; what is under way then is tried again at the next start."""
        try:
            while True:
                self._signal.clear()
                now = self._clock.now()
                self._start_due(now)
                at = outbox.next_due(self._store, now)
                seconds = _IDLE_SECONDS if at is None else min(_IDLE_SECONDS, (at - now) / 1000)
                await wait_for_signal(self._signal, self._clock, seconds)
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self, now: int) -> None:
        free = self._settings.submissions - len(self._running)
        if free <= 0:
            return
        found = outbox.due(self._store, now, free + len(self._running))
        for due in [one for one in found if one.document_id not in self._running][:free]:
            task = asyncio.create_task(self._try(due))
            self._running[due.document_id] = task
            task.add_done_callback(lambda _, key=due.document_id: self._finished(key))  # type: ignore[misc]

    def _finished(self, document_id: str) -> None:
        self._running.pop(document_id, None)
        self._signal.set()

    async def _try(self, due: outbox.Due) -> None:
        with bound_trace(due.trace_id):
            try:
                await self._submit(due)
            except Exception as error:
                # Not even the failure can be stored: the entry is still due, and waits in this task.
                get_logger().error("submission_not_stored", document_id=due.document_id, error=repr(error))
                wait = back_off(due.attempts, self._settings.max_back_off_seconds, self._random)
                await self._clock.sleep(wait / 1000)

    async def _submit(self, due: outbox.Due) -> None:
        used, asked_in = due.certificate_sha256, epoch(self._store)
        try:
            envelope = await self._signed_now(due)
            used = self._identity.credentials.certificate_sha256
            await self._upload_unless_barred(due)
            answer = await self._client.submit(envelope, due.trace_id)
            await self._accepted(due, envelope, answer, asked_in)
        except Refusal as refusal:
            await self._refused(due, refusal, used, asked_in)
        except Exception as error:
            get_logger().exception("submission_failed", document_id=due.document_id)
            await self._refused(due, Refusal("unavailable", repr(error)), used, asked_in)

    async def _signed_now(self, due: outbox.Due) -> Envelope:
        """The entry's envelope; its bytes signed anew where a newer certificate has come (decision 8)."""
        current = self._identity.credentials.certificate_sha256
        if due.certificate_sha256 == current:
            return due.envelope
        envelope = self._identity.sign(due.envelope.signed)
        await self._store.write(lambda c: outbox.resign(c, due.document_id, envelope, current))
        return envelope

    async def _upload_unless_barred(self, due: outbox.Due) -> None:
        """Upload; where the axis takes nothing from us at all, let the submission say so.

        The axis journals what it answers to a submission, with the document's id: a refused upload names
        none, and nobody could look up there why the document did not go.
        """
        try:
            await self._upload(due)
        except Refusal as refusal:
            if refusal.name not in _ABOUT_US:
                raise

    async def _upload(self, due: outbox.Due) -> None:
        rows = self._store.rows(
            "SELECT DISTINCT sha256, size FROM attachment WHERE side = 'sent' AND document_id = ?",
            due.document_id,
        )
        wanted = {row["sha256"]: row["size"] for row in rows}
        if due.attempts and wanted:
            for sha256 in await self._client.have(list(wanted)):
                wanted.pop(sha256, None)
        await all_of(self._upload_one(sha256, size) for sha256, size in wanted.items())

    async def _upload_one(self, sha256: bytes, size: int) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            async with self._blobs.open(sha256) as stream:
                async for chunk in stream:
                    yield chunk

        async with self._uploads:
            try:
                await self._client.upload(sha256, size, chunks)
            except BlobMissing as error:
                raise Refusal("attachment_missing", "the node's own copy of an attachment is gone") from error

    async def _accepted(
        self, due: outbox.Due, envelope: Envelope, answer: api_pb2.SubmitResponse, asked_in: str
    ) -> None:
        """Judge the acceptance and store it. The feed brings it again, judged at its place there."""
        acceptance = Envelope.from_message(answer.acceptance)
        try:
            message = await self._judged(due, envelope, acceptance, answer.sequence)
        except Refusal as refusal:
            get_logger().error(
                "acceptance_invalid", document_id=due.document_id, code=refusal.name, detail=refusal.detail
            )
            raise Refusal("unavailable", f"the acceptance does not verify: {refusal}") from refusal

        def change(connection: sqlite3.Connection) -> bool:
            if not learnt(connection, asked_in, self._client.heads):
                return False
            return outbox.accept(connection, acceptance, message, answer.sequence)

        if await self._store.write(change):
            get_logger().info("document_accepted", document_id=due.document_id, sequence=answer.sequence)
            self._events.publish(document_changed(due.document_id, "accepted"))

    async def _judged(
        self, due: outbox.Due, envelope: Envelope, acceptance: Envelope, sequence: int
    ) -> evidence_pb2.Acceptance:
        for candidate in (envelope, *self._earlier(due, envelope)):
            try:
                return judge_acceptance(
                    acceptance, candidate, due.document_id, self._identity.context, sequence
                ).message
            except Refusal as refusal:
                if refusal.name.startswith("certificate_"):
                    # Perhaps the axis's own certificate is new, or our directory old.
                    await self._directory.at_least(sequence)
                    return judge_acceptance(
                        acceptance, candidate, due.document_id, self._identity.context, sequence
                    ).message
                last = refusal
        raise last

    def _earlier(self, due: outbox.Due, envelope: Envelope) -> list[Envelope]:
        """The same bytes under signatures made before: the axis keeps the first that it accepted."""
        rows = self._store.rows("SELECT signature FROM sent_signature WHERE document_id = ?", due.document_id)
        return [
            Envelope(envelope.signed, row["signature"])
            for row in rows
            if row["signature"] != envelope.signature
        ]

    async def _refused(self, due: outbox.Due, refusal: Refusal, used: bytes, asked_in: str) -> None:
        if refusal.name == "head_unknown":
            await self._head_unknown(refusal)
            return
        newer = self._identity.credentials.certificate_sha256 != used
        temporary = refusal.code.temporary or (
            due.kind == Kind.STATUS.value and refusal.name in TEMPORARY_FOR_RECEIPTS
        )
        if temporary or (newer and refusal.name.startswith("certificate_")):
            await self._postpone(due, refusal, at_once=newer)
        elif await self._store.write(
            lambda c: (
                learnt(c, asked_in, self._client.heads)
                and outbox.reject(c, due.document_id, refusal.name, refusal.detail)
            )
        ):
            get_logger().warning(
                "document_rejected", document_id=due.document_id, code=refusal.name, detail=refusal.detail
            )
            self._events.publish(document_changed(due.document_id, "rejected", code=refusal.name))
        else:
            # It was not to be sent any more; if it is after all, then not without a pause.
            await self._postpone(due, refusal)

    async def _postpone(self, due: outbox.Due, refusal: Refusal, *, at_once: bool = False) -> None:
        cap = self._settings.max_back_off_seconds
        wait = 0 if at_once else back_off(due.attempts, cap, self._random, refusal.retry_after)
        at = self._clock.now() + wait
        await self._store.write(
            lambda c: outbox.postpone(c, due.document_id, refusal.name, refusal.detail, at)
        )
        get_logger().info(
            "submission_postponed", document_id=due.document_id, code=refusal.name, seconds=wait / 1000
        )
