"""What each feed item means for the store: judged here, applied later, with others, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from axispb.v1 import api_pb2, evidence_pb2

from agencies.attachments import AttachmentRow
from agencies.config import ReceiptMode
from agencies.edxml.signature import PacketSignature
from agencies.flow.effects import Effect, Happened, alarm, all_effects, as_listed, document_received, nothing
from agencies.flow.fetch import Fetched
from agencies.flow.judge import Accepted, addressed_to, judge_accepted, judge_notice
from agencies.flow.own_certificates import OwnCertificates
from agencies.flow.own_documents import (
    acceptance_effect,
    claimed_document,
    is_known,
    notice_effect,
    receipt_effect,
)
from agencies.flow.standing import adoption
from agencies.identity import Identity
from agencies.packet_signatures import INVALID, PacketSignatures, as_stored, packet_in
from agencies.store import inbox
from agencies.store.database import Store
from agencies.store.held import check_opened
from agencies.store.restored import is_catching_up
from agencies.units import Primary
from axis.core.envelope import Envelope, Kind
from axis.core.errors import Refusal
from axis.core.lifecycle import InboxState
from axis.core.receipt import Binding
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Arrival", "Handler", "Judged"]

#: The axis may give the bytes right the next time; after so many wrong ones the document is refused.
_WRONG_BYTES_LIMIT: Final = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verified document for units of ours, whose contents must be here before it is stored."""

    document_id: str
    attachments: tuple[AttachmentRow, ...]
    #: The edXML packet: one of the attachments, or a status message's bytes; empty for none.
    packet: AttachmentRow | bytes
    #: With the code it failed with for good, or empty; and what was made of the packet's signature.
    effect: Callable[[str, PacketSignature | None], Effect]


@dataclass(frozen=True, slots=True)
class Judged:
    """What an item does at once, and what it does once its contents are here."""

    effects: list[Effect]
    arrival: Arrival | None = None


