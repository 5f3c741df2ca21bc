"""A simulated country: an axis of one or two nodes, agencies, and people who try again until they know."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from axispb.v1 import document_pb2

from agencies.desk.requests import ReceiptInput, StatusInput
from agencies.desk.service import Submission
from agencies.desk.spool import Spool
from agencies.store.restored import is_catching_up
from agencies.times import DAY_MS
from axis.blobs.memory import MemoryBlobs
from axis.core.errors import Refusal
from tests.simulation.crashing import Host, tasks_of_hosts
from tests.simulation.loop import SimulatedClock
from tests.simulation.machines import Agency, Axis
from tests.simulation.template import DECIDES, NODES, Template

__all__ = ["CLOSED", "Country"]

T = TypeVar("T")

QUIET_WITHIN = 1800.0
#: Why the operator closes deliveries.
CLOSED = "gone"
#: How long a machine that is lost stays away: nothing that it sent is on its way any more.
REPLACED_AFTER = 120.0


@dataclass(frozen=True)
class Handed:
    """What somebody handed in."""

    sender: str
    to: tuple[str, ...]
    files: tuple[bytes, ...]
    fields: dict[str, Any]
    key: str


@dataclass
class Country:
    """Built inside a virtual loop; `plan` is crash plan and weather in one."""

    template: Template
    folder: Path
    plan: Any
    seed: int
    sqlite: bool = False  # the axis's journal is a file, as in production
    clustered: bool = False  # the axis has two nodes
    #: document or status → the node that has promised to send it
    promised: dict[str, str] = field(default_factory=dict)
    #: document → (SHA-256, size) of its attachments
    files: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    #: document → how it was handed in
    handed: dict[str, Handed] = field(default_factory=dict)
    suspended: bool = False
    aged: bool = False  # the world's time has jumped by days
    older: bool = False  # the axis was restored from an older copy
    #: agencies that are not started again for the time being
    away: set[str] = field(default_factory=set)
    axes: dict[str, Axis] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)

    async def start(self) -> None:
        asyncio.get_running_loop().set_task_factory(tasks_of_hosts)
        self._outside = contextvars.copy_context()
        self.clock = SimulatedClock()
        self.random = random.Random(self.seed * 7 + 1)
        self._restarts: set[asyncio.Task[None]] = set()
        blobs, cluster = MemoryBlobs(), self.template.cluster() if self.clustered else None
        for name in ("axis", "axis-2") if self.clustered else ("axis",):
            path = self.folder / f"{name}.sqlite"
            axis = Axis(name, self.template, path, self.plan, self.clock, self._died, blobs, cluster)
            if self.sqlite:
                await axis.use_sqlite()
            self.axes[name] = axis
            await axis.start()
        self.axis = self.axes["axis"]
        for code in NODES:
            near = self.random.sample(list(self.axes.values()), len(self.axes))
            agency = Agency(code, self.folder / code, near, self.plan, self._died, self.random)
            self.agencies[code] = agency
            await agency.start()

    async def stop(self) -> None:
        """Pull every plug."""
        self._restarts = set()
        self.stopped = True
        for machine in (*self.agencies.values(), *self.axes.values()):
            machine.host.kill()
        for axis in self.axes.values():
            await axis.journal.close()
        for agency in self.agencies.values():
            if agency.node is not None:
                agency.node.unplugged()

    stopped = False

    def _died(self, host: Host) -> None:
        if not self.stopped:
            # Not on the host that dies: this task would die with it.
            task = asyncio.get_running_loop().create_task(self._restart(host), context=self._outside)
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    async def _restart(self, host: Host) -> None:
        machine: Any = self.axes.get(host.name) or self.agencies[host.name]
        if host.name in self.axes:
            machine.door = None
        await host.ended()
        if host.name in self.agencies:
            node, machine.node = machine.node, None
            node.unplugged()
        await asyncio.sleep(self.random.uniform(0.05, 5))
        while host.name in self.away:
            await asyncio.sleep(1.0)
        if host.name in self.agencies and machine.lost:
            await asyncio.sleep(REPLACED_AFTER)
            machine.restore()
        await machine.start()

    # --- people

    async def insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """What a caller does: the same again after whatever was no answer."""
        for _ in range(300):
            try:
                return await asyncio.wait_for(act(), 60)
            except Refusal as refusal:
                if not refusal.code.temporary:
                    raise
            except (TimeoutError, OSError):
                pass
            await asyncio.sleep(0.5)
        raise AssertionError("no answer in 300 tries")

    async def _on(self, machine: Any, act: Callable[[], Any]) -> Any:
        """Something done on a machine, which may die over it."""
        host = machine.host
        if host.dead or (machine.node if isinstance(machine, Agency) else machine.door) is None:
            raise ConnectionError
        task = host.start(act())
        await asyncio.wait({task})
        if task.cancelled():
            raise ConnectionError
        return task.result()

    async def send(self, sender: str, to: tuple[str, ...], files: tuple[bytes, ...], **fields: Any) -> None:
        """Hand in one document until its node has promised to send it."""
        handed = Handed(sender, to, files, fields, f"key-{self.random.random()}")
        if document_id := await self._hand_in(handed):
            self.handed[document_id] = handed

    async def send_again(self, sender: str) -> None:
        """Software that was restored with its node's machine, say: it hands everything in once more.

        Where it gets another answer than the first time, that document is not promised any more.
        """
        for document_id, handed in list(self.handed.items()):
            if handed.sender == sender:
                answered = await self._hand_in(handed)
                if answered != document_id:
                    self.promised.pop(document_id)

    async def _hand_in(self, handed: Handed) -> str:
        """The document's id; empty where it was refused because somebody is suspended."""
        sender, to, files, fields, key = astuple(handed)
        agency = self.agencies[sender]

        async def act() -> Any:
            assert agency.node is not None
            submission = await _submission(agency.node.parts.spool, to, files, key, fields)
            return await agency.node.parts.service.send(submission)

        try:
            answer = await self.insist(lambda: self._on(agency, act))
        except Refusal as refusal:
            if self.suspended and refusal.name == "recipient_suspended":
                return ""
            raise
        document_id = str(answer["document_id"])
        self.promised[document_id] = sender
        self.files[document_id] = [(hashlib.sha256(file).digest(), len(file)) for file in files]
        return document_id

    async def say(self, code: str, document_id: str) -> None:
        """A receiver's clerk says that a document is being worked on."""
        agency = self.agencies[code]
        key = f"key-{self.random.random()}"

        async def act() -> Any:
            assert agency.node is not None
            said = agency.node.parts.statuses.say
            return await said("received", document_id, StatusInput(code="03"), key, "4b" * 16)

        answer = await self.insist(lambda: self._on(agency, act))
        self.promised |= {status["document_id"]: code for status in answer["statuses"]}

    async def decide(self) -> None:
        """The clerk whose software says what is received: looks every other second."""
        agency = self.agencies[DECIDES]
        while True:
            await asyncio.sleep(2.0)
            if agency.node is None or agency.host.dead or DECIDES in self.away:
                continue
            for row in agency.node.store.rows(
                "SELECT DISTINCT document_id FROM receipt WHERE state = 'waiting'"
            ):
                outcome: Any = "refused" if self.random.random() < 0.3 else "received"
                await self._decide(agency, row["document_id"], ReceiptInput(outcome=outcome))

    async def _decide(self, agency: Agency, document_id: str, decision: ReceiptInput) -> None:
        async def act() -> Any:
            assert agency.node is not None
            return await agency.node.parts.service.receipt(document_id, decision, "")

        try:
            await self._on(agency, act)
        except (Refusal, ConnectionError):
            return  # decided before, or looked at again

    async def operate(self, command: str, *arguments: str) -> Any:
        """A command of the operator at the axis, repeated until it is answered; a final no is an answer."""

        async def once() -> Any:
            axis = self.random.choice(list(self.axes.values()))
            return await self._on(axis, lambda: getattr(axis.node.registry, command)(*arguments))

        try:
            return await self.insist(once)
        except Refusal as refusal:
            return refusal

    async def days_pass(self, days: float, away: str) -> None:
        """Days in which nobody does anything, and an agency that is away some time before and after.

        Where `away` is the clerk's agency its node stands idle for want of a decision instead.
        """
        self.away.add(away)
        if away != DECIDES:
            self.agencies[away].host.kill()
        await asyncio.sleep(self.random.uniform(1, 10))
        self.aged = True
        self.clock.ahead += round(days * DAY_MS)
        await asyncio.sleep(self.random.uniform(0, 80))  # deadlines are looked at once a minute
        self.away.discard(away)

    async def restored(self) -> None:
        """The axis is lost, and brought back from a backup that is some seconds old."""
        older = self.axis.copied()
        await asyncio.sleep(self.random.uniform(0.5, 10))
        self.axis.older, self.older = older, True
        self.away.add("axis")
        self.axis.host.kill()
        # Answers of before may still be on their way.
        await asyncio.sleep(self.random.uniform(1, 10))
        self.away.discard("axis")

    async def review(self) -> None:
        """The operator looks at what a backup has brought back: whose suspension had ended is resumed."""
        for unit in (await self.operate("units"))["organisations"]:
            if unit["state"] == "suspended":
                await self.operate("resume", unit["code"])

    # --- the end

    async def quiet(self) -> None:
        """Return when nothing is under way any more."""
        async with asyncio.timeout(QUIET_WITHIN):
            while why := self._busy():
                self.why = why
                await asyncio.sleep(5.0)

    why = ""

    def _busy(self) -> str:
        if self._restarts or any(axis.door is None for axis in self.axes.values()):
            return "a machine is down"
        if len({axis.journal.head() for axis in self.axes.values()}) > 1:
            return "an axis node is behind"
        open_ = [key for key, value, _ in self.axis.journal.facts("delivery-open/") if value]
        if open_:
            return f"in flight: {open_}"
        for code, agency in self.agencies.items():
            assert agency.node is not None
            store = agency.node.store
            queued = store.rows("SELECT document_id FROM sent WHERE state = 'queued'")
            if not all(self.waits_for_what_is_lost(code, row["document_id"]) for row in queued):
                return f"{code}: outbox"
            if store.row("SELECT 1 FROM receipt WHERE state IN ('queued', 'waiting')"):
                return f"{code}: receipts"
            if store.row("SELECT 1 FROM held"):
                return f"{code}: held"
            if self.older and not self._has_noticed(agency):
                return f"{code}: knows another axis"
            if is_catching_up(store) or store.row("SELECT 1 FROM setting WHERE name GLOB 'found/*'"):
                return f"{code}: catching up"
            for urgent, name in ((True, "urgent_after"), (False, "normal_after")):
                if self.axis.journal.feed(code, urgent, int(store.setting(name, "0")), 1):
                    return f"{code}: feed"
        return ""

    def waits_for_what_is_lost(self, code: str, document_id: str) -> bool:
        """Whether it is a status about a document that a restored axis lost, and did not take again.

        It is tried until it is too old: the axis might take the document yet.
        """
        agency = self.agencies[code]
        assert agency.node is not None
        status = agency.node.store.row("SELECT about FROM status WHERE document_id = ?", document_id)
        if not self.older or status is None:
            return False
        sender = self.agencies[self.promised[status["about"]]]
        assert sender.node is not None
        about = "SELECT 1 FROM sent WHERE document_id = ? AND state = 'rejected'"
        return sender.node.store.row(about, status["about"]) is not None

    def _has_noticed(self, agency: Agency) -> bool:
        """Whether the node goes by a head that the restored axis has."""
        assert agency.node is not None
        seen = agency.node.parts.receiver._client.heads.seen
        return seen is not None and self.axis.journal.frame_hash(seen.sequence) == bytes.fromhex(
            seen.frame_sha256
        )


async def _submission(
    spool: Spool, to: tuple[str, ...], files: tuple[bytes, ...], key: str, fields: dict[str, Any]
) -> Submission:
    async def chunks(file: bytes) -> AsyncIterator[bytes]:
        yield file

    taken = [
        await spool.take(f"{number}.pdf", "application/pdf", chunks(file), keep=True)
        for number, file in enumerate(files)
    ]
    named = document_pb2.Fields(subject="Về việc thử nghiệm")
    named.other.priority = fields.get("priority", 0)
    content = hashlib.sha256(repr((to, files)).encode()).digest()
    return Submission(None, to, named, taken, key, content, "4b" * 16)
