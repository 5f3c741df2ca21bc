"""Every state of an exchange × everything that can be said in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.document import STATUS_CODES
from axis.core.exchange import RECALL, UPDATE, Exchange

SAID = st.sampled_from(sorted(STATUS_CODES | {RECALL, UPDATE, "99"}))
STATES = st.builds(
    Exchange,
    st.integers(0, 5),
    st.sampled_from(["", RECALL, UPDATE]),
    st.sampled_from(["", "refused", "recalled"]),
)


def told(*said: str) -> tuple[Exchange, list[bool]]:
    exchange, orders = Exchange(), []
    for each in said:
        exchange, in_order = exchange.after(each)
        orders.append(in_order)
    return exchange, orders


@pytest.mark.parametrize(
    ("said", "orders", "closed"),
    [
        (["01", "03", "04", "05", "06"], [True] * 5, ""),
        (["03", "06"], [True, True], ""),
        (["06", "03"], [True, False], ""),
        (["01", "01"], [True, False], ""),
        (["01", "02", "03"], [True, True, False], "refused"),
        (["03", "02"], [True, False], ""),
        (["01", "13", "15", "03"], [True, True, True, False], "recalled"),
        (["03", "13", "16", "06"], [True, True, True, True], ""),
        ([RECALL, "15"], [True, True], "recalled"),
        ([UPDATE, "15", "06"], [True, True, True], ""),
        (["15"], [False], ""),
        (["16"], [False], ""),
        (["06", "13"], [True, False], ""),
        (["13", "13"], [True, False], ""),
    ],
)
def test_what_may_follow_what(said: list[str], orders: list[bool], closed: str) -> None:
    exchange, found = told(*said)
    assert (found, exchange.closed) == (orders, closed)


@given(STATES, SAID)
def test_what_is_out_of_order_changes_nothing_and_nothing_goes_back(exchange: Exchange, said: str) -> None:
    after, in_order = exchange.after(said)
    assert in_order or after == exchange
    assert after.step >= exchange.step
    if exchange.closed:
        assert not in_order
