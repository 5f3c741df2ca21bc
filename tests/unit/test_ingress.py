"""Rejections within their limits, and the corners of ingress that no client can reach on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from axis.core.errors import Refusal
from axis.flow import rejections as module
from axis.flow.desk import Desk
from axis.flow.ingress import Ingress
from axis.flow.rejections import Rejections
from tests.support.flow import FlowWorld, flow_world

MINUTE = 60_000


@pytest.fixture
async def world() -> AsyncIterator[FlowWorld]:
    async with flow_world("G22") as made:
        yield made


def rejected(world: FlowWorld) -> list[tuple[str, str, int]]:
    return [
        (record.rejected.organisation, record.rejected.code, record.rejected.count)
        for record in world.records()
        if record.HasField("rejected")
    ]


async def test_the_same_refusal_is_journalled_once(world: FlowWorld) -> None:
    rejections = Rejections(world.sequencer, world.clock)
    refusal = Refusal("signature_invalid", "x" * 600)
    for _ in range(3):
        await rejections.note("G22", refusal, bytes_sha256=b"a" * 32, document_id="d" * 100)
    await rejections.note("G22", refusal, bytes_sha256=b"b" * 32)
    await rejections.note("G14", refusal, bytes_sha256=b"a" * 32)
    assert rejected(world) == [
        ("G22", "signature_invalid", 1),
        ("G22", "signature_invalid", 1),
        ("G14", "signature_invalid", 1),
    ]
    record = next(r.rejected for r in world.records() if r.HasField("rejected"))
    assert (len(record.detail), len(record.document_id)) == (500, 64)


async def test_what_says_nothing_about_the_caller_is_not_journalled(world: FlowWorld) -> None:
    rejections = Rejections(world.sequencer, world.clock)
    for code in ("unavailable", "storage_full", "behind_head", "rate_limited", "shutting_down"):
        await rejections.note("G22", Refusal(code))
    assert rejected(world) == []


async def test_over_60_a_minute_are_summed_up(world: FlowWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 50)
    rejections = Rejections(world.sequencer, world.clock)

    async def burst(first: int, count: int) -> None:
        for number in range(first, first + count):
            await rejections.note("G22", Refusal("id_reused"), bytes_sha256=number.to_bytes(32, "big"))

    await burst(0, 70)
    assert [count for _, _, count in rejected(world)] == [1] * 60
    await rejections.sum_up()
    assert len(rejected(world)) == 60, "the minute is not over"
    world.clock.advance(MINUTE)
    await burst(100, 65)
    assert [count for _, _, count in rejected(world)] == [1] * 60 + [10] + [1] * 60
    world.clock.advance(MINUTE)
    await rejections.sum_up()
    assert rejected(world)[-1] == ("G22", "id_reused", 5)
    await rejections.sum_up()
    await burst(200, 61)
    await rejections.sum_up(everything=True)
    assert rejected(world)[-1] == ("G22", "id_reused", 1)
    await burst(300, 1)
    world.clock.advance(MINUTE)
    before = len(rejected(world))
    await rejections.sum_up()
    assert len(rejected(world)) == before, "nothing was left over"


async def test_a_refusal_that_cannot_be_journalled_is_given_all_the_same(world: FlowWorld) -> None:
    rejections = Rejections(world.sequencer, world.clock)
    world.journal.full = True
    await rejections.note("G22", Refusal("id_reused"))
    world.journal.full = False
    assert rejected(world) == []


async def test_an_acceptance_that_cannot_be_read_is_temporary(world: FlowWorld) -> None:
    nothing = cast(Any, None)
    desk = Desk(world.journal, world.clock, nothing, nothing, world.sequencer, nothing)
    ingress = Ingress(desk, nothing)
    with pytest.raises(Refusal, match="unavailable"):
        ingress._stored(10_000)
