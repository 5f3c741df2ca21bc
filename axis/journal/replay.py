"""The journal made again from its frames alone: to check the index, or to mend one that is damaged.

Nothing but the frames' bytes is taken from the source, and each must follow its predecessor.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from axispb.v1 import journal_pb2

from axis.core.frame import FrameInvalid, Head, decode
from axis.journal.appender import Appender
from axis.journal.files import connect_reader, errors_named, found, raw_frames, read_head
from axis.ports import JournalBroken, Reduce

__all__ = ["index_problems", "rebuild"]

#: What the index is, and what names a row of it in a report.
_TABLES: Final = {
    "keys": "key",
    "facts": "key",
    "feed": "organisation || ' ' || sequence",
    "head": "'the newest frame'",
}

#: Differences named for each table and side; more tell nobody more.
_NAMED: Final = 10


class _StoredFacts:
    """The facts in a file that is being written by this thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> bytes | None:
        row = self._connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]


def rebuild(source: Path, target: Path, reduce: Reduce) -> Head:
    """Make the journal `target` from the frames of `source`, index and all; goes on where it was stopped.

    Durable when it returns. Raises JournalBroken where a frame is damaged, missing or does not follow
    (the target then ends before it), FileNotFoundError for a source without frames, StorageFull.
    """
    head: Head | None = None
    with errors_named(target):
        if not target.exists():
            found(target, _journal_id(source))
        with closing(connect_reader(target)) as reader:
            stored = reader.execute("SELECT journal_id FROM journal").fetchone()[0]
            head = read_head(reader, stored)
            with closing(Appender(target, stored, durable=False)) as appender:
                for _number, raw in raw_frames(source, after=head.number):
                    try:
                        frame = decode(raw, head)
                    except FrameInvalid as error:
                        raise JournalBroken(f"{source}: {error}") from error
                    head = appender.append(head, frame, reduce(frame, _StoredFacts(reader)))
                appender.make_durable()
    return head


def index_problems(path: Path, reduce: Reduce) -> list[str]:
    """Where the index differs from a replay: one sentence each, none when all is well.

    Beside a running writer it compares at one head. Needs as much room in the folder for temporary files
    as the journal has bytes. JournalBroken where the frames themselves are damaged.
    """
    with tempfile.TemporaryDirectory(prefix="axis-replay-") as folder:
        replayed = Path(folder) / "journal.sqlite"
        while True:
            head = rebuild(path, replayed, reduce)
            with _both(path, replayed) as connection:
                number = connection.execute("SELECT max(number) FROM stored.frames").fetchone()[0]
                if number == head.number:
                    return list(_differences(connection))


@contextmanager
def _both(path: Path, replayed: Path) -> Iterator[sqlite3.Connection]:
    """Both files in one read transaction: `stored` and `replayed`."""
    with errors_named(path), closing(connect_reader(replayed)) as connection:
        for name, file in (("stored", path), ("replayed", replayed)):
            connection.execute(f"ATTACH ? AS {name}", (f"{file.absolute().as_uri()}?mode=ro",))
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


def _differences(connection: sqlite3.Connection) -> Iterator[str]:
    for table, name in _TABLES.items():
        for one, other, what in (
            ("stored", "replayed", "is not what the frames say"),
            ("replayed", "stored", "is missing or changed"),
        ):
            rows = connection.execute(
                f"SELECT {name} FROM (SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table})"
                f" ORDER BY 1 LIMIT {_NAMED}"
            )
            for (row,) in rows:
                yield f"{table}: {row} {what}"


def _journal_id(source: Path) -> str:
    for _number, raw in raw_frames(source, batch=1):
        return str(journal_pb2.Frame.FromString(raw).journal_id)
    raise FileNotFoundError(f"no frames in {source}")
