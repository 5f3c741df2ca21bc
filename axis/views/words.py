"""Words that are typed in part: `quyet di` finds `Quyết định`.

Terms of the search index are found whole, so the beginnings of words are looked up in a list of the words
that occur. Short ones are listed, which every Vietnamese syllable is; codes, ids and long numbers must be
typed whole, and so must a word of one letter.

Anybody may write words into the list. So of a beginning that too many have, only Vietnamese syllables are
tried, which are few whatever was written, or numbers of two digits more.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from itertools import product
from string import digits
from typing import Final

from axis.core.errors import Refusal
from axis.views.queries import query
from axis.views.syllables import syllables_beginning
from axis.views.text import words_of

__all__ = ["MOST_WORDS", "SHORTEST", "WordList", "begun", "is_listed"]

#: Letters that a word needs to be found by its beginning.
SHORTEST: Final = 2
#: A subject of 500 characters, pasted whole, has fewer.
MOST_WORDS: Final = 100
#: Of these the last may be begun, as somebody types them.
_BEGUN: Final = 16
#: More words than this with one beginning are not tried, nor more than that for all that are begun: a search
#: looks through the list of each, in every block.
_MOST: Final = 512
_TOGETHER: Final = 2000
_REMEMBERED: Final = 100_000
_LISTED: Final = re.compile(r"[^\W\d_]{1,10}|\d{1,5}")


def is_listed(word: str) -> bool:
    """Whether a folded word is found by its beginnings too."""
    return _LISTED.fullmatch(word) is not None


def begun(connection: sqlite3.Connection, typed: str) -> list[list[str]]:
    """For each word typed, the words of the index that it may mean, itself first; [] if nothing is a word.

    Words that may mean least are tried first; what is too much together is meant whole. Refusal
    `field_invalid` for more than MOST_WORDS.
    """
    words = list(dict.fromkeys(words_of(typed)))
    if len(words) > MOST_WORDS:
        raise Refusal("field_invalid", f"text: at most {MOST_WORDS} different words are possible")
    meant = [_meant(connection, word) for word in words[-_BEGUN:]]
    left = _TOGETHER
    for some in sorted(meant, key=len):
        if len(some) > left:
            del some[1:]
        left -= len(some)
    return [[word] for word in words[:-_BEGUN]] + meant


def _meant(connection: sqlite3.Connection, word: str) -> list[str]:
    if len(word) < SHORTEST:
        return [word]
    parameters = {"word": word, "limit": _MOST + 1}
    found = [str(row[0]) for row in connection.execute(query("words_beginning"), parameters)]
    if len(found) > _MOST:
        wanted = json.dumps(list(_likely(word)), ensure_ascii=False)
        found = sorted(str(row[0]) for row in connection.execute(query("words_listed"), {"words": wanted}))
    return [word, *(each for each in found if each != word)]


def _likely(word: str) -> Iterable[str]:
    """What a beginning stands for, of all that may be listed."""
    if not word.isdecimal():
        return syllables_beginning(word)
    return (word + "".join(more) for count in (1, 2) for more in product(digits, repeat=count))


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
