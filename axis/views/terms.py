"""The terms that each event is searched by, and the words people type for them.

The search index holds one list of sequences for each term; a filter is an expression over terms:

- a word of its document's subject, number, issuer's id or type, folded;
- `from=CODE`, `to=CODE`: sent by, or addressed to, this unit; `from^CODE`, `to^CODE`: this unit or one that
  stood below it then;
- `kind=…`, `event=…`, `outcome=…`, `code=…`;
- `operator=…`: an operator at the axis did it; `operator=~`: any did;
- `no=…`: a beginning of the document's number, up to `NUMBER_PREFIX` characters of its plain form;
- `block=N`: every event of the N-th block of places, so that a search can be held to one block.

Words hold letters and digits only, so no word is ever one of the others. Pure: nothing is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from axis.views.text import fold, words_of

__all__ = [
    "ANY_OPERATOR",
    "BLOCK_BITS",
    "NUMBER_PREFIX",
    "block_term",
    "document_terms",
    "number_term",
    "number_terms",
    "operator_terms",
    "plain_number",
    "side_terms",
    "term",
    "unit_term",
]

#: Places of one block: 65,536. The worst search of one block takes some ten milliseconds.
BLOCK_BITS: Final = 16

#: So many characters of a number are indexed as beginnings; longer ones are looked at in the row.
NUMBER_PREFIX: Final = 8

#: Every event that an operator caused.
ANY_OPERATOR: Final = "operator=~"

_ODD: Final = re.compile(r"[^A-Za-z0-9_.:-]", re.ASCII)
_SMALL: Final = re.compile("[a-z]")
_BETWEEN: Final = re.compile(r"[\W_]+")
_ZEROS: Final = re.compile("^[/0]+(?=.)")


@lru_cache(maxsize=1024)
def term(name: str, value: str) -> str:
    """`name=value`, for values that are identifiers of ours; what else people type finds nothing."""
    return f"{name}={_ODD.sub('~', value)}"


def unit_term(side: str, code: str, below: bool) -> str:
    """`from` or `to` a unit, or it and those below. The index folds case, codes do not."""
    marked = _SMALL.sub(r"~\g<0>", _ODD.sub("~", code))
    return f"{side}{'^' if below else '='}{marked}"


def operator_terms(name: str) -> tuple[str, str]:
    """What an operator did: of this one, and of any. Two names may share a term."""
    return term("operator", name.lower()), ANY_OPERATOR


def side_terms(side: str, line: tuple[str, ...]) -> str:
    """All terms of a unit on one side; `line` is the unit and everything above it."""
    return " ".join((unit_term(side, line[0], False), *(unit_term(side, code, True) for code in line)))


def block_term(block: int) -> str:
    """Every event whose sequence is in this block."""
    return f"block={block}"


def plain_number(text: str) -> str:
    """As compared: folded, `/` for what stands between, no zeros before: `05/QĐ-TTg` → `5/qd/ttg`."""
    return _ZEROS.sub("", _BETWEEN.sub("/", fold(text.strip())))


def number_term(plain: str) -> str:
    """Numbers whose plain form begins so."""
    return f"no={plain}"


def number_terms(number: str) -> Iterable[str]:
    """Every beginning of a document's number that is indexed."""
    plain = plain_number(number)
    return (number_term(plain[:length]) for length in range(1, min(len(plain), NUMBER_PREFIX) + 1))


def document_terms(kind: str, subject: str, number: str, issuer_document_id: str, type_name: str) -> str:
    """What all events of a document have in common, but for its sender's place in the tree."""
    words = dict.fromkeys(words_of(f"{subject} {number} {issuer_document_id} {type_name}"))
    return " ".join((*words, *number_terms(number), term("kind", kind)))
