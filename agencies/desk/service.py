"""What the agency's software can ask of its node, whatever the way in (HTTP, command line).

Everything is durable when it returns. Sending with an idempotency key: the same key with the same content
gives the same answer, with other content it is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from axispb.v1 import document_pb2

from agencies.attachments import AttachmentRow
from agencies.desk.requests import DocumentInput, ReceiptInput
from agencies.desk.spool import TakenFile
from agencies.events import Events
from agencies.flow.effects import document_changed
from agencies.flow.fetch import OWNER
from agencies.identity import Identity
from agencies.link.directory_sync import DirectorySync
from agencies.store import inbox, outbox
from agencies.store.answers import answer_in, content_hash, keep_answer, stored_answer
from agencies.store.contents import insert_contents
from agencies.store.database import Store
from agencies.store.key_ids import found_document, id_randomness
from agencies.store.restored import require_caught_up
from agencies.times import DAY_MS
from agencies.units import primary
from axis.core.document import check_document, is_urgent, new_document_id
from axis.core.envelope import MAX_SIGNED_BYTES, Kind, parse, signed_bytes
from axis.core.errors import Refusal
from axis.core.lifecycle import InboxState
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Service", "Submission", "of_fields"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """A document handed in: what it says, its files, and what "the same content" means for its key."""

    sender: str | None  # a unit hosted here, by any code; None: the node's own
    recipients: Sequence[str]  # by any code
    fields: document_pb2.Fields
    taken: Sequence[TakenFile]
    idempotency_key: str
    content: bytes  # SHA-256 of all of it; empty without a key
    trace_id: str
    packet: int = 0  # number, from 1, of the file that is the edXML packet
    packet_signature: str = ""  # what was made of it, as JSON

    @property
    def files(self) -> tuple[AttachmentRow, ...]:
        """As the header lists them."""
        return tuple(file.row for file in self.taken)

    @property
    def contents(self) -> dict[bytes, bytes]:
        """Of small files, by SHA-256: not stored yet."""
        return {file.row.sha256: file.content for file in self.taken if file.content is not None}


def of_fields(
    raw: object, document: DocumentInput, taken: Sequence[TakenFile], key: str, trace_id: str
) -> Submission:
    """A submission from the local API: JSON as it came, the same checked, and files."""
    content = content_hash(raw, [file.row for file in taken]) if key else b""
    return Submission(document.from_, document.to, document.fields(), taken, key, content, trace_id)


class Service:
    """The node's own doings on behalf of its users."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        directory: DirectorySync,
        clock: Clock,
        events: Events,
        queued: Callable[[], None],
        decided: Callable[[], None],
        online: bool,
    ) -> None:
        self._store = store
        self._identity = identity
        self._directory = directory
        self._clock = clock
        self._events = events
        #: Called once something is in the outbox, and once a receipt is signed.
        self._on_queued = queued
        self._on_decided = decided
        #: Whether this process talks to the axis; a command beside a stopped node does not.
        self.online = online

    async def send(self, submission: Submission) -> Json:
        """Put a document into the outbox, signed. {"document_id", "state"}.

        Refusal `idempotency_conflict`, `field_invalid`, `header_too_large`, `recipient_unknown`,
        `recipient_duplicate`, `recipient_suspended`, `not_host_of_unit`, `storage_full`, `catching_up`.
        """
        key = submission.idempotency_key
        content = submission.content
        known = stored_answer(self._store, "documents", key, content)
        if known is not None:
            return known
        if key:
            require_caught_up(self._store)
        sender = await self._check_units(submission)
        randomness = id_randomness(self._store, "documents", key)
        message = self._message(submission, sender, randomness)
        found = found_document(self._store, randomness) if key else None
        if found is not None:
            return await self._answer_found(found, message, key, content)
        outgoing = self._signed(submission, message)
        answer = {"document_id": outgoing.document_id, "state": "queued"}

        def change(connection: sqlite3.Connection) -> Json:
            earlier = answer_in(connection, "documents", key, content)
            if earlier is not None:
                return earlier
            insert_contents(connection, submission.contents, OWNER, outgoing.created_at + DAY_MS)
            outbox.put(connection, outgoing)
            keep_answer(connection, "documents", key, content, answer, self._clock.now())
            return answer

        stored = await self._store.write(change)
        if stored is answer:
            get_logger().info("document_queued", document_id=outgoing.document_id, trace_id=outgoing.trace_id)
            self._events.publish(document_changed(outgoing.document_id, "queued"))
            self._on_queued()
        return stored

    async def _check_units(self, submission: Submission) -> str:
        """The sender's primary code. What the directory denies is refused only when it is fresh."""
        try:
            return self._units(submission)
        except Refusal as refusal:
            given = submission.sender or self._identity.code
            if not self.online:
                return primary(self._directory.directory, given)  # the axis will judge
            try:
                await self._directory.refresh()
            except Refusal:
                get_logger().info("directory_not_refreshed", code=refusal.name)
                return primary(self._directory.directory, given)
            return self._units(submission)

    def _units(self, submission: Submission) -> str:
        directory = self._directory.directory
        problems: dict[str, str] = {}
        seen: set[str] = set()
        for given in submission.recipients:
            code = directory.resolve(given)
            fact = directory.unit(code) if code is not None else None
            if code is None or fact is None:
                problems[given] = "recipient_unknown"
            elif code in seen:
                problems[given] = "recipient_duplicate"
            elif fact.suspended:
                problems[given] = "recipient_suspended"
            seen.add(code or given)
        if problems:
            name = next(iter(problems.values()))
            codes = ", ".join(given for given, problem in problems.items() if problem == name)
            raise Refusal(name, f"to: {codes}", extra={"recipients": problems})
        given = submission.sender or self._identity.code
        sender = directory.resolve(given)
        if sender is None:
            raise Refusal("sender_not_registered", f"from: {given}")
        if directory.host_of(sender) != self._identity.code:
            raise Refusal("not_host_of_unit", f"from: {sender} is hosted by {directory.host_of(sender)}")
        return sender

    async def _answer_found(
        self, document_id: str, message: document_pb2.Document, key: str, content: bytes
    ) -> Json:
        """A key of before the copy was lost: the document that the axis has, if the content is the same."""
        row = self._store.row("SELECT signed FROM sent WHERE document_id = ?", document_id)
        sent = parse(row["signed"], Kind.DOCUMENT) if row is not None else None
        if isinstance(sent, document_pb2.Document):
            message.document_id, message.created_at = sent.document_id, sent.created_at
        if message != sent:
            raise Refusal("idempotency_conflict")
        answer = {"document_id": document_id, "state": "queued"}
        now = self._clock.now()
        await self._store.write(lambda c: keep_answer(c, "documents", key, content, answer, now))
        return answer

    def _message(self, submission: Submission, sender: str, randomness: bytes) -> document_pb2.Document:
        """What is to be signed, checked."""
        now = self._clock.now()
        message = document_pb2.Document(
            axis_id=self._identity.axis_id,
            document_id=new_document_id(now, randomness),
            sender_unit=sender,
            acting_organisation=self._identity.code,
            recipients=submission.recipients,
            created_at=now,
            fields=submission.fields,
            attachments=[
                document_pb2.Attachment(
                    name=file.name,
                    media_type=file.media_type,
                    size=file.size,
                    sha256=file.sha256,
                    description=file.description,
                    content_id=file.content_id,
                )
                for file in submission.files
            ],
            packet=submission.packet,
        )
        check_document(message)
        return message

    def _signed(self, submission: Submission, message: document_pb2.Document) -> outbox.Outgoing:
        directory = self._directory.directory
        fields = submission.fields
        signed = signed_bytes(Kind.DOCUMENT, message)
        if len(signed) > MAX_SIGNED_BYTES:
            raise Refusal("header_too_large", f"{len(signed)} bytes, the limit is {MAX_SIGNED_BYTES}")
        number = (fields.code_number, fields.code_notation)
        return outbox.Outgoing(
            kind=Kind.DOCUMENT.value,
            document_id=message.document_id,
            envelope=self._identity.sign(signed),
            certificate_sha256=self._identity.credentials.certificate_sha256,
            sender_unit=message.sender_unit,
            recipients=tuple(primary(directory, code) for code in submission.recipients),
            subject=fields.subject,
            code_number="/".join(part for part in number if part),
            urgent=is_urgent(fields),
            created_at=message.created_at,
            trace_id=submission.trace_id,
            attachments=submission.files,
            packet_signature=submission.packet_signature,
        )

    async def receipt(self, document_id: str, decision: ReceiptInput, key: str) -> Json:
        """The software receives or refuses what waits for it. {"document_id","outcome","units"}.

        The same decision again gives the same answer; another one `outcome_conflict`. Refusal `catching_up`.
        """
        content = content_hash([document_id, decision.model_dump()], ())
        known = stored_answer(self._store, "receipts", key, content)
        if known is not None:
            return known
        require_caught_up(self._store)
        receipts = self._decided(document_id, decision)
        answer: Json = {
            "document_id": document_id,
            "outcome": decision.outcome,
            "units": [receipt.unit for receipt in receipts],
        }

        def change(connection: sqlite3.Connection) -> Json:
            earlier = answer_in(connection, "receipts", key, content)
            if earlier is not None:
                return earlier
            for receipt in receipts:
                if not inbox.decide(connection, document_id, receipt):
                    _check_decided(connection, document_id, receipt)
            keep_answer(connection, "receipts", key, content, answer, self._clock.now())
            return answer

        stored = await self._store.write(change)
        self._on_decided()
        return stored

    def _decided(self, document_id: str, decision: ReceiptInput) -> list[inbox.SignedReceipt]:
        """The receipts that say so, signed."""
        binding = inbox.binding(self._store, document_id)
        outcome = InboxState(decision.outcome)
        waiting = self._waiting(document_id, decision, outcome)
        return [
            self._identity.receipt(document_id, binding, unit, attempt, outcome, decision.reason)
            for unit, attempt in waiting
        ]

    def _waiting(
        self, document_id: str, decision: ReceiptInput, outcome: InboxState
    ) -> list[tuple[str, int]]:
        """The attempts that the decision is for; nothing if all of them were decided so before."""
        rows = self._store.rows(
            "SELECT unit, max(attempt) AS attempt, outcome, state FROM receipt"
            " WHERE document_id = ? GROUP BY unit ORDER BY unit",
            document_id,
        )
        unit = decision.unit and primary(self._directory.directory, decision.unit)
        meant = [row for row in rows if unit in (None, row["unit"])]
        if not meant:
            raise Refusal("not_a_recipient", f"the document did not come to {unit}")
        waiting = [row for row in meant if row["state"] == "waiting"]
        if not waiting and any(row["outcome"] == "waiting" for row in meant):
            raise Refusal("delivery_closed", "the axis closed this delivery while it waited")
        if not waiting and any(row["outcome"] != outcome.value for row in meant):
            raise Refusal("outcome_conflict", f"it is {meant[0]['outcome']} already")
        return [(row["unit"], row["attempt"]) for row in waiting]


def _check_decided(connection: sqlite3.Connection, document_id: str, receipt: inbox.SignedReceipt) -> None:
    """Somebody was faster: fine if the decision was the same. Raised in the transaction, undoes all of it."""
    outcome = connection.execute(
        "SELECT outcome FROM receipt WHERE document_id = ? AND unit = ? AND attempt = ?",
        (document_id, receipt.unit, receipt.attempt),
    ).fetchone()[0]
    if outcome == InboxState.WAITING:
        raise Refusal("delivery_closed", "the axis closed this delivery while it waited")
    if outcome != receipt.outcome:
        raise Refusal("outcome_conflict", f"it is {outcome} already")
