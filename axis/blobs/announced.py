"""What the nodes of a cluster have announced: who uploaded which blob, its size, and until when it is kept.

A small file of each node, followed from the announcements' stream; lost, it is read again from there. It also
remembers which stream of chunks has had all that this node holds; lost, that is looked at again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Announced", "Pin"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pins (
    sha256 BLOB    NOT NULL CHECK (length(sha256) = 32),
    owner  TEXT    NOT NULL,
    size   INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (sha256, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pins_end ON pins (until);
CREATE TABLE IF NOT EXISTS place (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    created TEXT    NOT NULL,
    last    INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS published (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    chunks TEXT    NOT NULL
) STRICT;
"""

_PIN: Final = (
    "INSERT INTO pins VALUES (?, ?, ?, ?)"
    " ON CONFLICT (sha256, owner) DO UPDATE SET until = max(until, excluded.until), size = excluded.size"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """`owner` uploaded a blob of `size` bytes, kept for it until `until` (milliseconds)."""

    sha256: bytes
    owner: str
    size: int
    until: int


class Announced:
    """The pins known to this node. Used on one thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # NORMAL: what a power cut takes is read from the stream again.
        self._connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; {_SCHEMA}"
        )

    def place(self, created: str) -> int:
        """How far the streams made at `created` were read; 0 for others, whose pins are not known yet.

        What was known of other streams is forgotten: their chunks are gone.
        """
        row = self._connection.execute("SELECT created, last FROM place").fetchone()
        if row is not None and row[0] == created:
            return int(row[1])
        if row is not None:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM pins")
            self._connection.execute("DELETE FROM place")
            self._connection.execute("COMMIT")
        return 0

    def take(self, pins: Iterable[Pin], created: str = "", last: int = 0) -> None:
        """Note pins, together with the place in the stream that they come up to."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_PIN, ((pin.sha256, pin.owner, pin.size, pin.until) for pin in pins))
        if created:
            self._connection.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?)", (created, last))
        self._connection.execute("COMMIT")

    def published(self, chunks: str) -> bool:
        """Whether the stream of chunks made at `chunks` has had all that this node holds."""
        row = self._connection.execute("SELECT chunks FROM published").fetchone()
        return row is not None and row[0] == chunks

    def has_published(self, chunks: str) -> None:
        """Note that it has."""
        self._connection.execute("INSERT OR REPLACE INTO published VALUES (1, ?)", (chunks,))

    def pin(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end) of this owner's pin."""
        row = self._connection.execute(
            "SELECT size, until FROM pins WHERE sha256 = ? AND owner = ?", (sha256, owner)
        ).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def newest(self, sha256: bytes) -> tuple[int, int] | None:
        """(size, end) of the pin that lasts longest, whoever's."""
        row = self._connection.execute(
            "SELECT size, until FROM pins WHERE sha256 = ? ORDER BY until DESC LIMIT 1", (sha256,)
        ).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def ended(self, ended_before: int, after: bytes, most: int) -> list[bytes]:
        """At most `most` blobs behind `after` (empty: from the first) whose every pin ended before."""
        rows = self._connection.execute(
            "SELECT DISTINCT sha256 FROM pins WHERE until < ?1 AND sha256 > ?2 AND NOT EXISTS"
            " (SELECT 1 FROM pins AS later WHERE later.sha256 = pins.sha256 AND later.until >= ?1)"
            " ORDER BY sha256 LIMIT ?3",
            (ended_before, after, most),
        )
        return [sha256 for (sha256,) in rows]

    def forget(self, ended_before: int) -> None:
        """Forget the blobs whose every pin ended before."""
        self._connection.execute(
            "DELETE FROM pins WHERE until < ?1 AND NOT EXISTS"
            " (SELECT 1 FROM pins AS later WHERE later.sha256 = pins.sha256 AND later.until >= ?1)",
            (ended_before,),
        )

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._connection.close()
