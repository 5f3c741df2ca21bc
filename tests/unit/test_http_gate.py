"""The head guard and the limiter: what one caller may ask for, and how far it has seen."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, ExitStack

import pytest

from axis.core.commands import Register
from axis.core.errors import Refusal
from axis.http import heads as heads_module
from axis.http.heads import HeadGuard
from axis.http.limits import Limiter
from tests.support.flow import FlowWorld, HandClock, flow_world


async def code(guard: HeadGuard, header: str | None, earlier: str | None = None) -> str:
    try:
        await guard.check(header, earlier)
    except Refusal as refusal:
        return refusal.name
    return ""


def ahead(world: FlowWorld, by: int) -> str:
    head = world.journal.head()
    return f"{head.journal_id}:{head.sequence + by}:{'ab' * 32}"


async def test_every_head_of_the_journal_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "_REMEMBERED", 2)
    async with flow_world("G22") as world:
        guard = HeadGuard(world.journal)
        world.journal.on_landed(guard.landed)
        seen = [f"{world.journal.head().journal_id}:0:{'0' * 64}"]
        for number in range(4):
            await world.do(Register(f"U{number}", "Unit"))
            seen.append(str(world.journal.head()))
        for header in (None, *seen, *seen):
            assert await code(guard, header) == ""
        assert guard.current() == seen[-1]


async def test_earlier_heads_are_compared_too() -> None:
    async with flow_world("G22") as world:
        guard = HeadGuard(world.journal)
        heads = [world.journal.head()]
        for number in range(3):
            await world.do(Register(f"U{number}", "Unit"))
            heads.append(world.journal.head())
        *earlier, highest = [str(each) for each in heads]
        lower = [each.partition(":")[2] for each in earlier]
        for some in (lower[:1], lower, [*lower, highest.partition(":")[2]], lower[:1] * 32):
            assert await code(guard, highest, ",".join(some)) == ""
            assert await code(guard, highest, ", ".join(some)) == ""
        lost = f"{heads[1].sequence}:{'ab' * 32}"
        assert await code(guard, highest, ",".join([lower[0], lost])) == "head_unknown"
        above = f"{heads[-1].sequence + 1}:{'ab' * 32}"
        for malformed in ("x", ",", f"{lower[0]},", above, ",".join(lower[:1] * 33), earlier[0]):
            assert await code(guard, highest, malformed) == "field_invalid", malformed
        assert await code(guard, None, lower[0]) == "field_invalid"


async def test_a_head_that_does_not_exist_here() -> None:
    async with flow_world("G22") as world:
        guard = HeadGuard(world.journal)
        head = world.journal.head()
        for header in (
            ahead(world, 1),
            f"{head.journal_id}:{head.sequence}:{'ab' * 32}",
            f"other:{head.sequence}:{head.sha256.hex()}",
        ):
            assert await code(guard, header) == "head_unknown"
        await asyncio.gather(world.do(Register("U1", "Unit")), world.do(Register("U2", "Unit")))
        inside = f"{head.journal_id}:{head.sequence + 1}:{'ab' * 32}"
        assert await code(guard, inside) == "head_unknown", "no frame ends there"


@pytest.mark.parametrize(
    "header", ["x", "a:b:c", f":1:{'0' * 64}", f"j:-1:{'0' * 64}", f"j:{'9' * 20}:{'0' * 64}"]
)
async def test_a_header_that_is_none(header: str) -> None:
    async with flow_world() as world:
        assert await code(HeadGuard(world.journal), header) == "field_invalid"


async def test_one_node_of_several_waits_for_what_another_has() -> None:
    async with flow_world("G22") as world:
        guard = HeadGuard(world.journal, sole=False, wait=5)
        head = world.journal.head()
        waiting = asyncio.create_task(code(guard, f"{head.journal_id}:{head.sequence + 1}:{'ab' * 32}"))
        await asyncio.sleep(0)
        await world.do(Register("U1", "Unit"))
        assert await waiting == "head_unknown", "it came, and is another one"
        assert await code(HeadGuard(world.journal, sole=False, wait=0.01), ahead(world, 1)) == "behind_head"


def refused(held: AbstractContextManager[None], match: str) -> None:
    with pytest.raises(Refusal, match=match), held:
        pass


def limiter(clock: HandClock) -> Limiter:
    return Limiter(clock, rate=2.0, burst=3, concurrent=2, uploads=4)


def test_a_caller_has_so_many_requests_a_second() -> None:
    clock = HandClock()
    limits = limiter(clock)
    for _ in range(3):
        with limits.request("G22"):
            pass
    with pytest.raises(Refusal, match="rate_limited") as caught, limits.request("G22"):
        pass
    assert caught.value.retry_after == 1
    with limits.request("G14"):
        pass
    clock.advance(-5000)
    with pytest.raises(Refusal), limits.request("G22"):
        pass
    clock.advance(500)
    with limits.request("G22"):
        pass


def test_a_caller_has_so_many_requests_at_a_time() -> None:
    limits = limiter(HandClock())
    with limits.request("G22"), limits.request("G22"):
        refused(limits.request("G22"), "at a time")
    with limits.request("G22"):
        pass


def test_uploads_are_bounded_for_each_and_for_all() -> None:
    limits = limiter(HandClock())
    with limits.upload("A"):
        with pytest.raises(Refusal, match="uploads"), limits.upload("A"):
            pass
        with limits.upload("B"), limits.upload("C"), limits.upload("D"):
            refused(limits.upload("E"), "uploads")
    with limits.upload("A"):
        pass


def test_callers_are_forgotten_when_they_are_gone() -> None:
    clock = HandClock()
    limits = limiter(clock)
    with limits.request("A"), limits.request("B"):
        clock.advance(61_000)
        with limits.request("C"):
            assert set(limits._callers) == {"A", "B", "C"}
    clock.advance(61_000)
    with limits.request("D"):
        assert set(limits._callers) == {"D"}


def stranger(limits: Limiter, address: str, times: int) -> list[str]:
    """How many requests, one after the other, were refused."""
    answers = []
    for _ in range(times):
        try:
            with limits.stranger(address):
                answers.append("")
        except Refusal as refusal:
            answers.append(refusal.name)
    return answers


def test_one_stranger_does_not_keep_others_from_enrolling() -> None:
    limits = limiter(HandClock())
    assert stranger(limits, "192.0.2.1", 1100)[-1] == "rate_limited"
    for address in ("192.0.2.2", "2001:db8::1", "fe80::1%eth0", ""):
        assert stranger(limits, address, 1) == [""]
    assert stranger(limits, "2001:db8::1", 999)[-1] == ""
    assert stranger(limits, "2001:db8::2", 1) == ["rate_limited"], "of the same network"


def test_strangers_have_so_many_requests_at_a_time() -> None:
    limits = limiter(HandClock())
    with ExitStack() as held:
        for number in range(256):
            if number == 16:
                refused(limits.stranger("192.0.2.0"), "16 requests at a time")
            held.enter_context(limits.stranger(f"192.0.2.{number // 16}"))
        refused(limits.stranger("198.51.100.1"), "too many are enrolling")
        with limits.request("G22"):
            pass
    with limits.stranger("198.51.100.1"):
        pass
