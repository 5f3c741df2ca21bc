"""Documents that speak of an earlier one: recall, update, replacement; and how issuers number documents.

QCVN 102:2016, `BussinessDocType`: a recall (1) names its original in `ResponseFor`, an update (2) in
`Bussiness/DocumentId`, a replacement (3) in `ReplacementInfoList`. They name it by the *issuer's* DocumentId,
which is free text: real ones name nothing, or several documents share one. Only the original's own sender may
speak so of it. What names no single document of its sender is delivered and flagged, and has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from axispb.v1 import document_pb2

from axis.core.exchange import RECALL, UPDATE
from axis.core.volumes import local_day

__all__ = [
    "AMBIGUOUS",
    "NOT_SENDERS",
    "REPLACEMENT",
    "UNKNOWN",
    "Candidate",
    "numbering",
    "original",
    "references",
    "relation",
]

REPLACEMENT: Final = "replacement"
UNKNOWN: Final = "original_unknown"
AMBIGUOUS: Final = "original_ambiguous"
NOT_SENDERS: Final = "original_not_senders"

_RELATIONS: Final = {1: RECALL, 2: UPDATE, 3: REPLACEMENT}
#: As many originals as one document may name; what names more is no real document.
_MOST: Final = 200
_MOST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that bears the name that was given. `sender` is a primary code."""

    document_id: str
    sender: str


def relation(fields: document_pb2.Fields) -> str:
    """What a document is to an earlier one: `recall`, `update`, `replacement`; empty for a new document."""
    return _RELATIONS.get(fields.business.doc_type, "")


def references(fields: document_pb2.Fields) -> tuple[str, ...]:
    """The names of the originals: issuers' DocumentIds, or ids of ours; each once."""
    kind = relation(fields)
    given: Iterable[str] = ()
    if kind == RECALL:
        given = (each.document_id for each in fields.response_for)
    elif kind == UPDATE:
        given = (fields.business.document_id,)
    elif kind == REPLACEMENT:
        given = (each.document_id for each in fields.business.replacements)
    named = (name.strip()[:_MOST_TEXT] for name in given)
    return tuple(dict.fromkeys(name for name in named if name))[:_MOST]


def original(candidates: Iterable[Candidate], sender: str) -> tuple[str, str]:
    """(document_id, "") of the one that is meant, or ("", flag). `sender`: of who speaks of it."""
    found = list(candidates)
    own = [each.document_id for each in found if each.sender == sender]
    if len(own) == 1:
        return own[0], ""
    if own:
        return "", AMBIGUOUS
    return "", NOT_SENDERS if found else UNKNOWN


def numbering(fields: document_pb2.Fields, at: int) -> str:
    """Year, number and notation, which one issuer gives once (Decree 30/2020, article 15): `2026/274/QĐ-TTg`.

    The year of promulgation, else that of `at` (milliseconds) in Vietnam. Empty without a number.
    """
    if not fields.code_number:
        return ""
    year = fields.promulgation_date[:4]
    if not (len(year) == 4 and year.isascii() and year.isdigit()):
        year = local_day(at)[:4]
    return "/".join((year, fields.code_number, fields.code_notation))
