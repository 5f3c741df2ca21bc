"""The traffic log: one line per record of the journal, filtered, in pages.

A document's own events name its sender and recipients; a delivery's events the sender and the one
recipient; what is about a unit (registered, suspended, issued, rejected …) names it in `from`.

A page costs at most about `BUDGET` seconds: whoever asks for what hardly occurs gets what was found until
then, and where to go on. Cursors are sequences, so pages stay as they are while events arrive. A live tail
asks for the page after `newer` again whenever `Views.reached(newer + 1, …)` says that something is there.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from axis.core.errors import Refusal
from axis.views.criteria import Criteria, Filter
from axis.views.file import read_position, snapshot
from axis.views.queries import query
from axis.views.text import rfc3339

__all__ = ["BUDGET", "SHOWN", "Filter", "Line", "Page", "every_page", "page", "parties", "places", "traffic"]

#: Seconds after which a page ends even if it is not full.
BUDGET: Final = 0.1
#: So many recipients of a line are shown where people read.
SHOWN: Final = 6
_AT_ONCE: Final = 500
_PLACES_AT_ONCE: Final = 100_000

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """Lines that match, newest first, and where others are."""

    lines: list[Line]
    older: int | None  # `before` of the page of older lines; None: there are none
    newer: int  # `after` of the page of newer lines, which may come yet
    complete: bool  # False: ended by the budget, not full; `older`, or `newer`, goes on where it ended
    scanned: int  # everything from here to the other end of the page was looked at
    head: int  # the newest sequence there was


def page(
    connection: sqlite3.Connection, wanted: Filter, *, newer: bool = False, budget: float = BUDGET
) -> Page:
    """One page of at most `wanted.limit` lines: the newest before `wanted.before`, after `wanted.after`.

    With `newer` the oldest of these instead: the page that comes after a cursor, as for a live tail.
    Raises Refusal `field_invalid` for a code that no unit has.
    """
    with snapshot(connection):
        deadline = time.monotonic() + budget
        position = read_position(connection)
        head = position.sequence if position else 0
        criteria = Criteria.of(connection, wanted, head)
        return (_rising if newer else _falling)(connection, wanted, criteria, head, deadline)


def every_page(
    connection: sqlite3.Connection, wanted: Filter, *, oldest_first: bool = False
) -> Iterator[list[Line]]:
    """All lines that match, however many, as they stood at the first: for exports. In pages, each of which
    takes as long as one of `page` does; where lines are rare it holds few, or none, and more come after it.

    Each page is read in a transaction of its own, so that a slow reader holds nothing up; what arrives
    meanwhile is left out. `limit` counts for nothing. Raises Refusal `unavailable` when the views are built
    anew meanwhile, and as `page`.
    """
    began = read_position(connection)
    if began is None:
        return
    end = began.sequence + 1
    end = end if wanted.before is None else min(wanted.before, end)
    here = replace(wanted, limit=_AT_ONCE, before=end)
    while True:
        found = page(connection, here, newer=oldest_first)
        position = read_position(connection)
        if position is None or position.journal_id != began.journal_id or position.sequence < began.sequence:
            raise Refusal("unavailable", "the views are being built anew", retry_after=5)
        yield found.lines[::-1] if oldest_first else found.lines
        if oldest_first:
            if found.complete and len(found.lines) < _AT_ONCE:
                return
            here = replace(here, after=found.newer)
        else:
            if found.older is None:
                return
            here = replace(here, before=found.older)


def places(connection: sqlite3.Connection, wanted: Filter) -> list[int]:
    """The sequences of all lines that match, oldest first, however many: for filters by side and time alone,
    of which the index knows everything. Raises Refusal `field_invalid` for a code that no unit has.
    """
    found: list[int] = []
    with snapshot(connection):
        position = read_position(connection)
        criteria = Criteria.of(connection, wanted, position.sequence if position else 0)
        at = criteria.first
        while at <= criteria.last:
            some, at = criteria.sequences(connection, at, criteria.last, _PLACES_AT_ONCE, rising=True)
            found += some
    return found


def traffic(connection: sqlite3.Connection, wanted: Filter) -> list[Line]:
    """The newest `limit` lines that match, oldest first, each in the contract's shape; takes what it takes.

    Raises Refusal `field_invalid` for a code that no unit has.
    """
    lines: list[Line] = []
    here: Filter | None = wanted
    while here is not None:
        found = page(connection, here)
        lines += found.lines
        left = wanted.limit - len(lines)
        here = replace(wanted, limit=left, before=found.older) if left and found.older is not None else None
    return lines[::-1]


def parties(lines: Iterable[Line]) -> set[str]:
    """The codes that are shown of lines: who sent, and the first recipients."""
    found: set[str] = set()
    for line in lines:
        sender, recipients = line["from"], line["to"]
        assert isinstance(recipients, list)
        found.update(recipients[:SHOWN], [str(sender)] if sender else [])
    return found


def _falling(
    connection: sqlite3.Connection, wanted: Filter, criteria: Criteria, head: int, deadline: float
) -> Page:
    """One line more is looked for, so that there is no cursor to nothing."""
    lines, at = _search(connection, criteria, wanted.limit + 1, deadline, rising=False)
    newer = max(criteria.last, wanted.after)
    if len(lines) > wanted.limit:
        del lines[wanted.limit :]
        oldest = _sequence(lines[-1])
        return Page(lines, oldest, newer, True, oldest, head)
    complete = at < criteria.first
    return Page(lines, None if complete else at + 1, newer, complete, at + 1, head)


def _rising(
    connection: sqlite3.Connection, wanted: Filter, criteria: Criteria, head: int, deadline: float
) -> Page:
    lines, at = _search(connection, criteria, wanted.limit, deadline, rising=True)
    complete = at > criteria.last or len(lines) == wanted.limit
    older = _sequence(lines[0]) if lines else criteria.first
    reached = max(at - 1, wanted.after)
    return Page(lines[::-1], older if older > 1 else None, reached, complete, reached, head)


def _search(
    connection: sqlite3.Connection, criteria: Criteria, count: int, deadline: float, *, rising: bool
) -> tuple[list[Line], int]:
    """(up to `count` lines in order, the next place to look at: beyond the range if all was seen)."""
    first, last = criteria.first, criteria.last
    at = first if rising else last
    lines: list[Line] = []
    while first <= at <= last and len(lines) < count:
        low, high = (at, last) if rising else (first, at)
        found, at = criteria.sequences(connection, low, high, count - len(lines), rising=rising)
        lines += filter(criteria.holds, _lines(connection, found, rising))
        if time.monotonic() >= deadline:
            break
    if len(lines) > count:
        del lines[count:]
        at = _sequence(lines[-1]) + (1 if rising else -1)
    return lines, at


def _lines(connection: sqlite3.Connection, sequences: list[int], rising: bool) -> list[Line]:
    if not sequences:
        return []
    rows = connection.execute(query("traffic"), {"sequences": json.dumps(sequences)})
    lines = [_line(row) for row in rows]
    return lines[::-1] if rising else lines


def _sequence(line: Line) -> int:
    sequence = line["sequence"]
    assert isinstance(sequence, int)
    return sequence


def _line(row: sqlite3.Row) -> Line:
    about_delivery = row["kind"] is not None and row["recipients"] is None
    recipients = json.loads(row["recipients"]) if row["recipients"] is not None else []
    line: Line = {
        "sequence": row["sequence"],
        "at": rfc3339(row["at"]),
        "event": row["event"],
        "document_id": row["document_id"] or None,
        "kind": row["kind"],
        "from": (row["sender"] if row["kind"] is not None else row["party"]) or None,
        "to": [row["party"]] if about_delivery else recipients,
        "subject": row["subject"] or None,
        "number": row["number"] or None,
        "outcome": row["outcome"] or None,
        "code": row["code"] or None,
        "reason": row["reason"] or None,
        "bytes": row["bytes"],
        "trace_id": row["trace_id"] or None,
        "operator": row["operator"] or None,
    }
    if row["event"] == "rejected":
        line["count"] = row["repeats"]
    if row["about"]:
        line["about"] = row["about"]
    return line
