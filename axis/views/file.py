"""The views' file: how it is opened, by its one writer and by readers, and where it stands."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from axis.core.frame import Head

__all__ = ["Position", "ask_rebuild", "head_of", "open_readonly", "open_writer", "read_position", "snapshot"]

_UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Position:
    """Where the views stand: at the newest record of a frame of a journal."""

    version: int
    journal_id: str
    frame: int
    sequence: int
    sha256: bytes
    at: int

    @property
    def head(self) -> Head:
        """As the journal's head was there."""
        return Head(self.journal_id, self.frame, self.sequence, self.sha256, self.at)


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that can only read. Raises sqlite3.OperationalError if there is no file."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection for the one writer. A file that cannot be read is replaced by an empty one."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNREADABLE:
            raise
        _log.warning("views_unreadable", error=str(error))
        for suffix in ("-wal", "-shm", ""):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def ask_rebuild(path: Path) -> None:
    """Have whoever follows the journal build the views at `path` anew, within a second or so."""
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.execute("DELETE FROM position")


def read_position(connection: sqlite3.Connection) -> Position | None:
    """Where the views behind a connection stand; None before they were ever built."""
    try:
        row = connection.execute(
            "SELECT version, journal_id, frame, sequence, sha256, at FROM position"
        ).fetchone()
    except sqlite3.OperationalError:  # no such table
        return None
    return Position(*row) if row else None


def head_of(connection: sqlite3.Connection) -> int:
    """The newest sequence that views show; 0 for none."""
    position = read_position(connection)
    return position.sequence if position else 0


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One read transaction, unless the caller has one: what is read in it belongs together, at one head."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -8192")
    except BaseException:
        connection.close()
        raise
    return connection
