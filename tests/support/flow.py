"""The flows on the in-memory journal, with a clock that the test moves and stand-in signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from axispb.v1 import document_pb2, journal_pb2

from axis.core import lookup, state
from axis.core.commands import Accept, Command, Enrol, Found, IssueToken, Register, TakeReceipt
from axis.core.document import new_document_id
from axis.core.envelope import Kind
from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.core.receipt import build_receipt
from axis.flow.peers import Peer
from axis.flow.sequencer import Sequencer
from axis.journal.memory import MemoryJournal
from tests.world import AXIS_ID, DAY, START, certificate, sha256, sign, verified


class HandClock:
    """Time moves when the test says so; who sleeps waits for it."""

    def __init__(self) -> None:
        self.time = START
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + round(seconds * 1000), waiter))
        await waiter

    def advance(self, milliseconds: int) -> None:
        self.time += milliseconds
        for due, waiter in self._sleepers:
            if due <= self.time and not waiter.done():
                waiter.set_result(None)


class TestJournal(MemoryJournal):
    """The in-memory engine; `before_append` may raise, or append something else first."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__("5f0c3b9e-0000-4000-8000-000000000000", state.reduce)
        self.before_append: Callable[[], None] | None = None
        self.frames_appended: list[Frame] = []

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        if self.before_append is not None:
            act, self.before_append = self.before_append, None
            act()
        self.frames_appended.append(frame)
        return await super().append(expected, frame, changes)


class FlowWorld:
    """A journal with its sequencer, and short ways to say things."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.journal = TestJournal()
        self.sequencer = Sequencer(self.journal, self.clock, sign)
        self.ids = 0

    async def do(self, command: Command) -> Any:
        return await self.sequencer.submit(command)

    async def unit(self, code: str, *, node: bool = False, **values: Any) -> None:
        await self.do(Register(code, f"Unit {code}", **values))
        if node:
            secret = sha256(f"secret {code}")
            await self.do(IssueToken(code, secret, self.clock.now() + DAY))
            await self.do(Enrol(code, secret, certificate(code, "tls"), certificate(code, "sign")))

    def peer(self, code: str) -> Peer:
        return Peer(code, certificate(code, "tls").sha256)

    def document(self, sender: str, to: Iterable[str], priority: int = 0, subject: str = "Decision") -> Any:
        self.ids += 1
        message = document_pb2.Document(
            axis_id=AXIS_ID,
            document_id=new_document_id(self.clock.now(), self.ids.to_bytes(10, "big")),
            sender_unit=sender,
            acting_organisation=sender,
            recipients=to,
            created_at=self.clock.now(),
        )
        message.fields.subject = subject
        message.fields.other.priority = priority
        return verified(Kind.DOCUMENT, message, certificate(sender))

    async def send(self, sender: str, *to: str, priority: int = 0) -> str:
        document = self.document(sender, to, priority)
        await self.do(Accept(document, sender, "4b" * 16))
        return str(document.message.document_id)

    def receipt(self, document_id: str, unit: str, received: bool = True) -> Any:
        bound = lookup.document(self.journal, document_id)
        delivery = lookup.delivery(self.journal, document_id, unit)
        assert bound is not None
        assert delivery is not None
        message = build_receipt(
            axis_id=AXIS_ID,
            document_id=document_id,
            bound=bound,
            recipient_unit=unit,
            acting_organisation=delivery.host,
            attempt=delivery.attempt,
            received=received,
            stored_at=self.clock.now(),
        )
        return verified(Kind.RECEIPT, message, certificate(delivery.host))

    async def give(self, document_id: str, unit: str, received: bool = True) -> Any:
        receipt = self.receipt(document_id, unit, received)
        return await self.do(TakeReceipt(receipt, receipt.message.acting_organisation))

    def records(self) -> list[journal_pb2.Record]:
        raws = [raw for frame in self.journal.frames(0, 10_000) for raw in frame.records]
        return [journal_pb2.Record.FromString(raw) for raw in raws]


@asynccontextmanager
async def flow_world(*organisations: str) -> AsyncIterator[FlowWorld]:
    """A founded journal with these organisations, its sequencer running."""
    world = FlowWorld()
    running = asyncio.create_task(world.sequencer.run())
    await world.do(Found(AXIS_ID, (b"anchor",), ()))
    for code in organisations:
        await world.unit(code, node=True)
    try:
        yield world
    finally:
        world.sequencer.drain()
        await running
