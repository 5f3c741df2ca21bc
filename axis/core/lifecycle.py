"""The states of a delivery and of a document, and the only events that change them.

Each lifecycle is a table: (state, event) → next state. An event that the table does not hold is illegal:
`IllegalEvent` is raised and nothing has changed. Nothing else in the code moves a state.

A *delivery* is one document on its way to one unit; the axis keeps its state. The *document*'s state is
what its sender's node shows: queued and rejected are that node's own, the rest follows from the
deliveries. An *inbox entry* is a document at its recipient's node.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from axispb.v1 import facts_pb2

__all__ = [
    "DELIVERY",
    "DOCUMENT",
    "INBOX",
    "OPEN_AGAIN",
    "DeliveryEvent",
    "DeliveryState",
    "DocumentEvent",
    "DocumentState",
    "IllegalEvent",
    "InboxEvent",
    "InboxState",
    "delivery_after",
    "document_after",
    "document_state",
    "inbox_after",
]


class IllegalEvent(Exception):
    """The table has no such event in this state; nothing changed."""


class DeliveryState(enum.StrEnum):
    """Where the latest attempt of a delivery stands."""

    IN_FLIGHT = "in_flight"
    RECEIVED = "received"
    REFUSED = "refused"
    DEAD = "dead"

    @property
    def fact(self) -> facts_pb2.DeliveryState:
        """The same state as facts hold it."""
        return _FACTS[self]

    @staticmethod
    def from_fact(value: facts_pb2.DeliveryState | int) -> DeliveryState:
        """Read the state out of a fact; KeyError for an unset one."""
        return _STATES[value]


_FACTS: Final = {
    DeliveryState.IN_FLIGHT: facts_pb2.DELIVERY_STATE_IN_FLIGHT,
    DeliveryState.RECEIVED: facts_pb2.DELIVERY_STATE_RECEIVED,
    DeliveryState.REFUSED: facts_pb2.DELIVERY_STATE_REFUSED,
    DeliveryState.DEAD: facts_pb2.DELIVERY_STATE_DEAD,
}
_STATES: Final[dict[facts_pb2.DeliveryState | int, DeliveryState]] = {v: state for state, v in _FACTS.items()}


class DeliveryEvent(enum.StrEnum):
    """What happens to a delivery, each by one record."""

    ADDRESSED = "addressed"  # the document was accepted
    RECEIVED = "received"  # a receipt
    REFUSED = "refused"  # a receipt
    EXPIRED = "expired"  # nobody took it in 30 days
    CLOSED = "closed"  # by the operator
    REQUEUED = "requeued"  # by the operator: the next attempt


class DocumentState(enum.StrEnum):
    """What a sender's node shows of a document."""

    QUEUED = "queued"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    PARTLY_REFUSED = "partly_refused"
    REFUSED = "refused"
    DEAD = "dead"


class DocumentEvent(enum.StrEnum):
    """What the axis answers to a document in the outbox."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class InboxState(enum.StrEnum):
    """A document at its recipient's node."""

    WAITING = "waiting"
    RECEIVED = "received"
    REFUSED = "refused"


class InboxEvent(enum.StrEnum):
    """What happens to a document at its recipient's node."""

    STORED = "stored"
    RECEIVED = "received"
    REFUSED = "refused"
    REQUEUED = "requeued"


DELIVERY: Final[Mapping[tuple[DeliveryState | None, DeliveryEvent], DeliveryState]] = MappingProxyType(
    {
        (None, DeliveryEvent.ADDRESSED): DeliveryState.IN_FLIGHT,
        (DeliveryState.IN_FLIGHT, DeliveryEvent.RECEIVED): DeliveryState.RECEIVED,
        (DeliveryState.IN_FLIGHT, DeliveryEvent.REFUSED): DeliveryState.REFUSED,
        (DeliveryState.IN_FLIGHT, DeliveryEvent.EXPIRED): DeliveryState.DEAD,
        (DeliveryState.IN_FLIGHT, DeliveryEvent.CLOSED): DeliveryState.DEAD,
        (DeliveryState.REFUSED, DeliveryEvent.REQUEUED): DeliveryState.IN_FLIGHT,
        (DeliveryState.DEAD, DeliveryEvent.REQUEUED): DeliveryState.IN_FLIGHT,
    }
)

#: The states from which the operator may open the next attempt.
OPEN_AGAIN: Final = frozenset(state for state, event in DELIVERY if event is DeliveryEvent.REQUEUED)

DOCUMENT: Final[Mapping[tuple[DocumentState | None, DocumentEvent], DocumentState]] = MappingProxyType(
    {
        (None, DocumentEvent.QUEUED): DocumentState.QUEUED,
        (DocumentState.QUEUED, DocumentEvent.ACCEPTED): DocumentState.ACCEPTED,
        (DocumentState.QUEUED, DocumentEvent.REJECTED): DocumentState.REJECTED,
        # An acceptance that appears in the feed after a refusal wins: the journal is the truth.
        (DocumentState.REJECTED, DocumentEvent.ACCEPTED): DocumentState.ACCEPTED,
        # Sent again after the axis was restored from an older copy.
        (DocumentState.ACCEPTED, DocumentEvent.ACCEPTED): DocumentState.ACCEPTED,
    }
)

INBOX: Final[Mapping[tuple[InboxState | None, InboxEvent], InboxState]] = MappingProxyType(
    {
        (None, InboxEvent.STORED): InboxState.WAITING,
        (InboxState.WAITING, InboxEvent.RECEIVED): InboxState.RECEIVED,
        (InboxState.WAITING, InboxEvent.REFUSED): InboxState.REFUSED,
        # The next attempt needs a receipt of its own, whatever became of the earlier one's.
        (InboxState.WAITING, InboxEvent.REQUEUED): InboxState.WAITING,
        (InboxState.RECEIVED, InboxEvent.REQUEUED): InboxState.WAITING,
        (InboxState.REFUSED, InboxEvent.REQUEUED): InboxState.WAITING,
    }
)

_State = TypeVar("_State")
_Event = TypeVar("_Event")


def delivery_after(state: DeliveryState | None, event: DeliveryEvent) -> DeliveryState:
    """The delivery's next state (None: there is none yet); IllegalEvent where the table has none."""
    return _after(DELIVERY, state, event)


def document_after(state: DocumentState | None, event: DocumentEvent) -> DocumentState:
    """The outbox entry's next state while no delivery is known; IllegalEvent where the table has none."""
    return _after(DOCUMENT, state, event)


def inbox_after(state: InboxState | None, event: InboxEvent) -> InboxState:
    """The inbox entry's next state; IllegalEvent where the table has none."""
    return _after(INBOX, state, event)


def document_state(deliveries: Iterable[DeliveryState]) -> DocumentState:
    """The state of an accepted document, from the states of its deliveries.

    `accepted` while one is open, else `dead` if any is, `refused` if all are, `partly_refused`,
    `delivered`.
    """
    states = set(deliveries)
    if not states or DeliveryState.IN_FLIGHT in states:
        return DocumentState.ACCEPTED
    if DeliveryState.DEAD in states:
        return DocumentState.DEAD
    if states == {DeliveryState.REFUSED}:
        return DocumentState.REFUSED
    if DeliveryState.REFUSED in states:
        return DocumentState.PARTLY_REFUSED
    return DocumentState.DELIVERED


def _after(
    table: Mapping[tuple[_State | None, _Event], _State], state: _State | None, event: _Event
) -> _State:
    try:
        return table[state, event]
    except KeyError:
        raise IllegalEvent(f"{event} is not possible when {state or 'nothing is there yet'}") from None
