"""The machines of a simulated country: what survives on each, and how each is started from that.

Both are wired by the product's own code. Replaced are only sockets (`tests.simulation.wire`), threads (a
store's writer runs as a timer of the loop) and, where a schedule does not ask for SQLite, the disks of the
axis.
"""

from __future__ import annotations

import asyncio
import copy
import queue
import random as random_module
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from agencies.app import Node
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store.contents import Contents
from agencies.store.database import Store, _commit, _Job
from agencies.store.heads import Heads
from agencies.store.restored import mark_restored
from agencies.vxp.systems import Systems
from axis.app.engines import Engines
from axis.app.node import Node as AxisNode
from axis.app.node import _wire
from axis.app.serve import _application
from axis.blobs.memory import MemoryBlobs
from axis.core import state
from axis.core.errors import Refusal
from axis.flow.metrics import NoMetrics
from axis.jetstream import JetStream, NotAnswered, Refused
from axis.journal.jetstream import JetStreamJournal
from axis.journal.sqlite import SqliteJournal
from axis.ports import Clock, JournalBroken, OutcomeUnknown
from tests.simulation.crashing import CrashingBlobs, CrashingJournal, Host
from tests.simulation.stream import Cluster, Connection
from tests.simulation.template import Template
from tests.simulation.wire import Door, Session, Weather

__all__ = ["Agency", "Axis"]

T = TypeVar("T")


class Axis:
    """An axis node's machine. Its journal survives; so do the blobs, which all nodes share.

    `cluster`: what several nodes share their journal over; None: this one is alone.
    """

    def __init__(
        self,
        name: str,
        template: Template,
        path: Path,
        plan: Any,
        clock: Clock,
        died: Callable[[Host], None],
        blobs: MemoryBlobs,
        cluster: Cluster | None,
    ) -> None:
        self.name, self.template, self.path, self.plan, self.clock = name, template, path, plan, clock
        self.journal: Any = template.journal()  # this node's own copy
        self.blobs, self.cluster = blobs, cluster
        self.door: Door | None = None
        #: An older copy of journal and blobs, to be started from next.
        self.older: tuple[Any, MemoryBlobs] | None = None
        self._died = died

    def copied(self) -> tuple[Any, MemoryBlobs]:
        """What a backup taken now holds."""
        journal = self.template.journal()
        for frame in self.journal.frames(journal.head().number, 100_000):
            journal.apply(journal.head(), frame)
        return journal, copy.deepcopy(self.blobs)

    async def use_sqlite(self) -> None:
        """Before the first start: keep the journal in a file."""
        self.journal = await self.template.journal_file(self.path)

    async def start(self) -> None:
        """Start from what is durable. A node that cannot start ends, and is started again."""
        if isinstance(self.journal, SqliteJournal):
            await self.journal.close()
            self.journal = SqliteJournal.open(self.path)
        if self.older is not None:
            (self.journal, self.blobs), self.older = self.older, None
        host = self.host = Host(self.name, self.plan, self._died)
        ready = host.start(self._start(host))
        await asyncio.wait({ready})
        try:
            ready.result()
        except (asyncio.CancelledError, NotAnswered, Refused, OutcomeUnknown, JournalBroken, OSError):
            host.kill()

    async def _open(self, host: Host) -> Any:
        """The journal as the product opens it on this host."""
        file: Any = CrashingJournal(self.journal, host)
        if self.cluster is None:
            return file
        client: Any = Connection(self.cluster, host, self.plan)
        timer = asyncio.get_running_loop().time
        return await JetStreamJournal.open(file, JetStream(client), state.reduce, node=self.name, timer=timer)

    async def _start(self, host: Host) -> None:
        journal = await self._open(host)
        blobs: Any = CrashingBlobs(self.blobs, host)
        views: Any = None  # read from the journal at the end; nothing of the journey asks them
        node = self.node = _wire(
            self.template.axis,
            Engines(journal, blobs),
            views,
            self.issuer(host),
            self.clock,
            NoMetrics(),
        )
        application, gate = _application(node)
        gate._heads._timer = asyncio.get_running_loop().time
        await node.enrolment.reconcile()
        for work in (node.deadlines.run(), self._sum_up(node)):
            host.start(work)
        self.door = Door(application, host)

    def issuer(self, host: Host) -> Any:
        """The certificate authority's process; None: this axis has none."""
        return None

    async def _sum_up(self, node: AxisNode) -> None:
        while True:
            await self.clock.sleep(60.0)
            await node.rejections.sum_up()


