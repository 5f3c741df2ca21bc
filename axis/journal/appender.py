"""One append to the SQLite journal: everything about a frame in one transaction, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from axis.core import merkle
from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.journal.files import connect_writer, errors_named, read_head
from axis.journal.waiting import check_follows, same_place
from axis.ports import Conflict, KeyTaken

__all__ = ["Appender"]


class Appender:
    """The writing connection. Used by one thread at a time."""

    def __init__(self, path: Path, journal_id: str) -> None:
        self._path = path
        self._journal_id = journal_id
        self._connection = connect_writer(path)

    def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        """Store the frame durably and give the new head; raises as ports.Journal.append says."""
        with errors_named(self._path):
            try:
                # IMMEDIATE takes the writer's lock before the head is read: no other appender in between.
                self._connection.execute("BEGIN IMMEDIATE")
                self._store(expected, frame, changes)
                self._connection.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        return frame.head

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _store(self, expected: Head, frame: Frame, changes: Changes) -> None:
        head = read_head(self._connection, self._journal_id)
        if not same_place(head, expected):
            raise Conflict(head)
        check_follows(head, frame)
        self._take_keys(changes.keys, head.sequence)
        new = frame.head
        execute, executemany = self._connection.execute, self._connection.executemany
        execute(
            "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)",
            (new.number, frame.first_sequence, new.sequence, new.at, new.sha256, frame.raw),
        )
        executemany(
            "INSERT INTO facts VALUES (?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, sequence = excluded.sequence",
            ((key, value, sequence) for key, (value, sequence) in changes.facts.items()),
        )
        executemany(
            "INSERT INTO feed VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((row.organisation, int(row.urgent), row.sequence) for row in changes.feed),
        )
        execute(
            "UPDATE head SET number = ?, sequence = ?, at = ?, sha256 = ?, peaks = ?",
            (new.number, new.sequence, new.at, new.sha256, self._peaks_with(head.sequence, frame)),
        )

    def _take_keys(self, keys: dict[str, int], size: int) -> None:
        try:
            self._connection.executemany("INSERT INTO keys VALUES (?, ?)", keys.items())
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
                raise
            ask = "SELECT 1 FROM keys WHERE key = ? AND sequence <= ?"
            taken = [key for key in keys if self._connection.execute(ask, (key, size)).fetchone()]
            raise KeyTaken(", ".join(sorted(taken))) from error

    def _peaks_with(self, size: int, frame: Frame) -> bytes:
        joined = self._connection.execute("SELECT peaks FROM head").fetchone()[0]
        peaks = tuple(joined[start : start + 32] for start in range(0, len(joined), 32))
        for offset, record in enumerate(frame.records):
            peaks = merkle.append_leaf(peaks, size + offset, merkle.leaf_hash(record))
        return b"".join(peaks)

    def _undo(self) -> None:
        """Leave no transaction behind, whatever failed; a connection that cannot even do that is replaced."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self._connection.in_transaction:
            self._connection.close()
            self._connection = connect_writer(self._path)
