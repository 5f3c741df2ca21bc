"""Audits that a serving node is asked for: one at a time, each in a process of its own, results kept.

A run is a file `HOME/audits/ID.json`, written when it begins and when it ends, so what was cut short is seen
to be. The newest 50 are kept. Each: {"id", "at", "by", "quick", "state", "seconds", "detail", "report"};
state: running, done, failed, interrupted; `report` as of `axis audit --json`, with `incomplete`; a run under
way has `progress`: {"what", "done", "of"}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from axis.core.errors import Refusal
from axis.durable import write_whole
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Audits"]

_FOLDER: Final = "audits"
_KEPT: Final = 50
_PRIVATE: Final = 0o700
_FILE: Final = 0o600
#: A report names at most 50 problems of each code.
_LINE_BYTES: Final = 16 * 1024 * 1024
#: What its process is told of the node's environment: no secret that stands there.
_ENVIRONMENT: Final = ("PATH", "LANG", "PYTHONPATH")
_MOST_SECONDS: Final = 12 * 3600.0

Run = dict[str, Any]


class Audits:
    """The audits of one home. `sync` brings the views up before a run. Close it before the node stops."""

    def __init__(self, home: Path, clock: Clock, sync: Callable[[], Awaitable[object]]) -> None:
        self._home, self._clock, self._sync = home, clock, sync
        self._folder = home / _FOLDER
        self._running: Run | None = None
        self._task: asyncio.Task[None] | None = None

    def all(self) -> list[Run]:
        """Every run that is kept, newest first; in a thread or not."""
        runs = (self._read(path) for path in self._files())
        return [run for run in runs if run][::-1]

    async def start(self, by: str, quick: bool) -> Run:
        """Begin a run; Refusal `unavailable` while another is under way."""
        if self._running is not None:
            raise Refusal("unavailable", "an audit is under way: wait for its end", retry_after=30)
        at = self._clock.now()
        run: Run = {
            "id": f"{at:015d}", "at": at, "by": by, "quick": quick, "state": "running", "seconds": None,
            "detail": "", "report": None, "progress": {"what": "", "done": 0, "of": 0},
        }  # fmt: skip
        self._running = run
        try:
            await asyncio.to_thread(self._keep, run)
        except BaseException:
            self._running = None
            raise
        get_logger().info("audit_started", operator=by, quick=quick)
        self._task = asyncio.create_task(self._run(run), name="audit")
        return run

    async def close(self) -> None:
        """End what runs; it stays as interrupted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, run: Run) -> None:
        state, detail = "failed", ""
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                behind = await self._behind()
                run["report"] = await self._in_a_process(run)
                if behind:
                    run["report"]["problems"][:0] = behind
                    run["report"]["incomplete"] = False  # something is wrong for certain
            state = "done"
        except asyncio.CancelledError:
            state = "interrupted"
            raise
        except (Refusal, OSError, ValueError) as error:
            detail = (str(error) or type(error).__name__)[:500]
            get_logger().error("audit_failed", detail=detail)
        finally:
            seconds = (self._clock.now() - run["at"]) // 1000
            await self._end({**run, "state": state, "detail": detail, "seconds": seconds})
        get_logger().info("audit_done", problems=len(run["report"]["problems"]) if run["report"] else None)

    async def _end(self, run: Run) -> None:
        """A run is shown as ended once that is kept; a disk may take its time."""
        try:
            await asyncio.to_thread(self._keep, run)
        except OSError as error:
            get_logger().error("audit_not_kept", detail=str(error))
        finally:
            self._running = None

    async def _behind(self) -> list[dict[str, object]]:
        """Bring the views up; where they are stuck that is a problem to report, and no end of the audit."""
        try:
            await self._sync()
        except Refusal as refusal:
            detail = f"the views cannot be brought up: {refusal}"
            return [{"sequence": 0, "code": "views_behind", "detail": detail}]
        return []

    async def _in_a_process(self, run: Run) -> dict[str, Any]:
        # -P: without it a file in the working directory would be imported for a module of ours.
        command = [sys.executable, "-P", "-m", "axis.app.audit_run", str(self._home.resolve())]
        process = await asyncio.create_subprocess_exec(
            *command,
            *(["--quick"] if run["quick"] else []),
            stdin=DEVNULL,
            stdout=PIPE,
            limit=_LINE_BYTES,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        try:
            return await self._follow(process, run)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _follow(self, process: Process, run: Run) -> dict[str, Any]:
        assert process.stdout is not None
        found: dict[str, Any] | None = None
        async for line in process.stdout:
            told = json.loads(line)
            if "report" in told:
                found = {**told["report"], "incomplete": told["incomplete"]}
            else:
                run["progress"] = told
        status = await process.wait()
        if status or found is None:
            raise OSError(f"the audit's process ended with {status}: see the node's log")
        return found

    def _keep(self, run: Run) -> None:
        self._folder.mkdir(mode=_PRIVATE, exist_ok=True)
        kept = {name: value for name, value in run.items() if name != "progress"}
        write_whole(self._folder / f"{run['id']}.json", json.dumps(kept, ensure_ascii=False).encode(), _FILE)
        for path in self._files()[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """The names begin with the time."""
        return sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []

    def _read(self, path: Path) -> Run | None:
        run = self._loaded(path)
        if run is None or run["state"] != "running":
            return run
        running = self._running
        if running is not None and running["id"] == run["id"]:
            return running
        run = self._loaded(path)  # it may have ended since the first look: that is kept before it is said
        if run is not None and run["state"] == "running":
            run["state"] = "interrupted"  # the node stopped meanwhile
        return run

    @staticmethod
    def _loaded(path: Path) -> Run | None:
        try:
            run: Run = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            get_logger().warning("audit_unreadable", file=path.name, detail=str(error))
            return None
        return run
