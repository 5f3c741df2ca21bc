"""What is wanted of the traffic log, as an expression over the search index and a range of places.

The index answers an expression without an `and` line by line. One with an `and` may leap through long lists
that never meet, so it is asked block by block, and whoever asks can stop between blocks. Where one of the
lists is short, that is not needed.

A unit's terms say where it stood at each event, while a subtree means the units that stand there now. So
units that were ever moved are asked for by their own terms, and where one has left, or very many were moved,
each line is looked at.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

from axis.views.queries import query
from axis.views.terms import (
    BLOCK_BITS,
    NUMBER_PREFIX,
    block_term,
    number_term,
    operator_terms,
    plain_number,
    term,
    unit_term,
)
from axis.views.volumes import resolve
from axis.views.words import begun

__all__ = ["EVENTS", "Criteria", "Direction", "Filter", "sequence_at"]

Direction = Literal["either", "from", "to"]

#: Leaping along a list of fewer places takes some milliseconds at most.
_SHORT: Final = 400
#: More moves than this, and a subtree is walked through instead of them.
_MANY_MOVES: Final = 2000
#: More units than this are not asked for by their own terms: an organisation may move 10,000.
_MOST_ASKED: Final = 200
#: Sequences that are read at once where each line must be looked at.
_LOOKED_AT: Final = 200
#: Sequences whose reasons are compared at once, which takes a few milliseconds.
_COMPARED: Final = 4000
_SIDES: Final[dict[Direction, tuple[str, ...]]] = {
    "either": ("from", "to"),
    "from": ("from",),
    "to": ("to",),
}
#: What may be asked for as `event`: each that this version knows, `receipt` for several, `unknown` for those
#: of a later version.
EVENTS: Final = (
    "accepted", "received", "refused", "dead", "requeued", "status", "late_receipt", "rejected", "registered",
    "enrolled", "suspended", "resumed", "issued", "revoked", "token_issued", "founded",
    "receipt", "receipted", "noticed", "unknown",
)  # fmt: skip
#: Several events by one name.
_EVENTS: Final[dict[str, tuple[str, ...]]] = {"receipt": ("received", "refused")}

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines: all that is given must hold. Codes may be any of a unit's; times in milliseconds."""

    sender: str | None = None
    recipient: str | None = None
    document_id: str | None = None
    since: int | None = None
    until: int | None = None
    event: str | None = None  # "receipt": received or refused
    code: str | None = None
    text: str | None = None  # words of subject, number, issuer's id or type; begun or whole, marks or none
    limit: int = 100
    after: int = 0  # only sequences over it
    before: int | None = None  # only sequences under it
    kind: str | None = None  # document or status
    outcome: str | None = None
    number: str | None = None  # the beginning of number/notation, marks and zeros before it or none
    unit: str | None = None  # sender or recipient, as `direction` says
    subtree: str | None = None  # this unit or one that stands below it now, as `direction` says
    direction: Direction = "either"
    operator: str | None = None  # what this operator did; "*": what any did
    reason: str | None = None  # exactly this reason, note or detail; empty: none was given


