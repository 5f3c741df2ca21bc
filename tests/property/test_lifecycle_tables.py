"""Every state with every event: the table's next state, or IllegalEvent and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core import lifecycle as lc

MACHINES = [
    (lc.DELIVERY, lc.DeliveryState, lc.DeliveryEvent, lc.delivery_after),
    (lc.DOCUMENT, lc.DocumentState, lc.DocumentEvent, lc.document_after),
    (lc.INBOX, lc.InboxState, lc.InboxEvent, lc.inbox_after),
]


@pytest.mark.parametrize(("table", "states", "events", "after"), MACHINES)
def test_every_state_and_every_event(
    table: Mapping[tuple[Any, Any], Any], states: Any, events: Any, after: Callable[[Any, Any], Any]
) -> None:
    for state, event in itertools.product([None, *states], events):
        if (state, event) in table:
            assert after(state, event) is table[state, event]
        else:
            with pytest.raises(lc.IllegalEvent):
                after(state, event)


@pytest.mark.parametrize(("table", "states", "events", "after"), MACHINES[::2])
def test_every_state_can_be_reached_and_every_event_happens(
    table: Mapping[tuple[Any, Any], Any], states: Any, events: Any, after: object
) -> None:
    assert set(table.values()) == set(states)
    assert {event for _, event in table} == set(events)


def test_an_outcome_is_left_by_a_requeue_only() -> None:
    closed = set(lc.DeliveryState) - {lc.DeliveryState.IN_FLIGHT}
    assert {event for state, event in lc.DELIVERY if state in closed} == {lc.DeliveryEvent.REQUEUED}


@given(st.lists(st.sampled_from(lc.DeliveryState)))
def test_a_documents_state_depends_on_the_set_of_states_only(deliveries: list[lc.DeliveryState]) -> None:
    assert lc.document_state(deliveries) is lc.document_state(set(deliveries))


@given(st.lists(st.sampled_from(lc.DeliveryState), min_size=1))
def test_a_document_is_done_when_no_delivery_is_open(deliveries: list[lc.DeliveryState]) -> None:
    open_ = lc.DeliveryState.IN_FLIGHT in deliveries
    assert (lc.document_state(deliveries) is lc.DocumentState.ACCEPTED) is open_
