"""Who this node is: the organisation's code, what it signs with now, and what it trusts."""

from __future__ import annotations

from agencies.keys import Credentials
from agencies.store.inbox import SignedReceipt
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.lifecycle import InboxState
from axis.core.receipt import Binding, build_receipt
from axis.core.trust import Anchors
from axis.core.verify import Certificates, Context
from axis.ports import Clock

__all__ = ["Identity"]

_REASON_LIMIT = 500


class Identity:
    """One organisation at one axis. The credentials may be replaced while the node runs."""

    def __init__(self, code: str, credentials: Credentials, certificates: Certificates, clock: Clock) -> None:
        self.code = code
        self._clock = clock
        self._certificates = certificates
        self.use(credentials)

    def use(self, credentials: Credentials) -> None:
        """Sign with these from now on."""
        self.credentials = credentials
        anchors = Anchors(credentials.anchors, credentials.intermediates)
        self.context = Context(axis_id=credentials.axis_id, anchors=anchors, certificates=self._certificates)

    @property
    def axis_id(self) -> str:
        """The axis that everything this node signs is for."""
        return self.context.axis_id

    def sign(self, signed: bytes) -> Envelope:
        """Sign with the current certificate."""
        return Envelope(signed, self.credentials.sign(signed, self._clock.now()))

    def receipt(
        self, document_id: str, bound: Binding, unit: str, attempt: int, outcome: InboxState, reason: str = ""
    ) -> SignedReceipt:
        """A signed receipt, or for the outcome `waiting` the place that one will take."""
        stored_at = self._clock.now()
        reason = reason[:_REASON_LIMIT]
        if outcome is InboxState.WAITING:
            return SignedReceipt(unit, attempt, outcome, "", stored_at, None, None)
        message = build_receipt(
            axis_id=self.axis_id,
            document_id=document_id,
            bound=bound,
            recipient_unit=unit,
            acting_organisation=self.code,
            attempt=attempt,
            received=outcome is InboxState.RECEIVED,
            stored_at=stored_at,
            reason=reason,
        )
        envelope = self.sign(signed_bytes(Kind.RECEIPT, message))
        return SignedReceipt(
            unit, attempt, outcome, reason, stored_at, envelope, self.credentials.certificate_sha256
        )
