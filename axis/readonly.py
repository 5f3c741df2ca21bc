"""A SQLite file opened for reading only, whoever writes to it and wherever it lies."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

__all__ = ["open_readonly"]


def open_readonly(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open beside a writer or on a stopped home, also one whose folder may not be written.

    `timeout`: seconds to wait for another process's transaction. Raises sqlite3.Error.
    """
    uri = path.absolute().as_uri()
    connection = _connect(f"{uri}?mode=ro", timeout)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # Reading a WAL file needs a -shm file beside it. Where none can be made there is no writer either
        # (it would have made one), and without a -wal the file alone is complete.
        beside = any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-shm"))
        if beside or os.access(path.parent, os.W_OK):
            raise
        connection = _connect(f"{uri}?immutable=1", timeout)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _connect(uri: str, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection
