"""The software's decisions on what came: one of them, whatever comes at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.desk.requests import ReceiptInput
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis


@pytest.fixture
async def waiting(tmp_path: Path) -> AsyncIterator[tuple[Node, str]]:
    """A node, and a document of its inbox that waits."""
    axis = StubAxis(tmp_path, SystemClock().now)
    runner = await axis.start()
    axis.agency("G22", tmp_path / "home", receipt="software")
    axis.stranger("G14")
    axis.unit("G22.1", enrolled=False, parent="G22")
    axis.accept(axis.document("G14", "G22", "G22.1"))
    async with Node(tmp_path / "home") as node:
        async with asyncio.timeout(30):
            while (row := node.parts.store.row("SELECT document_id FROM received")) is None:
                await node.parts.events.beyond(node.parts.events.newest, 0.02)
        yield node, row["document_id"]
    await runner.cleanup()


def outcomes(node: Node) -> set[str]:
    return {row["outcome"] for row in node.parts.store.rows("SELECT outcome FROM receipt")}


@pytest.mark.parametrize("keys", [("", ""), ("one", "two")])
async def test_of_two_decisions_at_once_one_is_refused(
    waiting: tuple[Node, str], keys: tuple[str, str]
) -> None:
    node, document_id = waiting
    decisions = (ReceiptInput(outcome="received"), ReceiptInput(outcome="refused", reason="no"))
    answers = await asyncio.gather(
        *(
            node.parts.service.receipt(document_id, decision, key)
            for decision, key in zip(decisions, keys, strict=True)
        ),
        return_exceptions=True,
    )
    (refused,) = (answer for answer in answers if isinstance(answer, Refusal))
    (answered,) = (answer for answer in answers if isinstance(answer, dict))
    assert refused.name == "outcome_conflict"
    assert outcomes(node) == {answered["outcome"]}


async def test_a_decision_on_one_unit_undoes_none_on_all(waiting: tuple[Node, str]) -> None:
    node, document_id = waiting
    answers = await asyncio.gather(
        node.parts.service.receipt(document_id, ReceiptInput(outcome="received", unit="G22.1"), "one"),
        node.parts.service.receipt(document_id, ReceiptInput(outcome="refused"), "two"),
        return_exceptions=True,
    )
    # Together they contradict each other; one after the other the second decides on what is left.
    left = "waiting" if isinstance(answers[1], Refusal) else "refused"
    rows = node.parts.store.rows("SELECT unit, outcome FROM receipt ORDER BY unit")
    assert [tuple(row) for row in rows] == [("G22", left), ("G22.1", "received")]


async def test_the_same_decision_twice_at_once_is_one(waiting: tuple[Node, str]) -> None:
    node, document_id = waiting
    decision = ReceiptInput(outcome="received")
    both = await asyncio.gather(
        *(node.parts.service.receipt(document_id, decision, key) for key in ("one", "two"))
    )
    assert [answer["outcome"] for answer in both] == ["received", "received"]
    assert outcomes(node) == {"received"}
