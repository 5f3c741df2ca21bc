"""The journal in one SQLite file (WAL, synchronous=FULL): the engine of an axis on one machine.

Appends run one after another in a thread of their own, each in one transaction. Reads run on the caller's
thread through a second, read-only connection, so they see every append that has returned, in this process
or another. Frames are kept byte for byte; the rest of the file is an index over them.

Not handled here: who may append (the home's lock).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from axis.core.facts import Changes
from axis.core.frame import Frame, FrameInvalid, Head, decode
from axis.journal.appender import Appender
from axis.journal.files import connect_reader, errors_named, found, named, read_head, verify_head
from axis.journal.waiting import Alone, Wakeup
from axis.ports import JournalBroken, StoredRecord

__all__ = ["SqliteJournal"]

#: How often a read-only journal looks whether another process has appended.
_POLL_SECONDS: Final = 0.1

#: Decoded frames kept for `record`, by the size of their bytes.
_CACHE_BYTES: Final = 4 * 1024 * 1024

_AFTER_LAST: Final = "\U0010ffff"  # sorts after every key that starts with what stands before it


class SqliteJournal(Alone):
    """ports.Journal in `journal.sqlite`. Make one with `open`."""

    def __init__(
        self,
        path: Path,
        journal_id: str,
        reader: sqlite3.Connection,
        appender: Appender | None,
        head: Head,
    ) -> None:
        super().__init__()
        self._path = path
        self._journal_id = journal_id
        self._reader = reader
        self._appender = appender
        self._known = head  # never ahead of the file, perhaps behind it
        self._wakeup = Wakeup()
        self._cache: OrderedDict[int, Frame] = OrderedDict()  # by first sequence
        self._cached_bytes = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    @classmethod
    def open(cls, path: Path, *, journal_id: str | None = None, readonly: bool = False) -> SqliteJournal:
        """Open the file; with a `journal_id`, make it if it is not there.

        `readonly` works beside a running writer and on a stopped home. Raises FileNotFoundError;
        JournalBroken when the file is damaged, its newest frame is not the one that the head names, or it
        holds another journal than `journal_id`; StorageFull.
        """
        path = Path(path)
        with errors_named(path):
            stored = _stored_id(path)
            if stored is None:
                if journal_id is None or readonly:
                    raise FileNotFoundError(f"no journal at {path}")
                found(path, journal_id)
                stored = journal_id
            if journal_id not in (None, stored):
                raise JournalBroken(f"{path} holds journal {stored}, not {journal_id}")
            with ExitStack() as opened:
                appender = None if readonly else Appender(path, stored)
                if appender is not None:
                    opened.callback(appender.close)
                reader = connect_reader(path)
                opened.callback(reader.close)
                head = verify_head(reader, stored)
                opened.pop_all()  # all is well: they stay open
        return cls(path, stored, reader, appender, head)

    def head(self) -> Head:
        """Where the journal stands."""
        with errors_named(self._path):
            self._known = read_head(self._reader, self._journal_id)
        return self._known

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        """Add `frame`; see ports.Journal. Cancelled or not, it finishes and wakes those who wait."""
        if self._appender is None:
            raise PermissionError(f"{self._path} is open read-only")
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, self._appender.append, expected, frame, changes
        )
        work.add_done_callback(lambda done: self._landed(done, frame, changes))
        return await asyncio.shield(work)

    def _landed(self, done: asyncio.Future[Head], frame: Frame, changes: Changes) -> None:
        # Looking at the exception here keeps a cancelled caller's failure from being logged as unseen.
        if done.cancelled() or done.exception() is not None:
            return
        if done.result().sequence > self._known.sequence:
            self._known = done.result()
        self._remember(frame)
        self._tell(frame, changes)
        self._wakeup.wake()

    async def changed(self, beyond: int, timeout: float) -> Head:
        """The head, once its sequence is over `beyond` or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._closed or self._known.sequence > beyond:
                return self._known
            head = self.head()
            left = deadline - loop.time()
            if head.sequence > beyond or left <= 0:
                return head
            await self._wakeup.wait(min(left, _POLL_SECONDS) if self._appender is None else left)

    def get(self, key: str) -> bytes | None:
        """The value of a fact at the head."""
        rows = self._rows("SELECT value FROM facts WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def frames(self, after: int, limit: int = 64) -> list[Frame]:
        """Frames numbered over `after`, each checked against its predecessor and its recorded hash."""
        after = max(after, 0)
        rows = self._rows(
            "SELECT number, last_sequence, at, sha256, raw FROM frames"
            " WHERE number >= ? ORDER BY number LIMIT ?",
            (after, limit + (after > 0)),
        )
        head = Head.empty(self._journal_id)
        if after and rows:
            number, last, at, sha256, _raw = rows.pop(0)
            head = Head(self._journal_id, number, last, sha256, at)
        found_frames = []
        for *_, sha256, raw in rows:
            found_frames.append(self._decode(raw, head, sha256))
            head = found_frames[-1].head
        return found_frames

    def record(self, sequence: int) -> StoredRecord | None:
        """The record at a place."""
        frame = self._frame_with(sequence)
        if frame is None:
            return None
        return StoredRecord(sequence, frame.at, frame.records[sequence - frame.first_sequence])

    def records(self, sequences: list[int]) -> list[StoredRecord]:
        """The records at these places; absent ones are left out."""
        stored = (self.record(sequence) for sequence in sequences)
        return [record for record in stored if record is not None]

    def time_of(self, sequence: int) -> int:
        """The time of the frame that holds a sequence; 0 where there is none."""
        rows = self._rows(
            "SELECT at, last_sequence FROM frames WHERE first_sequence <= ?"
            " ORDER BY first_sequence DESC LIMIT 1",
            (sequence,),
        )
        return rows[0][0] if rows and rows[0][1] >= sequence else 0

    def frame_hash(self, sequence: int) -> bytes | None:
        """The hash of the frame that ends at this sequence."""
        rows = self._rows("SELECT sha256 FROM frames WHERE last_sequence = ?", (sequence,))
        return rows[0][0] if rows else None

    def key(self, key: str) -> int | None:
        """The sequence of the record that took a key."""
        rows = self._rows("SELECT sequence FROM keys WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def facts(self, prefix: str, changed_after: int = 0, limit: int = 1000) -> list[tuple[str, bytes, int]]:
        """Facts under `prefix` changed after a sequence, ordered by (sequence, key); whole sequences only.

        Quick for a whole family (`unit/`), which has an index of its own by sequence; a longer prefix reads
        all keys under it.
        """
        if prefix.endswith("/") and prefix.count("/") == 1:
            where = "substr(key, 1, instr(key, '/')) = :prefix"
        else:
            where = "key >= :prefix AND key < :prefix || :after_last"
        query = f"SELECT key, value, sequence FROM facts WHERE {where}"
        names = {"prefix": prefix, "after_last": _AFTER_LAST, "after": changed_after, "limit": limit}
        rows = self._rows(f"{query} AND sequence > :after ORDER BY sequence, key LIMIT :limit", names)
        if rows and len(rows) == limit:
            names |= {"key": rows[-1][0], "sequence": rows[-1][2]}
            rows += self._rows(f"{query} AND sequence = :sequence AND key > :key ORDER BY key", names)
        return rows

    def feed(self, organisation: str, urgent: bool, after: int, limit: int) -> list[int]:
        """Sequences over `after` in one lane of an organisation's feed."""
        rows = self._rows(
            "SELECT sequence FROM feed WHERE organisation = ? AND urgent = ? AND sequence > ?"
            " ORDER BY sequence LIMIT ?",
            (organisation, int(urgent), after, limit),
        )
        return [sequence for (sequence,) in rows]

    def peaks(self) -> list[bytes]:
        """The peaks of the tree over the records."""
        joined = self._rows("SELECT peaks FROM head", ())[0][0]
        return [joined[start : start + 32] for start in range(0, len(joined), 32)]

    async def close(self) -> None:
        """Finish the appends under way, end every wait, release the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._wakeup.wake()
        await asyncio.to_thread(self._thread.shutdown)
        self._reader.close()
        if self._appender is not None:
            await asyncio.to_thread(self._appender.close)  # the last connection: it folds the WAL in

    def _rows(self, query: str, values: Any) -> list[Any]:
        # Not `errors_named`: this runs thirty times a document, and entering a context costs more.
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise named(error, self._path) from error

    def _frame_with(self, sequence: int) -> Frame | None:
        rows = self._rows(
            "SELECT first_sequence, last_sequence, number FROM frames"
            " WHERE first_sequence <= ? ORDER BY first_sequence DESC LIMIT 1",
            (sequence,),
        )
        if not rows or rows[0][1] < sequence:
            return None
        first_sequence, _last, number = rows[0]
        frame = self._cache.get(first_sequence)
        if frame is not None:
            self._cache.move_to_end(first_sequence)
            return frame
        frame = self.frames(number - 1, 1)[0]
        self._remember(frame)
        return frame

    def _remember(self, frame: Frame) -> None:
        if frame.first_sequence in self._cache:
            return
        self._cache[frame.first_sequence] = frame
        self._cached_bytes += len(frame.raw)
        while self._cached_bytes > _CACHE_BYTES:
            _first, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= len(dropped.raw)

    def _decode(self, raw: bytes, after: Head, sha256: bytes) -> Frame:
        try:
            frame = decode(raw, after)
        except FrameInvalid as error:
            raise JournalBroken(f"{self._path}: {error}") from error
        if frame.head.sha256 != sha256:
            raise JournalBroken(f"{self._path}: frame {after.number + 1} is not the bytes that were appended")
        return frame


def _stored_id(path: Path) -> str | None:
    """The journal in the file; None where there is no file, or one whose founding did not finish."""
    if not path.is_file():
        return None
    reader = connect_reader(path)
    try:
        if not reader.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal'").fetchone():
            return None
        row = reader.execute("SELECT journal_id FROM journal").fetchone()
        if row is None:
            raise JournalBroken(f"{path} does not say which journal it is")
        stored: str = row[0]
        return stored
    finally:
        reader.close()
