"""The projection: the journal's frames, in order, into `views.sqlite`.

The views hold the frame and its hash that they stand at, written in the same transaction as the rows. Where
that place is not in the journal, or the schema is another version's, they are emptied and built anew.
`synchronous=NORMAL`: a power cut may lose the newest rows, never tear them; the journal gives them again.

One writer at a time: the node that follows its journal, or a command that holds the home's lock. Readers
open the file read-only. Not handled here: whether the rows are right; `axis audit` recounts them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Final, Self

import structlog

from axis.core.frame import Frame, Head
from axis.ports import Journal
from axis.views.file import Position, open_readonly, open_writer, read_position
from axis.views.recorder import Recorder

__all__ = ["SCHEMA_VERSION", "Progress", "Views"]

#: To be raised with every change of schema.sql or of what the rows mean.
SCHEMA_VERSION: Final = 9

#: Told the sequence the views stand at, and the journal's head when the work began.
Progress = Callable[[int, int], None]

_FRAMES_AT_ONCE: Final = 16  # up to 8 MiB
_RECORDS_AT_ONCE: Final = 2048
_PAUSE: Final = 0.05  # lets frames gather: fewer transactions, and people do not notice
_IDLE: Final = 1.0  # so often an idle follower looks whether it is asked to build anew
_RETRY: Final = 1.0

_log = structlog.get_logger()


class Views:
    """The writer of one views.sqlite."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._recorder = Recorder(connection)
        self._reached = asyncio.Condition()
        self._sequence = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for writing, creating the file if there is none, or none that can be read."""
        return cls(open_writer(path), path)

    def position(self) -> Position | None:
        """Where the views stand; None before they were ever built."""
        return read_position(self._connection)

    def reader(self) -> sqlite3.Connection:
        """A read-only connection of its own for queries; the caller closes it."""
        return open_readonly(self.path)

    def catch_up(self, journal: Journal, progress: Progress | None = None) -> Head:
        """Bring the views to the head that the journal has now; in the calling thread."""
        try:
            return self._catch_up(journal, self.place(journal), progress)
        except sqlite3.IntegrityError:  # rows that cannot follow those that are there
            return self.rebuild(journal, progress)

    def rebuild(self, journal: Journal, progress: Progress | None = None) -> Head:
        """Empty the views and build them anew."""
        return self._catch_up(journal, None, progress)

    def _catch_up(self, journal: Journal, place: Head | None, progress: Progress | None) -> Head:
        target = journal.head()
        after = self._empty(target.journal_id) if place is None else place
        while after.sequence < target.sequence:
            frames = self._gather(journal, after)
            if not frames:
                break
            self._write(frames)
            after = frames[-1].head
            if progress:
                progress(after.sequence, target.sequence)
        return after

    async def follow(self, journal: Journal) -> None:
        """Keep up with a running journal until cancelled. Writes in a thread of its own.

        Reads of the journal are made in the event loop's thread, a few frames at a time.
        """
        anew = False
        with ThreadPoolExecutor(1, "views") as thread:
            while True:
                try:
                    await self._follow(journal, thread, anew)
                    anew = True
                except sqlite3.Error as error:  # a full disk must not stop the axis; the views come later
                    anew = isinstance(error, sqlite3.IntegrityError)  # moved, or rows that cannot follow
                    _log.warning("views_rebuilding" if anew else "views_failed", error=str(error))
                    await asyncio.sleep(_RETRY)

    @property
    def stands_at(self) -> int:
        """The sequence to which `follow` has brought the views."""
        return self._sequence

    async def reached(self, sequence: int, timeout: float) -> bool:
        """Wait until `follow` has brought the views to `sequence`; False after `timeout` seconds."""
        async with self._reached:
            try:
                async with asyncio.timeout(timeout):
                    await self._reached.wait_for(lambda: self._sequence >= sequence)
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._connection.close()

    async def _follow(self, journal: Journal, thread: ThreadPoolExecutor, anew: bool) -> None:
        """Follow until the views are found elsewhere than they were left: then they are to be built anew."""
        loop = asyncio.get_running_loop()
        after = None if anew else self.place(journal)
        if after is None:
            after = await loop.run_in_executor(thread, self._empty, journal.head().journal_id)
        await self._tell(after.sequence)
        while True:
            head = await journal.changed(after.sequence, _IDLE)
            if head.sequence <= after.sequence and self.place(journal) != after:
                return
            while after.sequence < head.sequence:
                frames = journal.frames(after.number, _FRAMES_AT_ONCE)
                if not frames:
                    break
                await _finish(loop.run_in_executor(thread, self._write, frames))
                after = frames[-1].head
                await self._tell(after.sequence)
            await asyncio.sleep(_PAUSE)

    async def _tell(self, sequence: int) -> None:
        async with self._reached:
            self._sequence = sequence
            self._reached.notify_all()

    def place(self, journal: Journal) -> Head | None:
        """The place to go on from; None if the views are not this journal's, or of another version."""
        position = self.position()
        if position is None or position.version != SCHEMA_VERSION:
            return None
        head = position.head
        known = head.sequence == 0 or journal.frame_hash(head.sequence) == head.sha256
        return head if known and head.journal_id == journal.head().journal_id else None

    def _gather(self, journal: Journal, after: Head) -> list[Frame]:
        """The next frames, enough for one transaction where they are small."""
        frames: list[Frame] = []
        records = 0
        while records < _RECORDS_AT_ONCE:
            found = journal.frames(frames[-1].head.number if frames else after.number, _FRAMES_AT_ONCE)
            if not found:
                break
            frames += found
            records += sum(len(frame.records) for frame in found)
        return frames

    def _write(self, frames: list[Frame]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for frame in frames:
                self._recorder.add(frame)
                if self._recorder.waiting >= _RECORDS_AT_ONCE:
                    self._recorder.write()
            self._recorder.write()
            head = frames[-1].head
            moved = self._connection.execute(
                "UPDATE position SET frame = ?, sequence = ?, sha256 = ?, at = ? WHERE sequence = ?",
                (head.number, head.sequence, head.sha256, head.at, frames[0].first_sequence - 1),
            )
            if moved.rowcount != 1:
                raise sqlite3.IntegrityError("the views are not where they were left")
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _empty(self, journal_id: str) -> Head:
        self._recorder.reset()
        schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for (statement,) in self._drops():
                self._connection.execute(statement)
            for statement in _statements(schema):
                self._connection.execute(statement)
            self._connection.execute(
                "INSERT INTO position VALUES (1, ?, ?, 0, 0, zeroblob(32), 0)", (SCHEMA_VERSION, journal_id)
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return Head.empty(journal_id)

    def _roll_back(self) -> None:
        self._recorder.reset()
        if self._connection.in_transaction:  # a full disk has rolled back already
            self._connection.execute("ROLLBACK")

    def _drops(self) -> list[tuple[str]]:
        """Virtual tables go first: they take their shadow tables with them."""
        with closing(
            self._connection.execute(
                "SELECT 'DROP TABLE IF EXISTS \"' || name || '\"' FROM sqlite_schema WHERE type = 'table'"
                " ORDER BY sql NOT LIKE 'CREATE VIRTUAL%'"
            )
        ) as rows:
            return rows.fetchall()


def _statements(script: str) -> list[str]:
    """Split a script into statements: `executescript` would commit the transaction around it."""
    statements, buffer = [], ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            statements.append(buffer)
            buffer = ""
    return statements


async def _finish(future: asyncio.Future[None]) -> None:
    """Wait for a write. Cancelled, it still waits until the transaction has ended."""
    try:
        await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
