"""Finding units by words of their codes and names, among a hundred thousand, in a few milliseconds.

The folded text of all units lies in blocks of about a thousand lines, in the order of primary codes, so that
looking for a word is a search for a substring in a few megabytes, and the first hits are the first by code.
A change touches its own block only.

A line is `␟code␞␟old code␞…name`, so that `␟word␞` is a whole code and `␟word` the beginning of one. The
marks and the line feed are white space to `str.split`: no word of a query holds one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from axis.core.folding import fold

__all__ = ["UnitSearch"]

_CODE: Final = "\x1f"
_END: Final = "\x1e"
_BLOCK: Final = 1000


@dataclass(frozen=True, slots=True)
class _Block:
    """Units whose primary codes lie side by side; line n of `text` is that of `codes[n]`."""

    codes: list[str]
    text: str

    def lines(self, words: list[str]) -> Iterator[str]:
        """The primary codes of the lines that hold every word, in order."""
        rarest, others = words[0], words[1:]
        if others:
            counts = []
            for word in words:
                counts.append((self.text.count(word), word))
                if not counts[-1][0]:
                    return
            rarest = min(counts)[1]
            others = [word for word in words if word != rarest]
        text, line, counted = self.text, 0, 0
        place = text.find(rarest)
        while place >= 0:
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            line += text.count("\n", counted, place)
            counted = place
            begin = text.rfind("\n", 0, place) + 1
            if all(text.find(word, begin, end) >= 0 for word in others):
                yield self.codes[line]
            place = text.find(rarest, end)


class UnitSearch:
    """The folded texts of units. What was `put` is folded in at the next search, or by `settle`."""

    def __init__(self) -> None:
        self._blocks = [_Block([], "")]
        self._waiting: dict[str, str] = {}

    def put(self, code: str, old_codes: Iterable[str], name: str) -> None:
        """Add a unit, or replace what was put of it."""
        marked = (f"{_CODE}{_one_line(each)}{_END}" for each in (code, *old_codes))
        self._waiting[code] = f"{''.join(marked)}{_one_line(name)}"

    def settle(self) -> None:
        """Fold in what is waiting."""
        if not self._waiting:
            return
        firsts = [block.codes[0] for block in self._blocks[1:]]
        fresh: dict[int, dict[str, str]] = {}
        for code, line in self._waiting.items():
            fresh.setdefault(bisect_right(firsts, code), {})[code] = line
        self._waiting = {}
        merged = (
            _merged(block, fresh[number]) if number in fresh else [block]
            for number, block in enumerate(self._blocks)
        )
        self._blocks = list(chain.from_iterable(merged))

    def codes(self) -> Iterator[str]:
        """All primary codes, in order."""
        self.settle()
        return chain.from_iterable(block.codes for block in self._blocks)

    def find(self, query: str, limit: int) -> list[str]:
        """At most `limit` primary codes of units that hold every word of `query`.

        One that has the query for a code comes first, then codes that begin with it, then by code. White
        space alone finds all.
        """
        self.settle()
        words = list(dict.fromkeys(fold(query).split()))
        passes = [words]
        if len(words) == 1:
            passes = [[f"{_CODE}{words[0]}{_END}"], [f"{_CODE}{words[0]}"], words]
        found: dict[str, None] = {}
        for needles in passes:
            for code in self._scan(needles):
                if len(found) >= limit:
                    break
                found[code] = None
        return list(found)

    def _scan(self, needles: list[str]) -> Iterator[str]:
        if not needles:
            return self.codes()
        return chain.from_iterable(block.lines(needles) for block in self._blocks)


def _merged(block: _Block, fresh: dict[str, str]) -> list[_Block]:
    """A block with these lines in it, as the blocks that it becomes."""
    lines = dict(zip(block.codes, block.text.split("\n"), strict=False))  # an empty text has one line
    lines.update(zip(fresh, fold("\n".join(fresh.values())).split("\n"), strict=True))
    codes = sorted(lines)
    size = len(codes) if len(codes) <= 2 * _BLOCK else _BLOCK
    parts = (codes[start : start + size] for start in range(0, len(codes), size))
    return [_Block(part, "\n".join([lines[code] for code in part])) for part in parts]


def _one_line(text: str) -> str:
    return " ".join(text.split())