class Agency:
    """An agency's machine. The store, the blobs and the keys survive."""

    def __init__(
        self,
        code: str,
        folder: Path,
        axes: Sequence[Axis],
        weather: Weather,
        died: Callable[[Host], None],
        random: random_module.Random,
    ) -> None:
        self.code, self.axes, self.weather, self.random = code, axes, weather, random
        self.axis = axes[0]
        self.urls = tuple(f"http://{axis.name}" for axis in axes)
        self.folder = folder
        self.folder.mkdir()
        self.path = folder / "agency.sqlite"
        self.axis.template.new_store(self.path)
        self.blobs = MemoryBlobs()
        self.node: _Node | None = None
        #: The machine is gone: what starts in its place is made from the copy.
        self.lost = False
        self._copied: MemoryBlobs | None = None
        self._died = died

    def door(self, name: str) -> Door | None:
        """Where an axis node is reached now."""
        return next(axis.door for axis in self.axes if axis.name == name)

    async def start(self) -> None:
        """Start from what is durable."""
        host = Host(self.code, self.axis.plan, self._died)
        self.host = host
        self.node = _Node(self, host)
        await asyncio.wait({host.start(self.node.start())})

    def copy(self) -> None:
        """A copy of the home, beside whatever runs on it."""
        with closing(sqlite3.connect(self.path)) as here, closing(sqlite3.connect(self._copy)) as copy:
            here.backup(copy)
        self._copied = deepcopy(self.blobs)

    @property
    def _copy(self) -> Path:
        return self.path.with_name("copy.sqlite")

    def lose(self) -> None:
        """The machine is gone with all that is on it."""
        self.lost = True
        self.host.kill()

    def restore(self) -> None:
        """What `agency restore` makes of the copy."""
        assert self._copied is not None
        self.blobs, self.lost = self._copied, False
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)
        shutil.copyfile(self._copy, self.path)
        with closing(sqlite3.connect(self.path)) as store:
            mark_restored(store, self.axis.clock.now())
            store.commit()


class _Node(Node):
    """The agency node as the product wires it, but for sockets, threads and the lock of its home."""

    def __init__(self, agency: Agency, host: Host) -> None:
        template = agency.axis.template
        super().__init__(template.home(agency.code), clock=agency.axis.clock, random=agency.random.random)
        self._agency, self._host, self._template = agency, host, template

    async def _start(self) -> None:
        agency, host = self._agency, self._host
        store = self.store = SimulatedStore(agency.path, host)
        blobs: Any = CrashingBlobs(agency.blobs, host)
        contents = Contents(store, blobs)
        settings = self._template.settings(agency.code, agency.urls)
        client = AxisClient(settings.axis, None, Heads.stored_in(store))  # type: ignore[arg-type]
        certificate = self._template.certificates[agency.code]
        client._session = Session(host, certificate, agency.door, agency.weather)  # type: ignore[assignment]
        directory = DirectorySync(store, client)
        identity = Identity(settings.code, self._template.credentials[agency.code], directory, self._clock)
        self._systems = Systems(store, self._clock)
        self.home = agency.folder
        self._wire(settings, store, contents, client, directory, identity)
        self.home = self._template.home(agency.code)  # where the keys are
        self._start_tasks()

    def unplugged(self) -> None:
        """Release what the process would have released by ending."""
        self.store.unplugged()


class SimulatedStore(Store):
    """The store on its real file; its writer thread is a timer of the loop, which takes what has gathered."""

    def __init__(self, path: Path, host: Host) -> None:
        self._path, self._host = path, host
        self._writer = self._connect()
        self._reader = self._connect()
        self._reader.execute("PRAGMA query_only = 1")
        self._jobs = queue.SimpleQueue()
        self._closed = False
        self._waiting: list[_Job] = []

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA synchronous = OFF")  # a host that dies here takes no disk with it
        return connection

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        if self._host.dead:
            raise asyncio.CancelledError
        return await super().write(change)

    def _put(self, job: _Job) -> None:
        if not self._waiting:
            takes = self._host.plan.takes(self._host.name, "store.commit")
            asyncio.get_running_loop().call_later(takes, self._write_batch)
        self._waiting.append(job)

    def _write_batch(self) -> None:
        jobs, self._waiting = self._waiting, []
        host = self._host
        if not host.passes("store.commit: before"):
            return
        if host.plan.fails(host.name, "store.commit") == "full":
            for job in jobs:
                job.error = Refusal("storage_full", "the simulated disk is full", retry_after=30)
        else:
            _commit(self._writer, jobs)
        if host.passes("store.commit: after"):
            for job in jobs:
                job.settle()

    def close(self) -> None:
        """Only the end of the process closes it: see `unplugged`."""

    def unplugged(self) -> None:
        self._writer.close()
        self._reader.close()
