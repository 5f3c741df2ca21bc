"""The agency node's store: one SQLite file, one writer thread, group commit.

Everything that must survive goes through `write`: callers give a function of the connection, and all
functions that wait are run in one transaction, each behind a savepoint of its own, so that one that raises
undoes only itself. A result is given back only after the commit, which is durable (WAL, synchronous=FULL).
Reads are synchronous, on a connection of their own, and see what is committed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import sqlite3
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from axis.core.errors import Refusal

__all__ = ["Store", "get_setting", "set_setting"]

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
_BATCH: Final = 256
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_Job = tuple[Callable[[sqlite3.Connection], Any], "concurrent.futures.Future[Any]"]


class Store:
    """HOME/agency.sqlite. The home's lock is the caller's business."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises sqlite3.DatabaseError for a file that is no store."""
        self._path = path
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
        return await asyncio.shield(asyncio.wrap_future(self._submit(change)))

    def write_now(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """The same for callers without an event loop (start-up, commands)."""
        return self._submit(change).result()

    def _submit(self, change: Callable[[sqlite3.Connection], T]) -> concurrent.futures.Future[T]:
        if self._closed:
            raise Refusal("shutting_down")
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._jobs.put((change, future))
        return future

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        """Read rows."""
        return self._reader.execute(sql, arguments).fetchall()

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
            _commit(connection, [job for job in batch if job is not None])
            if batch[-1] is None:
                connection.close()
                return


def _commit(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    """One transaction for all jobs; every future gets its result or its error afterwards."""
    settled: list[tuple[concurrent.futures.Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for change, future in jobs:
            connection.execute("SAVEPOINT job")
            try:
                settled.append((future, change(connection), None))
            except Exception as error:
                if not connection.in_transaction:  # the disk was full: SQLite has undone everything
                    raise
                connection.execute("ROLLBACK TO job")
                settled.append((future, None, _translated(error)))
            connection.execute("RELEASE job")
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        settled = [(future, None, _translated(error)) for _, future in jobs]
    for future, result, problem in settled:
        if problem is not None:
            future.set_exception(problem)
        else:
            future.set_result(result)


def _translated(error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError) and (error.sqlite_errorcode & 0xFF) in _FULL:
        return Refusal("storage_full", "the agency node's store has no room", retry_after=30)
    return error


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    if version != 0:
        raise sqlite3.DatabaseError(f"the store has version {version}, this program knows {SCHEMA_VERSION}")
    schema = resources.files("agencies").joinpath("schema.sql").read_text("utf-8")
    connection.executescript(f"BEGIN;{schema};PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")


def get_setting(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    """Read a setting within a transaction."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else default


def set_setting(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Write a setting within a transaction."""
    connection.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))
