"""Receipts: what becomes of each delivery, said by the receiver and taken once (step 7 of the journey).

A batch is a convenience of transport: every receipt in it stands alone, and one that is refused harms no
other. The same signed bytes again get the first answer, also when the organisation has been suspended or
its certificate revoked since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from axispb.v1 import api_pb2, evidence_pb2

from axis.core import state
from axis.core.decide import ReceiptAnswer, TakeReceipt
from axis.core.envelope import Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.core.verify import Place, verify_receipt
from axis.flow.desk import Desk
from axis.flow.judged import judged
from axis.flow.peers import Peer
from axis.flow.standing import standing
from axis.logs import get_logger

__all__ = ["MAX_BATCH", "Receipts"]

MAX_BATCH: Final = 100
_CLOSED: Final = frozenset({"delivery_closed", "outcome_conflict"})
_OUTCOMES: Final = {evidence_pb2.OUTCOME_RECEIVED: "received", evidence_pb2.OUTCOME_REFUSED: "refused"}


class Receipts:
    """Takes receipts."""

    def __init__(self, desk: Desk) -> None:
        self._journal = desk.journal
        self._clock = desk.clock
        self._context = desk.context
        self._peers = desk.peers
        self._sequencer = desk.sequencer
        self._rejections = desk.rejections

    async def take(self, receipts: Sequence[Envelope], peer: Peer, trace_id: str) -> api_pb2.ReceiptResults:
        """One result for each receipt, in order, each durable when this returns.

        Raises Refusal `field_invalid` for an empty or too large batch; nothing of it was taken then.
        """
        if not 1 <= len(receipts) <= MAX_BATCH:
            raise Refusal("field_invalid", f"receipts: 1 to {MAX_BATCH} at a time, not {len(receipts)}")
        # Together, so that they land in one frame.
        results = await asyncio.gather(*(self._result(receipt, peer, trace_id) for receipt in receipts))
        return api_pb2.ReceiptResults(results=results)

    async def _result(self, envelope: Envelope, peer: Peer, trace_id: str) -> api_pb2.ReceiptResult:
        receipt = evidence_pb2.Receipt()
        try:
            receipt = cast(evidence_pb2.Receipt, parse(envelope.signed, Kind.RECEIPT))
            sequence = await judged(self._journal, lambda: self._judge(envelope, receipt, peer, trace_id))
            return api_pb2.ReceiptResult(sequence=sequence, at=self._journal.time_of(sequence))
        except Refusal as refusal:
            await self._rejections.note(
                peer.organisation,
                refusal,
                bytes_sha256=envelope.signed_sha256,
                document_id=receipt.document_id,
            )
            # To this caller: whoever is not the attempt's host was refused for that.
            stands = self._standing(receipt) if refusal.name in _CLOSED else None
            return api_pb2.ReceiptResult(code=refusal.name, detail=refusal.detail, standing=stands)

    def _standing(self, receipt: evidence_pb2.Receipt) -> api_pb2.Standing | None:
        return standing(self._journal, receipt.document_id, receipt.recipient_unit, receipt.attempt)

    async def _judge(
        self, envelope: Envelope, receipt: evidence_pb2.Receipt, peer: Peer, trace_id: str
    ) -> int:
        sequence = self._repeat(envelope, receipt, peer)
        if sequence is None:
            sequence = await self._take(envelope, receipt, peer, trace_id)
        return sequence

    def _repeat(self, envelope: Envelope, receipt: evidence_pb2.Receipt, peer: Peer) -> int | None:
        """Where these very bytes were taken before."""
        closed = state.outcome(self._journal, receipt.document_id, receipt.recipient_unit, receipt.attempt)
        same = closed is not None and closed.signed_sha256 == envelope.signed_sha256
        if closed is None or not same or receipt.acting_organisation != peer.organisation:
            return None
        return closed.sequence

    async def _take(
        self, envelope: Envelope, receipt: evidence_pb2.Receipt, peer: Peer, trace_id: str
    ) -> int:
        self._sequencer.check_clock()
        self._peers.check(peer)
        # Judged at the place that the record would get now; the sequencer checks revocation again.
        place = Place(self._journal.head().sequence + 1, self._clock.now())
        verified = verify_receipt(envelope, self._context, place)
        command = TakeReceipt(verified, peer.organisation, trace_id)
        answer = cast(ReceiptAnswer, await self._sequencer.submit(command))
        if not answer.repeated:
            get_logger().info(
                "receipt_taken",
                document_id=receipt.document_id,
                unit=receipt.recipient_unit,
                attempt=receipt.attempt,
                outcome=_OUTCOMES[receipt.outcome],
            )
        return cast(int, answer.sequence)
