"""What each line of the traffic log must be found by in the search index, from the books alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from axis.audit.books import Books, Paper
from axis.audit.line import Line

__all__ = ["listed_words", "terms"]

_BLOCK: Final = 1 << 16
_BEGINNINGS: Final = 8
_MARKS: Final = re.compile(r"[\u0300-\u036f]")


def terms(books: Books, line: Line, sequence: int, operator: str) -> Iterator[str]:
    """Every term of the event at `sequence`, which the line says; `operator`, if any, did it."""
    if operator:
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.:-") else "~" for c in operator.lower())
        yield from {f"operator={plain}", "operator=~"}
    yield f"event={line.event}"
    yield f"block={sequence // _BLOCK}"
    if line.outcome:
        yield f"outcome={line.outcome}"
    if line.code:
        yield f"code={line.code}"
    if line.document is None:
        if line.party:
            yield from _side(books, "from", line.party)
        return
    paper = books.papers[books.ids[line.document]]
    yield f"kind={paper.kind}"
    yield from _words(*_texts(paper))
    number = _number(paper.number)
    yield from (f"no={number[:end]}" for end in range(1, min(_BEGINNINGS, len(number)) + 1))
    yield from _side(books, "from", paper.sender)
    for unit in paper.deliveries if line.document == sequence else (line.party,):
        yield from _side(books, "to", unit)


def listed_words(paper: Paper) -> Iterator[str]:
    """The words of a document that are found by their beginnings too."""
    for word in _words(*_texts(paper)):
        digits = word.isdecimal()
        letters = not any(character.isdecimal() for character in word)
        if (digits and len(word) <= 5) or (letters and len(word) <= 10):
            yield word


def _texts(paper: Paper) -> tuple[str, str, str, str]:
    return paper.subject, paper.number, paper.issuer_document_id, paper.type_name


def _side(books: Books, side: str, code: str) -> Iterator[str]:
    yield f"{side}={_marked(code)}"
    for each in (code, *books.above(code)):
        yield f"{side}^{_marked(each)}"


def _marked(code: str) -> str:
    return "".join(f"~{character}" if character in _SMALL else character for character in code)


_SMALL: Final = frozenset("abcdefghijklmnopqrstuvwxyz")


def _plain(text: str) -> str:
    return _MARKS.sub("", unicodedata.normalize("NFD", text.lower())).replace("đ", "d")


@lru_cache(maxsize=16_384)
def _words(*texts: str) -> tuple[str, ...]:
    plain = _plain(" ".join(texts))
    return tuple("".join(c if c.isalnum() else " " for c in plain).split())


@lru_cache(maxsize=16_384)
def _number(number: str) -> str:
    parts = "".join(c if c.isalnum() else " " for c in _plain(number.strip())).split(" ")
    joined = "/".join(part for n, part in enumerate(parts) if part or n in {0, len(parts) - 1})
    return joined.lstrip("/0") or joined[-1:]
