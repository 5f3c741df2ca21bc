"""One shipment: documents and statuses that go to the axis together, and what it answers to each.

Everything that a shipment changes is stored in one transaction at its end. An acceptance counts only when
it verifies and binds our bytes; whatever else is answered, the entry stays, is rejected or waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from axispb.v1 import api_pb2, evidence_pb2

from agencies.backoff import Random, back_off
from agencies.events import Events
from agencies.flow.effects import Happened
from agencies.flow.entries import Entry, log_outcome, store_outcome
from agencies.flow.judge import judge_acceptance
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store import outbox
from agencies.store.database import Store
from agencies.store.heads import epoch, learnt
from agencies.store.outbox import Due
from agencies.store.statuses import is_about_known
from agencies.tasks import all_of
from axis.blobs.rules import SMALL_BYTES
from axis.control import refusal_from_problem
from axis.core.envelope import Envelope, Kind
from axis.core.errors import TEMPORARY_FOR_RECEIPTS, Refusal
from axis.logs import bound_trace, get_logger
from axis.ports import BlobMissing, Blobs, Clock

__all__ = ["Shipments"]

_ABOUT_US: Final = frozenset({"sender_not_registered", "sender_suspended"})
_UPLOADS_AT_ONCE: Final = 16


class Shipments:
    """Sends shipments. Any number at the same time, but no entry in two of them."""

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
        max_back_off_seconds: float,
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
        self._max_back_off_seconds = max_back_off_seconds
        self._head_unknown = head_unknown
        self._uploads = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    async def ship(self, dues: Sequence[Due]) -> None:
        """Send entries together; afterwards each is accepted, rejected or postponed.

        They fit into one request. Raises what the store raises: then nothing has changed, and they are
        still due.
        """
        asked_in = epoch(self._store)
        entries = await self._signed_now(dues)
        try:
            ready = await self._prepared(entries)
            if ready:
                await self._submit(ready)
        except Refusal as refusal:
            if refusal.name == "head_unknown":
                await self._head_unknown(refusal)
                return
            _refuse_open(entries, _of_the_request(refusal))
        except Exception as error:
            get_logger().exception("submission_failed", document_ids=[due.document_id for due in dues])
            _refuse_open(entries, Refusal("unavailable", repr(error)))
        await self._settle(entries, asked_in)

    async def _signed_now(self, dues: Sequence[Due]) -> list[Entry]:
        """Each with its envelope; its bytes signed anew where a newer certificate has come (decision 8)."""
        current = self._identity.credentials.certificate_sha256
        old = [due for due in dues if due.certificate_sha256 != current]
        anew = {due.document_id: self._identity.sign(due.envelope.signed) for due in old}

        def change(connection: sqlite3.Connection) -> None:
            for document_id, envelope in anew.items():
                outbox.resign(connection, document_id, envelope, current)

        if anew:
            await self._store.write(change)
        return [Entry(due, anew.get(due.document_id, due.envelope), current) for due in dues]

    async def _prepared(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those whose attachments are at the axis or come along; the others get their refusal."""
        ready = []
        for entry in entries:
            try:
                await self._attach(entry)
                ready.append(entry)
            except Refusal as refusal:
                if refusal.name == "head_unknown":
                    raise
                entry.refusal = refusal
            except Exception as error:
                entry.refusal = _defect(entry, error)
        return ready

    async def _attach(self, entry: Entry) -> None:
        """Small attachments come along; where there is much content it is uploaded first."""
        rows = self._store.rows(
            "SELECT DISTINCT sha256, size FROM attachment WHERE side = 'sent' AND document_id = ?",
            entry.due.document_id,
        )
        wanted: dict[bytes, int] = {row["sha256"]: row["size"] for row in rows}
        together = entry.due.bytes <= outbox.TOGETHER_BYTES and all(
            size <= SMALL_BYTES for size in wanted.values()
        )
        if together:
            entry.contents = [await self._content(sha256) for sha256 in wanted]
            return
        try:
            if entry.due.attempts:
                for sha256 in await self._client.have(list(wanted)):
                    wanted.pop(sha256, None)
            await all_of(self._upload(sha256, size) for sha256, size in wanted.items())
        except Refusal as refusal:
            # Where the axis takes nothing from us at all, the submission shall say so: the axis journals
            # that with the document's id, and nobody could look up there why it did not go otherwise.
            if refusal.name not in _ABOUT_US:
                raise

    async def _content(self, sha256: bytes) -> bytes:
        try:
            async with self._blobs.open(sha256) as stream:
                return b"".join([chunk async for chunk in stream])
        except BlobMissing as error:
            raise _content_gone() from error

    async def _upload(self, sha256: bytes, size: int) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            async with self._blobs.open(sha256) as stream:
                async for chunk in stream:
                    yield chunk

        async with self._uploads:
            try:
                await self._client.upload(sha256, size, chunks)
            except BlobMissing as error:
                raise _content_gone() from error

    async def _submit(self, entries: Sequence[Entry]) -> None:
        batch = api_pb2.SubmissionBatch()
        for entry in entries:
            batch.submissions.add(
                envelope=entry.envelope.to_message(), trace_id=entry.due.trace_id, contents=entry.contents
            )
        results = await self._client.submissions(batch)
        for entry, result in zip(entries, results, strict=True):
            with bound_trace(entry.due.trace_id):
                try:
                    await self._take(entry, result)
                except Refusal as refusal:
                    entry.refusal = refusal
                except Exception as error:
                    entry.refusal = _defect(entry, error)

    async def _take(self, entry: Entry, result: api_pb2.SubmissionResult) -> None:
        """Judge one answer. The feed brings an acceptance again, to be judged at its place there."""
        if result.code:
            members = {
                "code": result.code,
                "detail": result.detail,
                "retry_after": result.retry_after or None,
            }
            raise refusal_from_problem(members)
        accepted = result.accepted
        acceptance = Envelope.from_message(accepted.acceptance)
        try:
            message = await self._judged(entry, acceptance, accepted.sequence)
        except Refusal as refusal:
            get_logger().error(
                "acceptance_invalid",
                document_id=entry.due.document_id,
                code=refusal.name,
                detail=refusal.detail,
            )
            raise Refusal("unavailable", f"the acceptance does not verify: {refusal}") from refusal
        entry.acceptance, entry.message, entry.sequence = acceptance, message, accepted.sequence

    async def _judged(self, entry: Entry, acceptance: Envelope, sequence: int) -> evidence_pb2.Acceptance:
        document_id, context = entry.due.document_id, self._identity.context
        for candidate in (entry.envelope, *self._earlier(entry)):
            try:
                return judge_acceptance(acceptance, candidate, document_id, context, sequence).message
            except Refusal as refusal:
                if refusal.name.startswith("certificate_"):
                    # Perhaps the axis's own certificate is new, or our directory old.
                    await self._directory.at_least(sequence)
                    return judge_acceptance(acceptance, candidate, document_id, context, sequence).message
                last = refusal
        raise last

    def _earlier(self, entry: Entry) -> list[Envelope]:
        """The same bytes under signatures made before: the axis keeps the first that it accepted."""
        rows = self._store.rows(
            "SELECT signature FROM sent_signature WHERE document_id = ?", entry.due.document_id
        )
        return [
            Envelope(entry.envelope.signed, row["signature"])
            for row in rows
            if row["signature"] != entry.envelope.signature
        ]

    async def _settle(self, entries: Sequence[Entry], asked_in: str) -> None:
        """Store what became of each, and tell."""
        for entry in entries:
            if entry.refusal is not None:
                entry.next_attempt_at = self._next_attempt(entry, entry.refusal)

        happened = await self._stored(entries, asked_in)
        for entry in entries:
            with bound_trace(entry.due.trace_id):
                log_outcome(entry)
        self._events.publish(happened)
        left = [entry for entry in entries if entry.not_stored is not None]
        if left:
            await self._store.write(lambda connection: self._postpone(connection, left))

    async def _stored(self, entries: Sequence[Entry], asked_in: str) -> Happened:
        """In one transaction; where that fails, each in its own: a defect met by one harms no other."""

        def change(connection: sqlite3.Connection, some: Sequence[Entry]) -> Happened:
            known = learnt(connection, asked_in, self._client.heads)
            return [event for entry in some for event in store_outcome(connection, entry, known, self._pause)]

        try:
            return await self._store.write(lambda c: change(c, entries))
        except Exception as error:
            if len(entries) == 1 or isinstance(error, Refusal):
                raise
            get_logger().exception("shipment_not_stored")
        happened: Happened = []
        for entry in entries:
            try:
                happened += await self._store.write(lambda c, one=entry: change(c, [one]))  # type: ignore[misc]
            except Exception as error:
                entry.not_stored = error
        return happened

    def _postpone(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """What could not be stored of them waits its turn: it does not go with every shipment."""
        for entry in entries:
            at = self._pause(entry.due.attempts)
            detail = f"not stored: {entry.not_stored!r}"
            outbox.postpone(connection, entry.due.document_id, "unavailable", detail, at)

    def _pause(self, attempts: int, at_least: int | None = None) -> int:
        """When to try again."""
        wait = back_off(attempts, self._max_back_off_seconds, self._random, at_least)
        return self._clock.now() + wait

    def _next_attempt(self, entry: Entry, refusal: Refusal) -> int | None:
        newer = self._identity.credentials.certificate_sha256 != entry.used
        temporary = refusal.code.temporary or (
            entry.due.kind == Kind.STATUS.value
            and (
                refusal.name in TEMPORARY_FOR_RECEIPTS
                # An axis restored from an older copy lacks the document until its sender has sent it again.
                or (refusal.name == "document_unknown" and is_about_known(self._store, entry.due.document_id))
            )
        )
        if newer and (temporary or refusal.name.startswith("certificate_")):
            return self._clock.now()
        return self._pause(entry.due.attempts, refusal.retry_after) if temporary else None


def _refuse_open(entries: Sequence[Entry], refusal: Refusal) -> None:
    for entry in entries:
        if entry.acceptance is None and entry.refusal is None:
            entry.refusal = refusal


def _of_the_request(refusal: Refusal) -> Refusal:
    """What a refusal of the whole request says of each document: "not now", whatever its code.

    The documents themselves were not judged. The TLS certificate that was refused, or the batch that is
    wrong, is no fault of theirs: they wait until it is put right.
    """
    if refusal.code.temporary:
        return refusal
    return Refusal("unavailable", f"the axis refused the request: {refusal}", retry_after=refusal.retry_after)


def _defect(entry: Entry, error: Exception) -> Refusal:
    """Something unforeseen that one document met: it waits, and keeps no other from the axis."""
    get_logger().error("submission_failed", document_id=entry.due.document_id, error=repr(error))
    return Refusal("unavailable", repr(error))


def _content_gone() -> Refusal:
    return Refusal("attachment_missing", "the node's own copy of an attachment is gone")
