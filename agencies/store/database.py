"""The agency node's store: one SQLite file, one writer thread, group commit.

Everything that must survive goes through `write`: callers give a function of the connection, and all
functions that wait are run in one transaction, each behind a savepoint of its own, so that one that raises
undoes only itself. A result is given back only after the commit, which is durable (WAL, synchronous=FULL).
Reads are synchronous, on a connection of their own, and see what is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from axis.core.errors import Refusal

__all__ = ["SCHEMA_VERSION", "Store", "get_setting", "set_setting"]

T = TypeVar("T")

SCHEMA_VERSION: Final = 5
_BATCH: Final = 256
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@dataclass(slots=True)
class _Job:
    """One change, who waits for it, and what became of it."""

    change: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell who waits; on the event loop that owns the future."""
        if self.future.done():  # cancelled: the change has happened all the same
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Store:
    """HOME/agency.sqlite. The home's lock is the caller's business."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises sqlite3.DatabaseError for a file that is no store."""
        self._path = path
        # It holds secrets of calling systems: nobody but its owner reads it, from the first moment on.
        path.touch(mode=0o600)
        path.chmod(0o600)
        writer = self._connect()
        _migrate(writer)
        self._reader = self._connect()
        self._reader.execute("PRAGMA query_only = 1")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, args=(writer,), name="store", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run `change` in the writer thread; return its result once it is durable.

        What `change` raises is raised here, with its own statements undone. Raises Refusal `storage_full`
        where the disk is full: nothing of the batch was stored then. Cancellation: the change happens all
        the same.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(change, future))
        return await future

    def _put(self, job: _Job) -> None:
        if self._closed:
            raise Refusal("shutting_down")
        self._jobs.put(job)

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        """Read rows."""
        return self._reader.execute(sql, arguments).fetchall()

    def each(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        """Read rows one by one, where all of them would be too many to hold. To the end, or close it."""
        return self._reader.execute(sql, arguments)

    def row(self, sql: str, *arguments: object) -> sqlite3.Row | None:
        """Read one row, if there is one."""
        found: sqlite3.Row | None = self._reader.execute(sql, arguments).fetchone()
        return found

    def setting(self, name: str, default: str = "") -> str:
        """Read a setting."""
        return get_setting(self._reader, name, default)

    def close(self) -> None:
        """Finish what waits, then release the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._reader.close()

    def _run(self, connection: sqlite3.Connection) -> None:
        while True:
            batch = [self._jobs.get()]
            while len(batch) < _BATCH and batch[-1] is not None:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            jobs = [job for job in batch if job is not None]
            if jobs:
                _commit(connection, jobs)
                _settle(jobs)
            if batch[-1] is None:
                connection.close()
                return


def _commit(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    """One transaction for all jobs; each gets its result or its error."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            connection.execute("SAVEPOINT job")
            try:
                job.result, job.error = job.change(connection), None
            except Exception as error:
                if not connection.in_transaction:  # the disk was full: SQLite has undone everything
                    raise
                connection.execute("ROLLBACK TO job")
                job.error = _translated(error)
            connection.execute("RELEASE job")
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in jobs:
            job.error = _translated(error)


def _settle(jobs: list[_Job]) -> None:
    """Tell everybody at once: waking an event loop for each would cost more than the commit."""
    waiting: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        waiting.setdefault(job.future.get_loop(), []).append(job)
    for loop, theirs in waiting.items():
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_each, theirs)


def _settle_each(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()


def _translated(error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError) and (error.sqlite_errorcode & 0xFF) in _FULL:
        return Refusal("storage_full", "the agency node's store has no room", retry_after=30)
    return error


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    if not 0 <= version < SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"the store has version {version}, this program knows {SCHEMA_VERSION}")
    folder = resources.files("agencies.store")
    steps = [f"migrations/{number:04}.sql" for number in range(version + 1, SCHEMA_VERSION + 1)]
    for name in steps if version else ["schema.sql"]:
        script = folder.joinpath(name).read_text("utf-8")
        reached = SCHEMA_VERSION if not version else int(name[-8:-4])
        connection.executescript(f"BEGIN;{script};PRAGMA user_version = {reached};COMMIT;")


def get_setting(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    """Read a setting within a transaction."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else default


def set_setting(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Write a setting within a transaction."""
    connection.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))
