"""The search index, recounted: the terms of every event in an index of the audit's own.

It is made by SQLite with the same tokeniser, in a temporary file, and the two are compared word by word.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby, islice, zip_longest
from typing import Final

__all__ = ["Words"]

_TABLE: Final = (
    "CREATE VIRTUAL TABLE search USING fts5"
    " (terms, content = '', columnsize = 0, detail = none, tokenize = \"ascii tokenchars '=^~/._-:'\")"
)
_AT_ONCE: Final = 2000

_Entry = tuple[str, int]


class Words:
    """Terms, words among them, by the sequence of their event."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(_TABLE)
        self._connection.execute("CREATE VIRTUAL TABLE temp.entries USING fts5vocab(main, search, instance)")
        self._waiting: list[tuple[int, str]] = []

    def add(self, sequence: int, *texts: str) -> None:
        """Enter an event's terms, folded already."""
        self._waiting.append((sequence, " ".join(texts)))
        if len(self._waiting) >= _AT_ONCE:
            self._write()

    def differences(self, views: sqlite3.Connection) -> Iterator[tuple[int, str]]:
        """(sequence, what is wrong) for each word of a document that only one of the two has."""
        self._write()
        views.execute("CREATE VIRTUAL TABLE temp.entries USING fts5vocab(main, search, instance)")
        ours, theirs = _entries(self._connection), _entries(views)
        mine, other = next(ours, None), next(theirs, None)
        while mine is not None or other is not None:
            if mine == other:
                mine, other = next(ours, None), next(theirs, None)
            elif other is None or (mine is not None and mine < other):
                assert mine is not None
                yield mine[1], f"search: the word {mine[0]!r} is missing"
                mine = next(ours, None)
            else:
                yield other[1], f"search: the word {other[0]!r} was added"
                other = next(theirs, None)
        yield from self._unfound(views)

    def _unfound(self, views: sqlite3.Connection) -> Iterator[tuple[int, str]]:
        """Words that stand in the index and are not found by asking for them, or with other documents."""
        for word, _ in groupby(_entries(self._connection), lambda entry: entry[0]):
            ours, theirs = _found(self._connection, word), _found(views, word)
            if all(mine == other for mine, other in zip_longest(ours, theirs)):
                continue
            for sequence in sorted(set(_found(self._connection, word)) ^ set(_found(views, word))):
                yield sequence, f"search: asking for the word {word!r} gives other documents"

    def close(self) -> None:
        """Drop the temporary file."""
        self._connection.close()

    def _write(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO search (rowid, terms) VALUES (?, ?)", self._waiting)
        self._connection.execute("COMMIT")
        self._waiting.clear()


def _found(connection: sqlite3.Connection, word: str) -> Iterator[int]:
    quoted = word.replace('"', '""')
    rows = connection.execute("SELECT rowid FROM search WHERE search MATCH ?", (f'"{quoted}"',))
    return (sequence for (sequence,) in rows)


def _entries(connection: sqlite3.Connection) -> Iterator[_Entry]:
    """In the index's own order, which is the same on both sides: by word (as bytes), then by document."""
    rows = connection.execute("SELECT CAST(term AS BLOB), doc FROM temp.entries")
    while batch := list(islice(rows, _AT_ONCE)):
        yield from ((str(term, "utf-8", "replace"), doc) for term, doc in batch)
