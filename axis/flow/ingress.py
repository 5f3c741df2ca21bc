"""From an envelope that came in to a signed acceptance (steps 4 and 5 of the journey).

The order of the checks is a rule: limits → parse → caller → a repeat? the stored acceptance → signature and
certificate path → attachments present and pinned → the sequencer. A repeat comes before everything that may
have changed since (suspension, revocation, pins, the clock): what was accepted stays accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from axispb.v1 import api_pb2, document_pb2, journal_pb2

from axis.core import state
from axis.core.decide import Accept, AcceptanceAnswer
from axis.core.document import check_created
from axis.core.envelope import MAX_SIGNATURE_BYTES, MAX_SIGNED_BYTES, Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.core.verify import Place, Verified, verify_document, verify_status
from axis.flow.desk import Desk
from axis.flow.judged import judged
from axis.flow.peers import Peer
from axis.logs import get_logger
from axis.ports import Blobs

__all__ = ["Ingress"]

#: What must be left on every pin: acceptance names the blobs, and only then are they kept for good.
_PIN_LEFT_MS: Final = 10 * 60_000

_Message = document_pb2.Document | document_pb2.Status


@dataclass(slots=True)
class _Submission:
    """One envelope on its way through the checks."""

    envelope: Envelope
    peer: Peer
    trace_id: str
    document_id: str = ""


class Ingress:
    """Takes documents and statuses."""

    def __init__(self, desk: Desk, blobs: Blobs) -> None:
        self._journal = desk.journal
        self._clock = desk.clock
        self._context = desk.context
        self._peers = desk.peers
        self._sequencer = desk.sequencer
        self._rejections = desk.rejections
        self._blobs = blobs

    async def submit(self, envelope: Envelope, peer: Peer, trace_id: str) -> api_pb2.SubmitResponse:
        """Accept an envelope, or give back the acceptance that these very bytes already have.

        Durable when it returns. Raises the Refusal that names the first check that failed; it is journalled
        as `rejected` first. Cancelled, the document may still be accepted: a repeat finds out.
        """
        submission = _Submission(envelope, peer, trace_id)
        try:
            return await judged(self._journal, lambda: self._submit(submission))
        except Refusal as refusal:
            await self._rejections.note(
                peer.organisation,
                refusal,
                bytes_sha256=envelope.signed_sha256,
                document_id=submission.document_id,
            )
            raise

    async def _submit(self, submission: _Submission) -> api_pb2.SubmitResponse:
        envelope, peer = submission.envelope, submission.peer
        kind, message = _parse(envelope)
        submission.document_id = message.document_id
        repeated = self._repeat(envelope, peer, message.document_id)
        if repeated is not None:
            return repeated
        self._sequencer.check_clock()
        self._peers.check(peer)
        verified = self._verify(envelope, kind)
        now = self._clock.now()
        check_created(message.created_at, now)
        if isinstance(message, document_pb2.Document):
            self._check_attachments(message, peer, now)
        command = Accept(verified, peer.organisation, submission.trace_id)
        answer = cast(AcceptanceAnswer, await self._sequencer.submit(command))
        sequence = cast(int, answer.sequence)
        if answer.repeated or answer.acceptance is None:  # overtaken by the same bytes on another connection
            return self._stored(sequence)
        get_logger().info(
            "envelope_accepted",
            kind=kind.value,
            document_id=message.document_id,
            organisation=peer.organisation,
            sequence=sequence,
        )
        return api_pb2.SubmitResponse(acceptance=answer.acceptance.to_message(), sequence=sequence)

    def _repeat(self, envelope: Envelope, peer: Peer, document_id: str) -> api_pb2.SubmitResponse | None:
        """The stored acceptance, if this caller's own bytes have one."""
        fact = state.document(self._journal, document_id)
        if fact is None or fact.signed_sha256 != envelope.signed_sha256:
            return None
        if fact.sender_host != peer.organisation:
            return None  # somebody else's: the checks that follow refuse it for what it is
        return self._stored(fact.accepted_sequence)

    def _stored(self, sequence: int) -> api_pb2.SubmitResponse:
        stored = self._journal.record(sequence)
        if stored is None:
            raise Refusal("unavailable", f"record {sequence} cannot be read")
        record = journal_pb2.Record.FromString(stored.raw)
        return api_pb2.SubmitResponse(
            acceptance=record.accepted.acceptance, sequence=sequence, repeated_submission=True
        )

    def _verify(
        self, envelope: Envelope, kind: Kind
    ) -> Verified[document_pb2.Document] | Verified[document_pb2.Status]:
        # Judged at the place that the acceptance would get now; the sequencer checks revocation again.
        place = Place(self._journal.head().sequence + 1, self._clock.now())
        if kind is Kind.DOCUMENT:
            return verify_document(envelope, self._context, place)
        return verify_status(envelope, self._context, place)

    def _check_attachments(self, message: document_pb2.Document, peer: Peer, now: int) -> None:
        """Every attachment uploaded by this organisation, of the size named, pinned long enough.

        Another organisation's blob answers exactly as an absent one (design decision 10).
        """
        missing = []
        for number, attachment in enumerate(message.attachments):
            held = self._blobs.pinned(attachment.sha256, peer.organisation)
            if held is None or held[1] - now < _PIN_LEFT_MS:
                missing.append((number, attachment))
            elif held[0] != attachment.size:
                raise Refusal(
                    "attachment_mismatch",
                    f"attachment {number} ({attachment.name}): {held[0]} bytes were uploaded,"
                    f" the header says {attachment.size}",
                )
        if missing:
            names = ", ".join(f"{number} ({attachment.name})" for number, attachment in missing[:20])
            raise Refusal(
                "attachment_missing",
                f"to be uploaded: {names}",
                extra={"attachments": [number for number, _ in missing]},
            )


def _parse(envelope: Envelope) -> tuple[Kind, _Message]:
    """Limits first, then the message that the first line promises."""
    if len(envelope.signed) > MAX_SIGNED_BYTES:
        raise Refusal(
            "header_too_large", f"{len(envelope.signed)} signed bytes, the limit is {MAX_SIGNED_BYTES}"
        )
    if len(envelope.signature) > MAX_SIGNATURE_BYTES:
        raise Refusal("signature_malformed", f"a signature has at most {MAX_SIGNATURE_BYTES} bytes")
    kind = envelope.kind()
    if kind not in (Kind.DOCUMENT, Kind.STATUS):
        raise Refusal("kind_mismatch", f"this is a {kind}; a document or a status is expected here")
    return kind, cast(_Message, parse(envelope.signed, kind))
