"""Machines that lose their power: a host, the tasks on it, and the ports that every effect goes through.

A *point* is passed before and after each effect that outlives a crash. The plan may have the host die there:
then its tasks are cancelled, whatever they still try has no effect, and only what stands behind the ports is
left for the next start.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.ports import Landed, StorageFull

__all__ = ["CrashingBlobs", "CrashingJournal", "Host", "Plan"]


class Plan(Protocol):
    """What goes wrong, decided as it happens; everything decided is noted."""

    def crashes(self, host: str, point: str) -> bool:
        """Whether the host dies at this point, now."""
        ...

    def fails(self, host: str, effect: str) -> str:
        """What is wrong with an effect: "" nothing, "full" no room, "lost" done but not confirmed."""
        ...

    def takes(self, host: str, effect: str) -> float:
        """Seconds that an effect takes."""
        ...


class Host:
    """One start of one machine. After `kill` nothing that ran on it has any effect."""

    def __init__(self, name: str, plan: Plan, died: Callable[[Host], None]) -> None:
        self.name = name
        self.plan = plan
        self.dead = False
        self._died = died
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Futures of others that wait for an answer of this host; they learn that the connection is gone.
        self.answering: dict[asyncio.Future[Any], BaseException] = {}
        self._context = contextvars.copy_context()
        self._context.run(_HOST.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run on this host; what it starts is on this host too."""
        return asyncio.get_running_loop().create_task(work, context=self._context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """The task ends with this host."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.dead:
            task.cancel()

    def passes(self, point: str) -> bool:
        """Whether the host gets past a point alive."""
        if not self.dead and self.plan.crashes(self.name, point):
            self.kill()
        return not self.dead

    def at(self, point: str) -> None:
        """Pass a point in a task of this host, or end with it."""
        if not self.passes(point):
            raise asyncio.CancelledError(f"{self.name} died at {point}")

    def kill(self) -> None:
        """The power is gone."""
        if self.dead:
            return
        self.dead = True
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        for answer, error in self.answering.items():
            if not answer.done():
                answer.set_exception(error)
        self._died(self)

    async def ended(self) -> None:
        """Return when no task of a dead host is left."""
        while self._tasks:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(tuple(self._tasks), timeout=0.01)


_HOST: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


def tasks_of_hosts(loop: asyncio.AbstractEventLoop, work: Any, *, context: Any = None) -> asyncio.Task[Any]:
    """A task factory: each task belongs to the host that it was started on."""
    task = asyncio.Task(work, loop=loop, context=context)
    host = (context if context is not None else contextvars.copy_context()).get(_HOST)
    if host is not None:
        host.adopt(task)
    return task


class CrashingJournal:
    """ports.Journal on a host: the engine behind it is the disk, and survives."""

    def __init__(self, engine: Any, host: Host) -> None:
        self.engine = engine
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def on_landed(self, listener: Landed) -> None:
        """Whoever listened on a dead host hears nothing."""

        def tell(frame: Frame, changes: Changes) -> None:
            if not self._host.dead:
                listener(frame, changes)

        self.engine.on_landed(tell)

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        host = self._host
        host.at("journal.append: before")
        fails = host.plan.fails(host.name, "journal.append")
        if fails == "full":
            raise StorageFull("the simulated disk is full")
        await asyncio.sleep(host.plan.takes(host.name, "journal.append"))
        if host.dead:
            raise asyncio.CancelledError
        head: Head = await self.engine.append(expected, frame, changes)
        host.at("journal.append: after")
        if fails == "lost":
            raise OSError("the simulated disk did not confirm")
        return head


class CrashingBlobs:
    """ports.Blobs on a host."""

    def __init__(self, engine: Any, host: Host) -> None:
        self.engine = engine
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def put(self, sha256: bytes, size: int, chunks: AsyncIterator[bytes], **more: Any) -> None:
        await self._effect("blobs.put", self.engine.put(sha256, size, chunks, **more))

    async def put_small(self, contents: Sequence[bytes], **more: Any) -> None:
        await self._effect("blobs.put_small", self.engine.put_small(contents, **more))

    async def collect(self, now: int, is_named: Callable[[bytes], bool], *confirm: Any) -> int:
        collected: int = await self._effect("blobs.collect", self.engine.collect(now, is_named, *confirm))
        return collected

    async def _effect(self, name: str, work: Coroutine[Any, Any, Any]) -> Any:
        host = self._host
        try:
            host.at(f"{name}: before")
            fails = host.plan.fails(host.name, name)
            if fails == "full":
                raise StorageFull("the simulated disk is full")
            await asyncio.sleep(host.plan.takes(host.name, name))
            if host.dead:
                raise asyncio.CancelledError
            result = await work
        finally:
            work.close()
        host.at(f"{name}: after")
        return result
