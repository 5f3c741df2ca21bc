"""What our units say about documents: signed statuses, from fields or out of an edXML message.

A status is an envelope of its own, queued like a document. Where it closes an exchange whose delivery still
waits for the software's decision, the refused receipt is signed in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from axispb.v1 import document_pb2

from agencies.desk.requests import StatusInput
from agencies.edxml.packet import StatusPacket
from agencies.events import Events
from agencies.flow.effects import document_changed
from agencies.identity import Identity
from agencies.link.directory_sync import DirectorySync
from agencies.store import inbox, outbox
from agencies.store.answers import answer_in, content_hash, keep_answer, stored_answer
from agencies.store.database import Store
from agencies.store.key_ids import found_document, id_randomness
from agencies.store.originals import meant_by, named_document
from agencies.store.restored import require_caught_up
from agencies.store.statuses import exchanges
from agencies.units import primary
from axis.core.document import MAX_TEXT, check_status, new_document_id
from axis.core.envelope import Kind, parse, signed_bytes
from axis.core.errors import Refusal
from axis.core.exchange import RECALL, Said
from axis.core.lifecycle import InboxState
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Statuses"]

Json = dict[str, Any]

_BY_THE_SENDER: Final = frozenset({"13"})
_REFUSED: Final = "02"
_AGREED: Final = "15"


@dataclass(frozen=True, slots=True)
class _Said:
    """One status to be signed."""

    sender: str
    recipient: str
    about: str
    code: str
    note: str
    urgent: bool = False
    packet: bytes = b""
    packet_signature: str = ""
    staff: document_pb2.Staff | None = None
    response_for: document_pb2.ResponseFor | None = None


class Statuses:
    """Says things about documents."""

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
    ) -> None:
        self._store = store
        self._identity = identity
        self._directory = directory
        self._clock = clock
        self._events = events
        self._on_queued = queued
        self._on_decided = decided

    async def say(self, side: str, document_id: str, given: StatusInput, key: str, trace_id: str) -> Json:
        """About a document that was `received` (01 to 06, 15, 16) or `sent` (13).

        {"statuses": [{"document_id", "from", "to", "code"}]}, one for each unit that it came to or went to.
        Refusal `document_unknown`, `not_a_recipient`, `field_invalid`, `idempotency_conflict`.
        """
        content = content_hash([side, document_id, given.model_dump()], ()) if key else b""
        known = stored_answer(self._store, "statuses", key, content)
        if known is not None:
            return known
        if (given.code in _BY_THE_SENDER) != (side == "sent"):
            who = "sender" if given.code in _BY_THE_SENDER else "receiver"
            raise Refusal("field_invalid", f"code: {given.code} is said by a document's {who}")
        said = self._received(document_id, given) if side == "received" else self._sent(document_id, given)
        return await self._queue(said, key, content, trace_id)

    def _received(self, document_id: str, given: StatusInput) -> list[_Said]:
        row = self._store.row(
            "SELECT sender_unit, urgent FROM received WHERE document_id = ? AND kind = 'document'"
            " AND failure = ''",
            document_id,
        )
        if row is None:
            raise Refusal("document_unknown", f"no document {document_id[:64]} in the inbox")
        rows = self._store.rows("SELECT DISTINCT unit FROM receipt WHERE document_id = ?", document_id)
        units = self._meant([each["unit"] for each in rows], given.unit)
        sender = self._primary(row["sender_unit"])
        return [
            _Said(unit, sender, document_id, given.code, given.note, bool(row["urgent"])) for unit in units
        ]

    def _sent(self, document_id: str, given: StatusInput) -> list[_Said]:
        row = self._store.row(
            "SELECT sender_unit, urgent, state FROM sent WHERE document_id = ? AND kind = 'document'",
            document_id,
        )
        if row is None or row["state"] != "accepted":
            raise Refusal("document_unknown", f"no accepted document {document_id[:64]} in the outbox")
        rows = self._store.rows("SELECT unit FROM sent_delivery WHERE document_id = ?", document_id)
        units = self._meant([each["unit"] for each in rows], given.unit)
        sender = self._primary(row["sender_unit"])
        return [
            _Said(sender, unit, document_id, given.code, given.note, bool(row["urgent"])) for unit in units
        ]

    def _meant(self, units: Sequence[str], unit: str | None) -> list[str]:
        wanted = unit and self._primary(unit)
        meant = [one for one in units if wanted in (None, one)]
        if not meant:
            raise Refusal("not_a_recipient", f"{wanted} is no recipient of this document")
        return sorted(meant)

    async def say_packet(
        self, packet: StatusPacket, raw: bytes, signature: str, key: str, trace_id: str
    ) -> Json:
        """An edXML status message, delivered byte for byte. {"document_id", "state", "warnings"}.

        A document that it names and nobody here knows, or several would fit, is no reason to refuse it: it is
        delivered without being tied to one. Refusal `not_host_of_unit`, `sender_not_registered`,
        `recipient_unknown`.
        """
        directory = self._directory.directory
        sender = directory.resolve(packet.sender)
        if sender is None:
            raise Refusal("sender_not_registered", f"From/OrganId: {packet.sender}")
        if directory.host_of(sender) != self._identity.code:
            raise Refusal("not_host_of_unit", f"From/OrganId: {sender} is not hosted by this node")
        recipient = directory.resolve(packet.addressee)
        if recipient is None:
            raise Refusal("recipient_unknown", f"ResponseFor/OrganId: {packet.addressee}")
        content = content_hash([raw.hex()], ()) if key else b""
        side, issuer = ("sent", sender) if packet.code in _BY_THE_SENDER else ("received", recipient)
        about, urgent = named_document(self._store, side, issuer, packet.about)
        warnings = list(packet.warnings)
        if not about:
            warnings.append("ResponseFor: it names no single document that this node knows")
        said = _Said(
            sender,
            recipient,
            about,
            packet.code,
            packet.description[:MAX_TEXT],
            urgent,
            raw,
            signature,
            packet.staff,
            packet.about,
        )
        answer = await self._queue([said], key, content, trace_id)
        return {
            "document_id": answer["statuses"][0]["document_id"],
            "state": "queued",
            "warnings": warnings,
        }

    async def _queue(self, said: Sequence[_Said], key: str, content: bytes, trace_id: str) -> Json:
        """Sign, store and queue; with the refused receipts that follow from them."""
        if key or any(self._refusing(one) for one in said):  # a refusal decides, as a receipt does
            require_caught_up(self._store)
        found = [self._found(one, key, number) for number, one in enumerate(said)]
        left = [(number, one) for number, one in enumerate(said) if found[number] is None]
        outgoing = {number: self._signed(one, key, number, trace_id) for number, one in left}
        refused = [each for _, one in left for each in self._refusing(one)]
        answer: Json = {
            "statuses": [
                {
                    "document_id": found[number] or outgoing[number].document_id,
                    "from": one.sender,
                    "to": one.recipient,
                    "code": one.code,
                }
                for number, one in enumerate(said)
            ]
        }

        def change(connection: sqlite3.Connection) -> Json:
            earlier = answer_in(connection, "statuses", key, content)
            if earlier is not None:
                return earlier
            for each in outgoing.values():
                outbox.put(connection, each)
            for about, receipt in refused:
                inbox.decide(connection, about, receipt)
            keep_answer(connection, "statuses", key, content, answer, self._clock.now())
            return answer

        stored = await self._store.write(change)
        if stored is answer:
            for number, one in left:
                document_id = outgoing[number].document_id
                get_logger().info("status_queued", document_id=document_id, about=one.about, code=one.code)
                self._events.publish(document_changed(document_id, "queued"))
            self._on_queued()
            self._on_decided()
        return stored

    def _refusing(self, said: _Said) -> list[tuple[str, inbox.SignedReceipt]]:
        """The receipts, each for a document, that a closing status signs where the software has not decided.

        Agreeing to a recall may be said of the recall, or of the document that it takes back.
        """
        if said.code == _REFUSED:
            return self._refused(said.about, said.sender, said.note)
        if said.code != _AGREED:
            return []
        refused = []
        for about in meant_by(self._store, said.about):
            known = exchanges(self._store, about, self._primary).get(said.sender, Said())
            if known.exchange.asked == RECALL:
                refused += self._refused(about, said.sender, "recalled")
        return refused

    def _refused(self, about: str, unit: str, reason: str) -> list[tuple[str, inbox.SignedReceipt]]:
        """For the attempts that wait at one unit."""
        rows = self._store.rows(
            "SELECT attempt FROM receipt WHERE document_id = ? AND unit = ? AND state = 'waiting'",
            about,
            unit,
        )
        if not rows:
            return []
        binding = inbox.binding(self._store, about)
        return [
            (about, self._identity.receipt(about, binding, unit, row["attempt"], InboxState.REFUSED, reason))
            for row in rows
        ]

    def _found(self, said: _Said, key: str, number: int) -> str | None:
        """A status that was said under this key before the copy was lost, if the axis has it."""
        randomness = id_randomness(self._store, "statuses", key, number)
        document_id = found_document(self._store, randomness) if key else None
        if document_id is None:
            return None
        row = self._store.row("SELECT signed FROM sent WHERE document_id = ?", document_id)
        sent = parse(row["signed"], Kind.STATUS) if row is not None else None
        if not isinstance(sent, document_pb2.Status) or not _is_same(said, sent):
            raise Refusal("idempotency_conflict")
        return document_id

    def _signed(self, said: _Said, key: str, number: int, trace_id: str) -> outbox.Outgoing:
        now = self._clock.now()
        message = document_pb2.Status(
            axis_id=self._identity.axis_id,
            document_id=new_document_id(now, id_randomness(self._store, "statuses", key, number)),
            sender_unit=said.sender,
            acting_organisation=self._identity.code,
            recipients=[said.recipient],
            created_at=now,
            about_document_id=said.about,
            code=said.code,
            note=said.note,
            staff=said.staff,
            response_for=said.response_for,
            packet=said.packet,
        )
        check_status(message)
        return outbox.Outgoing(
            kind=Kind.STATUS.value,
            document_id=message.document_id,
            envelope=self._identity.sign(signed_bytes(Kind.STATUS, message)),
            certificate_sha256=self._identity.credentials.certificate_sha256,
            sender_unit=said.sender,
            recipients=(said.recipient,),
            subject="",
            code_number="",
            urgent=said.urgent,
            created_at=now,
            trace_id=trace_id,
            attachments=(),
            packet_signature=said.packet_signature,
        )

    def _primary(self, code: str) -> str:
        return primary(self._directory.directory, code)


def _is_same(said: _Said, sent: document_pb2.Status) -> bool:
    """Whether this was said before. A packet is its bytes: the document it names may be known only since."""
    if said.packet or sent.packet:
        return said.packet == sent.packet
    return (said.sender, said.recipient, said.about, said.code, said.note) == (
        sent.sender_unit,
        *sent.recipients,
        sent.about_document_id,
        sent.code,
        sent.note,
    )
