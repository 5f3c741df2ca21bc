"""Whether a home is whole by itself: its journal chains from the first frame, every named blob is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from axis.app.home import Home
from axis.app.named import named_blobs
from axis.archive.databases import check_database
from axis.blobs.copying import has_blob
from axis.core import merkle
from axis.core.frame import Head
from axis.journal.sqlite import SqliteJournal
from axis.readonly import open_readonly

__all__ = ["NotWhole", "whole"]

_BATCH: Final = 64
_BUSY_SECONDS: Final = 10.0


class NotWhole(Exception):
    """Something of the home is damaged or missing. Says what."""


def whole(home: Home, progress: Callable[[str, int], None] = lambda _what, _bytes: None) -> tuple[Head, str]:
    """The head and the root hash (hex), recomputed from all frames. Not for use within an event loop.

    Contents are looked for, not hashed: that was done when they came. Raises NotWhole, JournalBroken.
    """
    for database in (home.journal_path, home.blobs_path / "blobs.sqlite"):
        if wrong := check_database(database):
            raise NotWhole(f"{database.name}: {wrong}")
    journal = SqliteJournal.open(home.journal_path, readonly=True)
    try:
        return _whole(home, journal, progress)
    finally:
        asyncio.run(journal.close())


def _whole(home: Home, journal: SqliteJournal, progress: Callable[[str, int], None]) -> tuple[Head, str]:
    head = journal.head()
    root = merkle.root_of(_records(journal, progress))
    if root != merkle.root(journal.peaks(), head.sequence):
        raise NotWhole(f"the records' root hash is {root.hex()}, the journal's index says otherwise")
    with closing(open_readonly(home.blobs_path / "blobs.sqlite", timeout=_BUSY_SECONDS)) as rows:
        for sha256, _ in named_blobs(journal, lambda sha256: not has_blob(home.blobs_path, rows, sha256)):
            raise NotWhole(f"blob {sha256.hex()} is missing")
    return head, root.hex()


def _records(journal: SqliteJournal, progress: Callable[[str, int], None]) -> Iterator[bytes]:
    """Every record in sequence, each frame checked against its predecessor."""
    after = 0
    while frames := journal.frames(after, _BATCH):
        for frame in frames:
            yield from frame.records
            after += 1
        progress(f"frame {after} verified", 0)
