"""Who uploaded which blob, and until when it is kept for them: `blobs.sqlite`.

WAL with synchronous=NORMAL: a power cut may lose the newest pins, and the uploader is then told
`attachment_missing` and uploads again. It never invents one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from axis.ports import StorageFull

__all__ = ["Pins"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pins (
    sha256 BLOB    NOT NULL CHECK (length(sha256) = 32),
    owner  TEXT    NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (sha256, owner)
) STRICT, WITHOUT ROWID;
"""

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class Pins:
    """Writes from any thread, one at a time; reads on one thread."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._writing = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        with _full_named(), ExitStack() as opened:
            if not readonly:
                self._writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                opened.callback(self._writer.close)
                self._writer.executescript(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                    f"PRAGMA trusted_schema = OFF; {_SCHEMA}"
                )
            self._reader = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            opened.pop_all()  # all is well: they stay open

    def until(self, sha256: bytes, owner: str) -> int | None:
        """The end of this owner's pin."""
        row = self._reader.execute(
            "SELECT until FROM pins WHERE sha256 = ? AND owner = ?", (sha256, owner)
        ).fetchone()
        return None if row is None else int(row[0])

    def newest(self, sha256: bytes) -> int | None:
        """The end of the pin that lasts longest, whoever's; None without any."""
        row = self._reader.execute("SELECT max(until) FROM pins WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row[0] is None else int(row[0])

    def prolong(self, sha256: bytes, owner: str, until: int) -> None:
        """Pin, or prolong the pin; it is never shortened."""
        self._write(
            "INSERT INTO pins VALUES (?, ?, ?)"
            " ON CONFLICT (sha256, owner) DO UPDATE SET until = max(until, excluded.until)",
            (sha256, owner, until),
        )

    def drop(self, sha256: bytes, ended_before: int) -> None:
        """Forget a deleted blob's pins, but none that was made since."""
        self._write("DELETE FROM pins WHERE sha256 = ? AND until < ?", (sha256, ended_before))

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        if self._writer is None:
            raise PermissionError("the blobs are open read-only")
        with self._writing, _full_named():
            self._writer.execute(statement, values)


@contextmanager
def _full_named() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL:
            raise StorageFull(f"blobs.sqlite: {error}") from error
        raise
