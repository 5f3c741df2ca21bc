"""One state of a SQLite file that somebody else may be writing to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from axis.readonly import open_readonly

__all__ = ["check_database", "copy_database", "open_copy"]

_PAGES: Final = 4096  # 16 MiB between two reports
_BUSY_SECONDS: Final = 30.0


def copy_database(
    source: Path, target: Path, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> None:
    """Copy by SQLite's online backup, under one read transaction: what is committed now, and nothing later.

    The transaction is begun first, so the copy never starts again however much is written meanwhile; the
    writer goes on, and its -wal file grows until the copy is done. Raises sqlite3.Error, FileNotFoundError.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source} is not there")
    reader = open_readonly(source, timeout=_BUSY_SECONDS)
    with closing(reader) as reading, closing(sqlite3.connect(target)) as writing:
        # What is copied goes into an archive that is synced itself.
        writing.execute("PRAGMA synchronous = OFF")
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        reading.backup(
            writing, pages=_PAGES, progress=lambda _status, left, every: progress(every - left, every)
        )
        reading.execute("ROLLBACK")
        # A file that is whole by itself: no -wal beside it. Its node turns WAL on again.
        writing.execute("PRAGMA journal_mode = DELETE")


def check_database(path: Path) -> str:
    """What is wrong with the file's structure; empty where nothing is. Reads all of it."""
    try:
        with closing(open_copy(path)) as reading:
            found = reading.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else str(found)


def open_copy(path: Path) -> sqlite3.Connection:
    """Open a copy that nobody writes to, for reading."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection
