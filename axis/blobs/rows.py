"""`blobs.sqlite`: who uploaded which blob and until when it is kept for them, and the small blobs themselves.

A small blob is a row: a batch of them, with their pins, is one durable commit (WAL, synchronous=FULL), where
files would cost two fsyncs and a folder entry each. Most attachments are small (20 KB is typical).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from axis.ports import StorageFull

__all__ = ["BlobRows"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pins (
    sha256 BLOB    NOT NULL CHECK (length(sha256) = 32),
    owner  TEXT    NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (sha256, owner)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    sha256  BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    content BLOB NOT NULL
) STRICT;
"""

_PIN: Final = (
    "INSERT INTO pins VALUES (?, ?, ?)"
    " ON CONFLICT (sha256, owner) DO UPDATE SET until = max(until, excluded.until)"
)

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class BlobRows:
    """Writes from any thread, one at a time; reads on one thread."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        with _full_named(), ExitStack() as opened:
            if not readonly:
                self._writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                opened.callback(self._writer.close)
                self._writer.executescript(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    f"PRAGMA trusted_schema = OFF; {_SCHEMA}"
                )
            self._reader = self._connect_reader()
            opened.pop_all()  # all is well: they stay open

    def _connect_reader(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

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

    def size(self, sha256: bytes) -> int | None:
        """The size of a blob that is a row."""
        row = self._reader.execute(
            "SELECT length(content) FROM contents WHERE sha256 = ?", (sha256,)
        ).fetchone()
        return None if row is None else int(row[0])

    def content(self, sha256: bytes) -> bytes | None:
        """A blob that is a row."""
        row = self._reader.execute("SELECT content FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])

    def hashes(self) -> Iterator[bytes]:
        """Of every blob that is a row. From any thread."""
        with closing(self._connect_reader()) as reader:
            for (sha256,) in reader.execute("SELECT sha256 FROM contents ORDER BY sha256"):
                yield sha256

    def page(self, after: bytes, most: int) -> list[bytes]:
        """At most `most` blobs that are rows, those behind `after` (empty: from the first). From any thread.

        Nothing stays open in between, so a long walk holds up no checkpoint.
        """
        with closing(self._connect_reader()) as reader:
            rows = reader.execute(
                "SELECT sha256 FROM contents WHERE sha256 > ? ORDER BY sha256 LIMIT ?", (after, most)
            )
            return [sha256 for (sha256,) in rows]

    def store(self, contents: Mapping[bytes, bytes], owner: str, until: int) -> None:
        """Blobs by their SHA-256, with their pins: all of them durably, or none."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", contents.items())
            connection.executemany(_PIN, [(sha256, owner, until) for sha256 in contents])

    def prolong(self, sha256: bytes, owner: str, until: int) -> None:
        """Pin, or prolong the pin; it is never shortened."""
        with self._transaction() as connection:
            connection.execute(_PIN, (sha256, owner, until))

    def drop(self, sha256: bytes, ended_before: int) -> bool:
        """Forget a blob's pins that have ended, and the blob if it is a row and none is left.

        Whether a row went.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM pins WHERE sha256 = ? AND until < ?", (sha256, ended_before))
            gone = connection.execute(
                "DELETE FROM contents WHERE sha256 = ?1"
                " AND NOT EXISTS (SELECT 1 FROM pins WHERE sha256 = ?1)",
                (sha256,),
            )
            return gone.rowcount == 1

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            raise PermissionError("the blobs are open read-only")
        with self._writing, _full_named():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise


@contextmanager
def _full_named() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL:
            raise StorageFull(f"blobs.sqlite: {error}") from error
        raise
