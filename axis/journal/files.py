"""The journal's SQLite file: how it is made, opened and told apart from a broken one."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from axis.core.frame import FrameInvalid, Head, decode
from axis.durable import sync_folder
from axis.ports import JournalBroken, StorageFull
from axis.readonly import open_readonly

__all__ = [
    "connect_reader",
    "connect_writer",
    "errors_named",
    "found",
    "named",
    "read_head",
    "verify_head",
]

_SCHEMA: Final = Path(__file__).with_name("schema.sql")

#: Seconds to wait for another process's transaction or recovery before giving up.
_BUSY_SECONDS: Final = 5.0

# Reading what cannot be read means broken; every other failure of the disk means there is no room to write.
_UNREADABLE: Final = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the port's where they have a name there."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise named(error, path) from error


def named(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """The port's error for one of SQLite's; the error itself where the port has no name for it."""
    extended = getattr(error, "sqlite_errorcode", 0)
    if extended & 0xFF in _BROKEN or extended in _UNREADABLE:
        return JournalBroken(f"{path}: {error}")
    if extended & 0xFF in _FULL:
        return StorageFull(f"{path}: {error}")
    return error


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open for appending. Only one thread uses it at a time, but not always the one that opened it."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # FULL: the WAL is fsynced at every commit, so what append returned survives a power cut.
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
        "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;"
    )
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open read-only, beside a writer or on a stopped home, also one whose folder may not be written."""
    return open_readonly(path, timeout=_BUSY_SECONDS)


def found(path: Path, journal_id: str) -> None:
    """Make an empty journal. All or nothing: a crash in between leaves a file that counts as absent."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with errors_named(path), closing(connect_writer(path)) as connection:
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{_SCHEMA.read_text('utf-8')}")
            connection.execute("INSERT INTO journal VALUES (1, 1, ?)", (journal_id,))
            connection.execute("INSERT INTO head VALUES (1, 0, 0, 0, zeroblob(32), x'')")
            connection.execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    sync_folder(path.absolute().parent)


def read_head(connection: sqlite3.Connection, journal_id: str) -> Head:
    """The head's row."""
    row = connection.execute("SELECT number, sequence, sha256, at FROM head").fetchone()
    if row is None:
        raise JournalBroken("the journal has no head")
    return Head(journal_id, *row)


def verify_head(connection: sqlite3.Connection, journal_id: str) -> Head:
    """The head, once the newest frame's own bytes agree with it and with its predecessor's bytes."""
    connection.execute("BEGIN")  # one state of the file for both reads: another process may be appending
    try:
        head = read_head(connection, journal_id)
        rows = connection.execute(
            "SELECT number, first_sequence, last_sequence, at, raw FROM frames ORDER BY number DESC LIMIT 2"
        ).fetchall()
    finally:
        connection.execute("ROLLBACK")
    newest = rows[0] if rows else (0, 0, 0, 0, b"")
    if newest[0] != head.number:
        raise JournalBroken(f"the head names frame {head.number}, the newest frame is {newest[0]}")
    if rows:
        before = Head.empty(journal_id)
        if newest[0] > 1:
            if len(rows) < 2:
                raise JournalBroken(f"frame {newest[0] - 1} is missing")
            number, _first, last, at, raw = rows[1]
            before = Head(journal_id, number, last, hashlib.sha256(raw).digest(), at)
        try:
            frame = decode(newest[4], before)
        except FrameInvalid as error:
            raise JournalBroken(str(error)) from error
        if frame.head != head:
            raise JournalBroken(f"frame {head.number} is not the one that the head names")
    elif head != Head.empty(journal_id):
        raise JournalBroken("a head without frames")
    return head