class Criteria:
    """A filter, resolved at one state of the views. `first` and `last` bound the sequences it is about."""

    def __init__(self, first: int, last: int, clauses: list[list[str]], document_id: str | None) -> None:
        self.first = first
        self.last = last
        self._document_id = document_id
        self._clauses = [f"({' OR '.join(map(_quoted, terms))})" for terms in clauses]
        self._expression = " AND ".join(self._clauses)
        self._in_blocks = False
        self._reason: str | None = None
        self._looks: list[Callable[[Line], bool]] = []

    @classmethod
    def of(cls, connection: sqlite3.Connection, wanted: Filter, head: int) -> Self:
        """Resolve codes, times and words. Raises Refusal `field_invalid` for a code that no unit has."""
        first, last = wanted.after + 1, head
        if wanted.since is not None:
            first = max(first, sequence_at(connection, wanted.since, head))
        if wanted.until is not None:
            last = min(last, sequence_at(connection, wanted.until + 1, head) - 1)
        if wanted.before is not None:
            last = min(last, wanted.before - 1)
        clauses = _simple_clauses(connection, wanted)
        if wanted.text is not None:
            clauses += begun(connection, wanted.text) or [[term("word", "")]]  # no word at all finds nothing
        tree: set[str] = set()
        if wanted.subtree is not None:
            root = resolve(connection, wanted.subtree)
            asked = [root, *_moved_below(connection, root)]
            few = len(asked) <= _MOST_ASKED
            if few:
                clauses.append(_units(asked, wanted.direction, below=True))
            if not few or any(
                connection.execute(query("has_left"), {"unit": unit}).fetchone() for unit in asked
            ):
                tree = {str(row[0]) for row in connection.execute(query("subtree"), {"root": root})}
        number = plain_number(wanted.number or "")
        if number:
            clauses.append([number_term(number[:NUMBER_PREFIX])])
        criteria = cls(first, last, clauses, wanted.document_id)
        criteria._in_blocks = criteria._may_leap(connection)
        if tree:
            criteria._looks.append(lambda line: _touches(line, tree, wanted.direction))
        if wanted.operator not in {None, "*"}:
            criteria._looks.append(lambda line: line["operator"] == wanted.operator)
        criteria._reason = wanted.reason
        if len(number) > NUMBER_PREFIX:
            criteria._looks.append(lambda line: plain_number(str(line["number"])).startswith(number))
        return criteria

    def holds(self, line: Line) -> bool:
        """What the index cannot say of a line that it found."""
        return all(look(line) for look in self._looks)

    def sequences(
        self, connection: sqlite3.Connection, low: int, high: int, count: int, *, rising: bool
    ) -> tuple[list[int], int]:
        """Up to about `count` places in [low, high], falling or rising, that the index finds; where to go on.

        That is beyond the range when nothing is left in it. May find fewer, even none, and go on in the next
        block.
        """
        if self._looks:
            count = max(count, _LOOKED_AT)
        if self._reason is None:
            return self._indexed(connection, low, high, count, rising)
        # The index knows no reasons: they are compared before lines are made of what it finds.
        found, at = self._indexed(connection, low, high, max(count, _COMPARED), rising)
        parameters = {"sequences": json.dumps(found), "reason": self._reason}
        given = {int(row[0]) for row in connection.execute(query("with_reason"), parameters)}
        matching = [sequence for sequence in found if sequence in given]
        if len(matching) <= count:
            return matching, at
        return matching[:count], matching[count - 1] + (1 if rising else -1)

    def _indexed(
        self, connection: sqlite3.Connection, low: int, high: int, count: int, rising: bool
    ) -> tuple[list[int], int]:
        """As `sequences`: what matches by the terms of the index."""
        parameters: dict[str, object] = {"count": count, "document_id": self._document_id}
        block = (low if rising else high) >> BLOCK_BITS
        if self._in_blocks:
            low, high = max(low, block << BLOCK_BITS), min(high, ((block + 1) << BLOCK_BITS) - 1)
            parameters["match"] = f"{_quoted(block_term(block))} AND {self._expression}"
        else:
            parameters["match"] = self._expression
        parameters |= {"low": low, "high": high}
        found = _places(connection, self._query(), parameters, rising)
        if len(found) < count:
            return found, high + 1 if rising else low - 1
        return found, found[-1] + (1 if rising else -1)

    def _may_leap(self, connection: sqlite3.Connection) -> bool:
        """Whether the lists could be long and never meet."""
        if len(self._clauses) < 2 or self._document_id is not None:
            return False
        parameters: dict[str, object] = {"low": self.first, "high": self.last, "count": _SHORT}
        return not any(
            len(_places(connection, "places_matching", parameters | {"match": clause}, False)) < _SHORT
            for clause in self._clauses
        )

    def _query(self) -> str:
        if self._document_id is not None:
            return "places_of_document_matching" if self._expression else "places_of_document"
        return "places_matching" if self._expression else "places"


def _places(
    connection: sqlite3.Connection, name: str, parameters: dict[str, object], rising: bool
) -> list[int]:
    statement = query(name).replace("/* order */", "ASC" if rising else "DESC")
    return [int(row[0]) for row in connection.execute(statement, parameters)]


def _simple_clauses(connection: sqlite3.Connection, wanted: Filter) -> list[list[str]]:
    """Each clause is a list of terms of which one must hold."""
    clauses: list[list[str]] = []
    sides: tuple[tuple[str | None, Direction], ...] = (
        (wanted.sender, "from"),
        (wanted.recipient, "to"),
        (wanted.unit, wanted.direction),
    )
    for code, direction in sides:
        if code is not None:
            clauses.append(_units((resolve(connection, code),), direction, below=False))
    if wanted.operator is not None:
        one, anybody = operator_terms(wanted.operator)
        clauses.append([anybody if wanted.operator == "*" else one])
    if wanted.event is not None:
        clauses.append([term("event", event) for event in _EVENTS.get(wanted.event, (wanted.event,))])
    for name in ("kind", "outcome", "code"):
        value: str | None = getattr(wanted, name)
        if value is not None:
            clauses.append([term(name, value)])
    return clauses


def _moved_below(connection: sqlite3.Connection, root: str) -> list[str]:
    """Units below one that were ever moved: looked for from these upwards, or from it where they are many."""
    (moves,) = connection.execute(query("count_moves"), {"limit": _MANY_MOVES}).fetchone()
    name = "moved_below" if moves < _MANY_MOVES else "moved_below_downwards"
    return [str(row[0]) for row in connection.execute(query(name), {"root": root})]


def _units(codes: Iterable[str], direction: Direction, *, below: bool) -> list[str]:
    return [unit_term(side, code, below) for code in codes for side in _SIDES[direction]]


def _touches(line: Line, units: set[str], direction: Direction) -> bool:
    to = line["to"]
    assert isinstance(to, list)
    sent = direction != "to" and line["from"] in units
    return sent or (direction != "from" and not units.isdisjoint(to))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def sequence_at(connection: sqlite3.Connection, at: int, head: int) -> int:
    """The first sequence whose time is `at` or later; one over the newest if there is none."""
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query("first_sequence_at"), {"sequence": middle}).fetchone()
        if row is not None and row[0] < at:
            low = middle + 1
        else:
            high = middle
    return low
