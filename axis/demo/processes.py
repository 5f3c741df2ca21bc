"""Child processes that announce themselves ready, end in order, and never outlive their parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = ["NodeProcess", "StartFailed", "end_with_parent"]

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """A node did not become ready; the message says where its log is."""


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a child must run between fork and exec to get this signal when its parent ends, even if killed.

    The parent is the thread that starts it.
    """
    parent = os.getpid()

    def tie() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before
            os._exit(1)

    return tie


class NodeProcess:
    """One `python -m …` child: its log file, its ready line, its end."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        self.command = [sys.executable, "-m", module, *arguments]
        self.log = log
        self.ready_line = ""
        #: Variables of its next start, beside our own.
        self.environment: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process's id; only while it is running."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, timeout: float = 45.0) -> str:
        """Start, and return the line it prints when it is ready; StartFailed otherwise."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,  # Ctrl-C reaches us alone; we end the nodes in order
                preexec_fn=end_with_parent(signal.SIGTERM),
            )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout)
        except TimeoutError:
            line = b""
        if not line:
            await self.kill()
            raise StartFailed(
                f"{' '.join(self.command[2:])} did not become ready: {_last_line(self.log)} (log: {self.log})"
            )
        self.ready_line = line.decode().strip()
        self._output = asyncio.create_task(self._drain())
        return self.ready_line

    async def _drain(self) -> None:
        # A child must never block on a full pipe.
        assert self._process is not None
        assert self._process.stdout is not None
        while await self._process.stdout.read(65536):
            pass

    async def stop(self, timeout: float = 20.0) -> int:
        """Ask it to end, wait, kill it if it does not; the exit status."""
        if self.running:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._wait(), timeout)
            except TimeoutError:
                await self.kill()
        return await self._wait()

    async def kill(self) -> None:
        """End it at once (SIGKILL), as a power cut would."""
        if self.running:
            self._signal(signal.SIGKILL)
        await self._wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it may have ended meanwhile
            os.kill(self.pid, number)

    async def _wait(self) -> int:
        if self._process is None:
            return 0
        status = await self._process.wait()
        if self._output is not None:
            await self._output
            self._output = None
        return status


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:300] if lines else "it said nothing"
