"""The audit: does everything that is stored follow from what was signed?

Walks the stored frames, checks bytes, chain and tree, every signature at its place and every binding, and
recounts all of it in books of its own (`axis.audit.books`), which are then compared row by row with the
journal's index, with the views and with the blobs. It shares the verification of envelopes with the axis
(`axis.core.verify`), and nothing else: neither the state nor the views can excuse themselves.

What it cannot see: a journal that was replaced as a whole by another one that is sound in itself. For that,
compare its head with one that an agency node has kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from axis.audit.books import Books
from axis.audit.chain import Chain
from axis.audit.contents import Elsewhere, check_blobs
from axis.audit.index import check_file, check_index, stored_root
from axis.audit.judge import Judge
from axis.audit.report import AuditReport, Findings, Problem
from axis.audit.rows import check_views
from axis.audit.words import Words

__all__ = ["AuditReport", "Problem", "Progress", "audit"]

_FORMAT: Final = 1

#: One, number, sequence, at, sha256.
_Head = tuple[int, int, int, int, bytes]

#: Told what is being done, how far it is and how far it goes.
Progress = Callable[[str, int, int], None]


def audit(
    journal: Path,
    views: Path | None,
    blobs: Path | None = None,
    *,
    anchors: Sequence[bytes] | None = None,
    quick: bool = False,
    elsewhere: Elsewhere | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit the files of one axis; `anchors` (DER) are those that the home trusts, `blobs` the blobs' folder:
    every attachment is read, unless `quick`. `elsewhere` is asked for those that the folder lacks.

    Works beside a running node: up to the head at the start, and then to where index and views stand when
    they are compared. Raises FileNotFoundError without a journal, sqlite3.DatabaseError when the file cannot
    be read as one at all.
    """
    if not journal.is_file():
        raise FileNotFoundError(f"no journal at {journal}")
    with closing(_open(journal)) as connection, closing(Words()) as words:
        return _Audit(connection, words, anchors, progress).run(views, blobs, quick, elsewhere)


class _Audit:
    """One run."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        words: Words,
        anchors: Sequence[bytes] | None,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._words = words
        self._progress = progress
        self._books = Books()
        self._findings = Findings()
        self._chain = Chain(connection, _journal_id(connection, self._findings), self._findings)
        self._judge = Judge(self._books, self._findings, words, anchors)

    def run(
        self, views: Path | None, blobs: Path | None, quick: bool, elsewhere: Elsewhere | None
    ) -> AuditReport:
        _, number, sequence, *_ = self._head()
        self._walk(number, sequence)
        equal = views is not None and self._compare_views(views)
        # One transaction for head, frames and index, so that they belong together beside a running node.
        self._connection.execute("BEGIN")
        head = _, number, sequence, *_ = self._head()
        self._walk(number, sequence)
        self._check_head(*head)
        try:
            check_index(self._books, self._connection, self._findings)
            check_file(self._connection, "journal_damaged", self._findings)
        except sqlite3.DatabaseError as error:
            self._findings.add(0, "journal_unreadable", f"index: {error}")
        self._connection.execute("ROLLBACK")  # reading all contents must not keep the WAL from being reused
        if blobs is not None:
            tell = self._progress
            counting = (lambda done, of: tell("attachments", done, of)) if tell else None
            check_blobs(
                self._books, blobs, self._findings, quick=quick, elsewhere=elsewhere, progress=counting
            )
        chain = self._chain
        return AuditReport(
            head=f"{chain.journal_id}:{chain.sequence}:{chain.sha256.hex()}",
            records=chain.tree.size,
            root_hash=chain.tree.root().hex(),
            signatures_checked=self._judge.signatures,
            volumes_equal=equal,
            problems=self._findings.final(),
        )

    def _head(self) -> _Head:
        rows = self._connection.execute("SELECT one, number, sequence, at, sha256 FROM head").fetchall()
        return rows[0] if rows else (0, 0, 0, 0, bytes(32))

    def _walk(self, number: int, sequence: int) -> None:
        try:
            for frame in self._chain.walk(number):
                self._judge.frame(frame)
                if self._progress:
                    self._progress("records", self._chain.sequence, sequence)
        except sqlite3.DatabaseError as error:
            self._findings.add(self._chain.sequence + 1, "journal_unreadable", str(error))

    def _check_head(self, one: int, number: int, sequence: int, at: int, sha256: bytes) -> None:
        chain = self._chain
        if one != 1 or at != chain.at:
            detail = f"head {one} says time {at}; the frames end at {chain.at}"
            self._findings.add(sequence, "head_mismatch", detail)
        if (number, sequence, sha256) != (chain.number, chain.sequence, chain.sha256):
            detail = f"the head names frame {number}, record {sequence}; the frames end with {chain.number}"
            self._findings.add(sequence, "head_mismatch", detail)
        elif self._findings.problems and chain.tree.size != sequence:
            return  # frames that are missing or cannot be read: the tree has to differ
        elif stored_root(self._connection) != chain.tree.root():
            self._findings.add(sequence, "tree_mismatch", "the stored peaks give another tree head")

    def _compare_views(self, path: Path) -> bool:
        """Compare the views at the place where they stand, which is at or after the head at the start."""
        if not path.is_file():
            self._findings.add(0, "views_missing", f"no views at {path}: run axis views rebuild")
            return False
        try:
            with closing(_open(path)) as views:
                views.execute("BEGIN")
                return self._compare_at(views)
        except sqlite3.DatabaseError as error:
            self._findings.add(0, "views_unreadable", f"{error}: run axis views rebuild")
            return False

    def _compare_at(self, views: sqlite3.Connection) -> bool:
        chain = self._chain
        (frame,) = views.execute("SELECT frame FROM position").fetchone() or (0,)
        if frame > chain.number:
            self._walk(frame, chain.sequence)
        if frame != chain.number:
            detail = (
                f"the views stand at frame {frame}, the journal at {chain.number}: run axis views rebuild"
            )
            self._findings.add(chain.sequence, "views_elsewhere", detail)
            return False
        equal = check_views(self._books, chain, self._words, views, self._findings)
        check_file(views, "views_damaged", self._findings)
        return equal


def _journal_id(connection: sqlite3.Connection, findings: Findings) -> str:
    """Which journal the file says it is; the frames are then held to it."""
    rows = connection.execute("SELECT one, format, journal_id FROM journal").fetchall()
    if len(rows) != 1 or rows[0][:2] != (1, _FORMAT):
        findings.add(0, "journal_invalid", f"not one journal of format {_FORMAT}: {rows}")
    return rows[0][2] if rows else ""


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)
