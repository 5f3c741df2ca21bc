"""The states' tables: what a document's state follows from, and how states are written in facts."""

from __future__ import annotations

import pytest
from axispb.v1 import facts_pb2

from axis.core.lifecycle import (
    OPEN_AGAIN,
    DeliveryEvent,
    DeliveryState,
    DocumentEvent,
    DocumentState,
    IllegalEvent,
    InboxEvent,
    InboxState,
    delivery_after,
    document_after,
    document_state,
    inbox_after,
)

IN_FLIGHT, RECEIVED, REFUSED, DEAD = DeliveryState


@pytest.mark.parametrize(
    ("deliveries", "state"),
    [
        ([], DocumentState.ACCEPTED),
        ([IN_FLIGHT, DEAD, REFUSED, RECEIVED], DocumentState.ACCEPTED),
        ([DEAD, REFUSED, RECEIVED], DocumentState.DEAD),
        ([REFUSED, REFUSED], DocumentState.REFUSED),
        ([REFUSED, RECEIVED], DocumentState.PARTLY_REFUSED),
        ([RECEIVED, RECEIVED], DocumentState.DELIVERED),
    ],
)
def test_a_documents_state_follows_from_its_deliveries(
    deliveries: list[DeliveryState], state: DocumentState
) -> None:
    assert document_state(deliveries) is state
    assert document_state(reversed(deliveries)) is state


@pytest.mark.parametrize("state", DeliveryState)
def test_states_are_the_same_in_facts(state: DeliveryState) -> None:
    assert DeliveryState.from_fact(state.fact) is state
    assert facts_pb2.DeliveryState.Name(state.fact) == f"DELIVERY_STATE_{state.name}"


def test_an_unset_state_is_no_state() -> None:
    with pytest.raises(KeyError):
        DeliveryState.from_fact(facts_pb2.DELIVERY_STATE_UNSPECIFIED)


def test_a_delivery_goes_from_attempt_to_attempt() -> None:
    state = delivery_after(None, DeliveryEvent.ADDRESSED)
    for event in (
        DeliveryEvent.EXPIRED,
        DeliveryEvent.REQUEUED,
        DeliveryEvent.REFUSED,
        DeliveryEvent.REQUEUED,
        DeliveryEvent.CLOSED,
        DeliveryEvent.REQUEUED,
        DeliveryEvent.RECEIVED,
    ):
        state = delivery_after(state, event)
    assert state is RECEIVED
    assert frozenset({REFUSED, DEAD}) == OPEN_AGAIN


def test_an_acceptance_wins_over_a_refusal() -> None:
    queued = document_after(None, DocumentEvent.QUEUED)
    rejected = document_after(queued, DocumentEvent.REJECTED)
    accepted = document_after(rejected, DocumentEvent.ACCEPTED)
    assert accepted is DocumentState.ACCEPTED
    with pytest.raises(IllegalEvent, match="rejected is not possible when accepted"):
        document_after(accepted, DocumentEvent.REJECTED)


def test_a_requeue_asks_the_recipient_again() -> None:
    waiting = inbox_after(None, InboxEvent.STORED)
    refused = inbox_after(waiting, InboxEvent.REFUSED)
    assert inbox_after(refused, InboxEvent.REQUEUED) is InboxState.WAITING
    with pytest.raises(IllegalEvent, match="received is not possible when nothing is there yet"):
        inbox_after(None, InboxEvent.RECEIVED)
