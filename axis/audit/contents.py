"""The blobs that accepted documents name: there, of the right size and of the right hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from axis.audit.books import Books
from axis.audit.report import Findings

__all__ = ["check_blobs"]


def check_blobs(
    books: Books,
    root: Path,
    findings: Findings,
    *,
    quick: bool,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read and hash every blob once; `quick` looks at sizes only."""
    for done, (sha256, (document_id, sequence, size)) in enumerate(books.blobs.items(), 1):
        name = sha256.hex()
        path = root / name[:2] / name[2:]
        what = f"{name} of {document_id}"
        try:
            stored = path.stat().st_size
            if stored != size:
                findings.add(sequence, "blob_mismatch", f"{what}: {stored} bytes, not {size}")
            elif not quick and _sha256(path) != sha256:
                findings.add(sequence, "blob_mismatch", f"{what}: other bytes")
        except FileNotFoundError:
            findings.add(sequence, "blob_missing", what)
        except OSError as error:
            findings.add(sequence, "blob_unreadable", f"{what}: {error.strerror}")
        if progress:
            progress(done, len(books.blobs))


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
