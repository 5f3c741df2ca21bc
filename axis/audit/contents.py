"""The blobs that accepted documents name: there, of the right size and of the right hash.

Read from the files themselves: large ones by their names, small ones from the rows of `blobs.sqlite`. Of a
home in a cluster, those that its folder lacks are looked for elsewhere.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from axis.audit.books import Books
from axis.audit.report import UNREACHABLE, Findings

__all__ = ["Elsewhere", "Found", "Unreachable", "check_blobs"]


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored under a SHA-256: its size, None where it is not there or cannot be read, and real hash.

    `sha256` is None where it was not read. `detail` says why there is none; `damaged` that it is there.
    """

    size: int | None
    sha256: bytes | None
    detail: str = ""
    damaged: bool = False


class Unreachable(Exception):
    """What is stored elsewhere cannot be asked for at the moment."""


class Elsewhere(Protocol):
    """Where blobs are that the folder lacks."""

    def __call__(self, wanted: Iterable[tuple[bytes, int]], *, quick: bool) -> Iterator[tuple[bytes, Found]]:
        """What is found of each blob, given by SHA-256 and the size it should have. Raises Unreachable."""
        ...


def check_blobs(
    books: Books,
    folder: Path,
    findings: Findings,
    *,
    quick: bool,
    elsewhere: Elsewhere | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read and hash every blob once; `quick` looks at sizes only."""
    lacking: list[tuple[bytes, int]] = []
    done = 0

    def judge(sha256: bytes, found: Found) -> None:
        nonlocal done
        _judge(findings, sha256, *books.blobs[sha256], found)
        done += 1
        if progress:
            progress(done, len(books.blobs))

    with closing(_rows(folder)) as rows:
        for sha256, (_, _, size) in books.blobs.items():
            found = _stored(folder, rows, sha256, quick=quick)
            if found.size is None and not found.damaged and elsewhere is not None:
                lacking.append((sha256, size))
            else:
                judge(sha256, found)
    if elsewhere is None or not lacking:
        return
    try:
        for sha256, found in elsewhere(lacking, quick=quick):
            judge(sha256, found)
    except Unreachable as error:
        left = len(books.blobs) - done
        findings.add(0, UNREACHABLE, f"{left} attachments are not in {folder} and were not read: {error}")


def _judge(
    findings: Findings, sha256: bytes, document_id: str, sequence: int, size: int, found: Found
) -> None:
    what = f"{sha256.hex()} of {document_id}"
    if found.damaged:
        findings.add(sequence, "blob_unreadable", f"{what}: {found.detail}")
    elif found.size is None:
        findings.add(sequence, "blob_missing", what)
    elif found.size != size:
        findings.add(sequence, "blob_mismatch", f"{what}: {found.size} bytes, not {size}")
    elif found.sha256 not in (None, sha256):
        findings.add(sequence, "blob_mismatch", f"{what}: other bytes")


def _rows(folder: Path) -> sqlite3.Connection:
    """The small blobs; none where the file is gone, so that each that is named is found missing."""
    path = (folder / "blobs.sqlite").absolute()
    if path.is_file():
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    empty = sqlite3.connect(":memory:")
    empty.execute("CREATE TABLE contents (sha256 BLOB PRIMARY KEY, content BLOB)")
    return empty


def _stored(folder: Path, rows: sqlite3.Connection, sha256: bytes, *, quick: bool) -> Found:
    """What the folder holds under a hash."""
    try:
        return _read(folder, rows, sha256, quick=quick)
    except FileNotFoundError:
        return Found(None, None)
    except OSError as error:
        return Found(None, None, str(error.strerror), damaged=True)
    except sqlite3.DatabaseError as error:
        return Found(None, None, str(error), damaged=True)


def _read(folder: Path, rows: sqlite3.Connection, sha256: bytes, *, quick: bool) -> Found:
    column = "length(content)" if quick else "content"
    row = rows.execute(f"SELECT {column} FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
    if row is not None:
        return Found(row[0], None) if quick else Found(len(row[0]), hashlib.sha256(row[0]).digest())
    path = folder / sha256.hex()[:2] / sha256.hex()[2:]
    stored = path.stat().st_size
    if quick:
        return Found(stored, None)
    with path.open("rb") as file:
        return Found(stored, hashlib.file_digest(file, "sha256").digest())
