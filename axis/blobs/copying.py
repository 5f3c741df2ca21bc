"""Which files of a blob folder belong into a copy of it, beside whoever uploads and collects."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from axis.blobs.disk import folders

__all__ = ["add_small", "files_to_copy", "has_blob"]


def files_to_copy(
    root: Path, rows: sqlite3.Connection, is_named: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, Path]]:
    """SHA-256 and file of every large blob that `is_named`, or that a pin in `rows` keeps for an uploader.

    `rows` is a copy of `blobs.sqlite`. A pinned blob that nothing names may vanish before it is read.
    """
    for folder in folders(root):
        names: list[str] = []
        with suppress(FileNotFoundError):
            names = sorted(os.listdir(folder))
        for name in names:
            sha256 = bytes.fromhex(folder.name + name)
            if is_named(sha256) or _one(rows, "SELECT 1 FROM pins WHERE sha256 = ? LIMIT 1", sha256):
                yield sha256, folder / name


def has_blob(root: Path, rows: sqlite3.Connection, sha256: bytes) -> bool:
    """Whether a folder with these rows holds a blob, small or large."""
    name = sha256.hex()
    return (
        _one(rows, "SELECT 1 FROM contents WHERE sha256 = ?", sha256)
        or (root / name[:2] / name[2:]).is_file()
    )


def add_small(rows: Path, blobs: Iterable[tuple[bytes, bytes]]) -> None:
    """Add small blobs, given by (SHA-256, content), to a copy of `blobs.sqlite`: all of them or none."""
    with closing(sqlite3.connect(rows)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")  # what is copied goes into an archive that is synced
        connection.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", blobs)


def _one(rows: sqlite3.Connection, query: str, sha256: bytes) -> bool:
    with closing(rows.execute(query, (sha256,))) as found:
        return found.fetchone() is not None
