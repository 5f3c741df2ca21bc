"""The blobs that accepted documents name: there, of the right size and of the right hash.

Read from the files themselves: large ones by their names, small ones from the rows of `blobs.sqlite`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from axis.audit.books import Books
from axis.audit.report import Findings

__all__ = ["check_blobs"]


def check_blobs(
    books: Books,
    folder: Path,
    findings: Findings,
    *,
    quick: bool,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read and hash every blob once; `quick` looks at sizes only."""
    with closing(_rows(folder)) as rows:
        for done, (sha256, (document_id, sequence, size)) in enumerate(books.blobs.items(), 1):
            what = f"{sha256.hex()} of {document_id}"
            try:
                stored, found = _stored(folder, rows, sha256, quick=quick)
                if stored != size:
                    findings.add(sequence, "blob_mismatch", f"{what}: {stored} bytes, not {size}")
                elif found not in (None, sha256):
                    findings.add(sequence, "blob_mismatch", f"{what}: other bytes")
            except FileNotFoundError:
                findings.add(sequence, "blob_missing", what)
            except OSError as error:
                findings.add(sequence, "blob_unreadable", f"{what}: {error.strerror}")
            except sqlite3.DatabaseError as error:
                findings.add(sequence, "blob_unreadable", f"{what}: {error}")
            if progress:
                progress(done, len(books.blobs))


def _rows(folder: Path) -> sqlite3.Connection:
    """The small blobs; none where the file is gone, so that each that is named is found missing."""
    path = (folder / "blobs.sqlite").absolute()
    if path.is_file():
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    empty = sqlite3.connect(":memory:")
    empty.execute("CREATE TABLE contents (sha256 BLOB PRIMARY KEY, content BLOB)")
    return empty


def _stored(
    folder: Path, rows: sqlite3.Connection, sha256: bytes, *, quick: bool
) -> tuple[int, bytes | None]:
    """The size of what is stored under a hash, and its real hash unless `quick`. FileNotFoundError."""
    column = "length(content)" if quick else "content"
    row = rows.execute(f"SELECT {column} FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
    if row is not None:
        return (row[0], None) if quick else (len(row[0]), hashlib.sha256(row[0]).digest())
    path = folder / sha256.hex()[:2] / sha256.hex()[2:]
    stored = path.stat().st_size
    if quick:
        return stored, None
    with path.open("rb") as file:
        return stored, hashlib.file_digest(file, "sha256").digest()