class Handler:
    """Judges the items of one organisation's feed."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        clock: Clock,
        receipt_mode: Callable[[str], ReceiptMode],
        primary: Primary,
        own_certificates: OwnCertificates,
        doubt: Callable[[int], bool],
        signatures: PacketSignatures,
    ) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._receipt_mode = receipt_mode
        self._primary = primary
        self._own_certificates = own_certificates
        self._doubt = doubt
        self._signatures = signatures
        self._wrong_bytes: dict[str, int] = {}

    def judge(self, item: api_pb2.FeedItem) -> Judged:
        """What the item means. Raises Refusal for "not now"; whatever it returns is final for the item."""
        if item.event == "accepted":
            return self._accepted(item)
        if item.event == "receipted":
            return Judged([self._receipted(item)])
        if item.event == "noticed":
            return self._noticed(item)
        if item.event == "issued":
            return Judged([self._issued(item)])
        get_logger().warning("feed_event_unknown", kind_of_event=item.event, sequence=item.sequence)
        return Judged([])

    def _accepted(self, item: api_pb2.FeedItem) -> Judged:
        units = addressed_to(item, self._identity.code)
        try:
            if not units and is_known(item, self._identity, self._store):
                return Judged([])
            accepted = judge_accepted(item, self._identity.context)
        except Refusal as refusal:
            return Judged([self._invalid(item, refusal, units)])
        effects: list[Effect] = []
        if accepted.message.acting_organisation == self._identity.code:
            effects.append(acceptance_effect(accepted, item.trace_id, expected=is_catching_up(self._store)))
        units = accepted.units_of(self._identity.code)
        if not units:
            return Judged(effects)
        return Judged([*effects, self._stands(item, accepted)], self._incoming(accepted, item, units))

    def _incoming(
        self, accepted: Accepted, item: api_pb2.FeedItem, units: list[str], *, attempt: int = 1
    ) -> Arrival:
        """A verified document for units of ours: with its contents here, sign the receipts and store all."""
        listed = as_listed(accepted, item.trace_id)

        def effect(failure: str, signature: PacketSignature | None) -> Effect:
            return self._store_effect(
                item,
                inbox.Incoming(
                    kind=accepted.kind.value,
                    document_id=listed.document_id,
                    failure=failure,
                    envelope=accepted.envelope,
                    acceptance=accepted.acceptance.envelope,
                    accepted_sequence=accepted.sequence,
                    accepted_at=accepted.acceptance.message.accepted_at,
                    sender_unit=self._primary(listed.sender_unit),
                    subject=listed.subject,
                    code_number=listed.code_number,
                    urgent=listed.urgent,
                    size=sum(attachment.size for attachment in listed.attachments),
                    received_at=self._clock.now(),
                    trace_id=item.trace_id,
                    attachments=() if failure else listed.attachments,
                    receipts=tuple(
                        self._receipt(listed.document_id, accepted.binding, unit, attempt, failure)
                        for unit in units
                    ),
                    requeued_at=item.at if attempt > 1 else 0,
                    packet_signature=as_stored(signature),
                ),
            )

        packet = packet_in(accepted.message, listed.attachments)
        return Arrival(listed.document_id, listed.attachments, packet, effect)

    async def arrived(self, arrival: Arrival, fetched: Fetched) -> Effect:
        """The effect of a document whose contents are here, or are wrong for good.

        Raises Refusal `unavailable` where they may still come.
        """
        if not isinstance(fetched, Refusal):
            signature = await self._signatures.of(arrival.packet, fetched)
            refused = signature is not None and self._signatures.refuses(signature)
            return arrival.effect(INVALID if refused and not self._is_taken(arrival) else "", signature)
        if fetched.name != "attachment_mismatch" or not self._is_wrong_for_good(arrival.document_id):
            # Whatever keeps content away is a matter of the moment, also where its code is final.
            raise Refusal("unavailable", f"attachments: {fetched}") from fetched
        return arrival.effect(fetched.name, None)

    def _is_taken(self, arrival: Arrival) -> bool:
        """Whether it was stored before, when the setting was another one: what was decided then stands."""
        return bool(
            self._store.rows(
                "SELECT 1 FROM received WHERE document_id = ? AND failure = ''", arrival.document_id
            )
        )

    def _is_wrong_for_good(self, document_id: str) -> bool:
        """Wrong bytes came once more. Counted by this process only: a new one may ask a better axis."""
        times = self._wrong_bytes.pop(document_id, 0) + 1
        if times < _WRONG_BYTES_LIMIT:
            self._wrong_bytes[document_id] = times
        return times >= _WRONG_BYTES_LIMIT

    def _receipt(
        self, document_id: str, binding: Binding, unit: str, attempt: int, failure: str
    ) -> inbox.SignedReceipt:
        decided = self._store.row(
            "SELECT r.outcome, r.reason FROM receipt r JOIN received d USING (document_id)"
            " WHERE document_id = ? AND unit = ? AND attempt = ? AND r.signed IS NOT NULL AND d.failure = ''",
            document_id,
            unit,
            attempt,
        )
        if failure:
            outcome = InboxState.REFUSED
        elif decided is not None:
            # The feed was restarted: what was decided stands, under whatever acceptance it has now.
            outcome, failure = InboxState(decided["outcome"]), decided["reason"]
        elif self._receipt_mode(unit) == "storage":
            outcome = InboxState.RECEIVED
        else:
            outcome = InboxState.WAITING
        return self._identity.receipt(document_id, binding, unit, attempt, outcome, failure)

    def _store_effect(self, item: api_pb2.FeedItem, incoming: inbox.Incoming) -> Effect:
        """Store it with the receipts signed just now, or those that stand in their place."""
        binding = Binding.of(incoming.envelope, incoming.acceptance)
        adopted = adoption(
            item.standing, incoming.document_id, binding, self._identity, self._own_certificates
        )

        def apply(connection: sqlite3.Connection) -> Happened:
            happened = document_received(incoming) if inbox.store_document(connection, incoming) else []
            return happened + adopted(connection)

        return apply

    def _invalid(
        self, item: api_pb2.FeedItem, refusal: Refusal, units: list[str], attempt: int = 1
    ) -> Effect:
        """An item that fails for good. A document for us gets a refused receipt that says why.

        A certificate that is missing may be this node's own fault: the directory is read from 0 first.
        """
        if refusal.name == "certificate_unknown" and self._doubt(item.sequence):
            raise Refusal("unavailable", f"once the directory is read anew: {refusal.detail}") from refusal
        get_logger().error(
            "item_invalid",
            sequence=item.sequence,
            code=refusal.name,
            check=refusal.check,
            detail=refusal.detail,
        )
        effects = [alarm("item_invalid", sequence=item.sequence, code=refusal.name)]
        document_id = claimed_document(item.acceptance.signed, Kind.ACCEPTANCE)
        if units and document_id:
            effects.append(
                self._store_effect(item, self._refused(item, document_id, refusal, units, attempt))
            )
        return all_effects(effects)

    def _refused(
        self, item: api_pb2.FeedItem, document_id: str, refusal: Refusal, units: list[str], attempt: int
    ) -> inbox.Incoming:
        """What is kept of a document that does not verify: its bytes as evidence, nothing of its content."""
        envelope = Envelope.from_message(item.envelope)
        acceptance = Envelope.from_message(item.acceptance)
        binding = Binding.of(envelope, acceptance)
        return inbox.Incoming(
            kind=item.kind if item.kind in (Kind.DOCUMENT, Kind.STATUS) else Kind.DOCUMENT.value,
            document_id=document_id,
            failure=refusal.name,
            envelope=envelope,
            acceptance=acceptance,
            accepted_sequence=item.accepted_sequence or item.sequence,
            accepted_at=item.accepted_at or item.at,
            sender_unit="",
            subject="",
            code_number="",
            urgent=item.urgent,
            size=0,
            received_at=self._clock.now(),
            trace_id=item.trace_id,
            attachments=(),
            receipts=tuple(
                self._receipt(document_id, binding, unit, attempt, refusal.name) for unit in units
            ),
            requeued_at=item.at if attempt > 1 else 0,
        )

    def _receipted(self, item: api_pb2.FeedItem) -> Effect:
        try:
            return receipt_effect(item, self._identity, self._store)
        except Refusal as refusal:
            if refusal.name == "unavailable":
                raise
            return self._invalid(item, refusal, [])

    def _noticed(self, item: api_pb2.FeedItem) -> Judged:
        try:
            notice = judge_notice(item, self._identity.context)
        except Refusal as refusal:
            return Judged([self._invalid(item, refusal, [])])
        message = notice.message
        effects = [notice_effect(message, notice.envelope, item.at)]
        if message.kind == evidence_pb2.NOTICE_KIND_DEAD:
            check_opened(self._store, self._identity.code, item, message)
            effects.append(lambda connection: _closed_here(connection, message, item.at))
        elif message.host == self._identity.code:
            requeued = self._requeued(item, message)
            return Judged(effects + requeued.effects, requeued.arrival)
        return Judged(effects)

    def _requeued(self, item: api_pb2.FeedItem, message: evidence_pb2.Notice) -> Judged:
        """The operator gave this node the next attempt: the notice brings the document along."""
        unit, attempt = message.recipient_unit, message.attempt
        try:
            accepted = judge_accepted(item, self._identity.context)
            if accepted.acceptance.envelope.signed_sha256 != message.acceptance_sha256:
                raise Refusal("field_invalid", "acceptance_sha256: the notice is about another acceptance")
        except Refusal as refusal:
            return Judged([self._invalid(item, refusal, [unit], attempt)])
        return Judged([self._stands(item, accepted)], self._incoming(accepted, item, [unit], attempt=attempt))

    def _stands(self, item: api_pb2.FeedItem, accepted: Accepted) -> Effect:
        """What stands of a document that is here, at once: its contents may take their time to come again."""
        if not item.standing:
            return nothing
        document_id, binding = accepted.message.document_id, accepted.binding
        adopted = adoption(item.standing, document_id, binding, self._identity, self._own_certificates)

        def apply(connection: sqlite3.Connection) -> Happened:
            query = "SELECT acceptance_signed FROM received WHERE document_id = ?"
            row = connection.execute(query, (document_id,)).fetchone()
            is_here = row is not None and row["acceptance_signed"] == accepted.acceptance.envelope.signed
            return adopted(connection) if is_here else []

        return apply

    def _issued(self, item: api_pb2.FeedItem) -> Effect:
        happened = self._own_certificates.check([item.certificate])
        return lambda _: happened


def _closed_here(connection: sqlite3.Connection, message: evidence_pb2.Notice, at: int) -> Happened:
    was, document_id = inbox.close_by_axis(connection, message, at), message.document_id
    if was not in ("waiting", "queued", "taken"):
        return []
    happened: Happened = [("receipt_not_needed", {"document_id": document_id})]
    if was == "taken":
        # An axis that has a receipt closes nothing: it lost this one, and somebody should know of it.
        happened.append(("alarm", {"what": "taken_receipt_closed", "document_id": document_id}))
    return happened
