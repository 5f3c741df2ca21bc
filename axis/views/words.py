"""Words that are typed in part: `quyet di` finds `Quyết định`.

Terms of the search index are found whole, so the beginnings of words are looked up in a list of the words
that occur. Short ones are listed, which every Vietnamese syllable is; codes, ids and long numbers must be
typed whole, and so must a word of one letter or one that too many others begin with.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Final

from axis.views.queries import query
from axis.views.text import words_of

__all__ = ["SHORTEST", "WordList", "begun", "is_listed"]

#: Letters that a word needs to be found by its beginning.
SHORTEST: Final = 2
#: More words than this with one beginning are not tried.
_MOST: Final = 512
_REMEMBERED: Final = 100_000
_LISTED: Final = re.compile(r"[^\W\d_]{1,10}|\d{1,5}")


def is_listed(word: str) -> bool:
    """Whether a folded word is found by its beginnings too."""
    return _LISTED.fullmatch(word) is not None


def begun(connection: sqlite3.Connection, typed: str) -> list[list[str]]:
    """For each word typed, the words of the index that it may mean, itself first; [] if nothing is a word."""
    return [_meant(connection, word) for word in dict.fromkeys(words_of(typed))]


def _meant(connection: sqlite3.Connection, word: str) -> list[str]:
    if len(word) < SHORTEST:
        return [word]
    parameters = {"word": word, "limit": _MOST + 1}
    found = [str(row[0]) for row in connection.execute(query("words_beginning"), parameters)]
    return [word] if len(found) > _MOST else [word, *(each for each in found if each != word)]


class WordList:
    """The list being written, over one connection. The caller owns the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: set[str] = set()
        self._new: list[str] = []

    def add(self, words: Iterable[str]) -> None:
        """Enter those that are to be listed, at the next `write`."""
        for word in words:
            if word not in self._known and is_listed(word):
                self._known.add(word)
                self._new.append(word)

    def write(self) -> None:
        """Write what is new."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO words VALUES (?)", [(word,) for word in self._new]
        )
        self._new.clear()
        if len(self._known) > _REMEMBERED:
            self._known.clear()

    def forget(self) -> None:
        """Drop what is remembered: the transaction was rolled back, or the views were emptied."""
        self._known.clear()
        self._new.clear()
