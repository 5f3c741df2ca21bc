"""One agency node at a stub of the axis, on a clock that the test puts forward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import evidence_pb2

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.desk.requests import DocumentInput
from agencies.desk.service import of_fields
from agencies.store import listing
from axis.core.envelope import Envelope, Kind
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis

__all__ = ["LIMIT", "World", "claimed", "made_world", "parsed", "world"]

LIMIT = 60.0


class JumpingClock(SystemClock):
    """The machine's clock, put forward by the test; sleepers of what was jumped over wake."""

    def __init__(self) -> None:
        self.ahead = 0
        self._jumped = asyncio.Event()

    def now(self) -> int:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        end = self.now() + seconds * 1000
        while (left := end - self.now()) > 0:
            try:
                await asyncio.wait_for(self._jumped.wait(), left / 1000)
            except TimeoutError:
                return

    def jump(self, milliseconds: int) -> None:
        self.ahead += milliseconds
        self._jumped.set()
        self._jumped = asyncio.Event()


@dataclass
class World:
    home: Path
    axis: StubAxis
    clock: JumpingClock
    nodes: list[Node] = field(default_factory=list)

    @property
    def node(self) -> Node:
        return self.nodes[-1]

    async def start(self) -> Node:
        self.nodes.append(await Node(self.home, clock=self.clock, random=lambda: 1.0).start())
        return self.node

    async def restart(self) -> Node:
        await self.node.stop()
        return await self.start()

    async def send(self, *to: str, key: str = "", files: tuple[bytes, ...] = (), **more: Any) -> str:
        async def chunks(content: bytes) -> AsyncIterator[bytes]:
            yield content

        parts = self.node.parts
        stored = [await parts.spool.take("a.pdf", "application/pdf", chunks(each)) for each in files]
        raw = {"to": list(to), "subject": "Subject", **more}
        document = DocumentInput.model_validate(raw)
        answer = await parts.service.send(of_fields(raw, document, stored, key, "4b" * 16))
        return str(answer["document_id"])

    def sent(self, document_id: str) -> dict[str, Any]:
        return listing.sent_one(self.node.parts.store, document_id)

    def got(self, document_id: str) -> dict[str, Any]:
        return listing.inbox_one(self.node.parts.store, document_id)

    def state(self, document_id: str) -> str:
        return str(self.sent(document_id)["state"])

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for what the store shows; a document that is not there yet is no error."""
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    newest = self.node.parts.events.newest
                    try:
                        if found := condition():
                            return found
                    except Refusal:
                        pass
                    await self.node.parts.events.beyond(newest, 0.02)
        except TimeoutError:
            for task in asyncio.all_tasks():
                task.print_stack()
            print(*map(dict, self.node.parts.store.rows("SELECT * FROM held")), sep="\n")
            raise


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(tmp_path) as made:
        yield made


@asynccontextmanager
async def made_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    clock = JumpingClock()
    axis = StubAxis(folder, clock.now)
    runner = await axis.start()
    made = World(folder / "home", axis, clock)
    axis.agency("G22", made.home, **settings)
    for code in ("G14", "H26"):
        axis.stranger(code)
    try:
        await made.start()
        yield made
    finally:
        await asyncio.gather(*(node.stop() for node in made.nodes))
        await runner.cleanup()


def claimed(item: Any) -> str:
    return evidence_pb2.Acceptance.FromString(item.acceptance.signed[len(Kind.ACCEPTANCE.line) :]).document_id


def parsed(receipt: Envelope) -> evidence_pb2.Receipt:
    return evidence_pb2.Receipt.FromString(receipt.signed[len(Kind.RECEIPT.line) :])
