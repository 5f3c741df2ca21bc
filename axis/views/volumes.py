"""Volumes: what each unit sent and received, counted per Vietnamese day out of the views.

Every row satisfies `in_flight_before + addressed + requeued = received + refused + dead + in_flight`.
Decision 28/2018/QĐ-TTg, articles 11 and 15: the axis makes the statistics by itself.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass, fields, replace
from typing import Final, Literal

from axis.core.errors import Refusal
from axis.core.periods import EVER, Days, chosen
from axis.core.volumes import Counts
from axis.views.file import read_position, snapshot
from axis.views.queries import query
from axis.views.spans import Span
from axis.views.text import rfc3339

__all__ = ["FIELDS", "By", "Kind", "Selection", "UnknownUnit", "resolve", "volumes"]

By = Literal["unit", "day", "month"]
Kind = Literal["document", "status"]

#: The numeric fields of every row, in the contract's order.
FIELDS: Final = tuple(field.name for field in fields(Counts))

_PERIOD_LENGTH: Final = {"day": 10, "month": 7}


class UnknownUnit(Refusal):
    """`field_invalid`: nobody has the code that was given."""

    def __init__(self, given: str) -> None:
        self.given = given[:60]
        super().__init__("field_invalid", f"{self.given!r} is no registered unit's code")


@dataclass(frozen=True, slots=True)
class Selection:
    """What to count: in a month (`YYYY-MM`), or on the days of `days`; whose; of which kind."""

    month: str | None = None
    by: By = "unit"
    subtree: str | None = None
    kind: Kind = "document"
    days: Days = EVER

    def period(self) -> Days:
        """First and last day; Refusal `field_invalid` for a month that is none."""
        return self.days if self.month is None else chosen(month=self.month)


def volumes(connection: sqlite3.Connection, selection: Selection, now: int) -> dict[str, object]:
    """The contract's answer: `{"generated_at", "head", "rows", "total"}`.

    Raises Refusal `field_invalid` for a month that is none, `document_unknown` never; an unknown subtree is
    `field_invalid` too.
    """
    span = Span.of(selection.period(), by_day=selection.by == "day")
    root = None if selection.subtree is None else resolve(connection, selection.subtree)
    parameters: dict[str, object] = {"root": root, "kind": selection.kind, **span.parameters()}
    # One read transaction: rows and head belong together while the node goes on writing.
    with snapshot(connection):
        position = read_position(connection)
        if selection.by == "unit":
            rows, total = _by_unit(connection, parameters)
        else:
            rows, total = _by_period(connection, parameters, _PERIOD_LENGTH[selection.by])
    return {
        "generated_at": rfc3339(now),
        "head": str(position.head) if position else "",
        "rows": rows,
        "total": asdict(total),
    }


def resolve(connection: sqlite3.Connection, code: str) -> str:
    """The primary code for any of a unit's codes; Refusal `field_invalid` if nobody has it."""
    row = connection.execute(query("resolve_unit"), {"code": code}).fetchone()
    if row is None:
        raise UnknownUnit(code)
    return str(row[0])


def _by_unit(
    connection: sqlite3.Connection, parameters: dict[str, object]
) -> tuple[list[dict[str, object]], Counts]:
    # A row for each of perhaps a hundred thousand units: no objects in between.
    found = connection.execute(query("volumes_by_unit"), parameters).fetchall()
    total = Counts(**{name: sum(row[name] for row in found) for name in FIELDS})
    return [{name: row[name] for name in ("code", "name", "parent", *FIELDS)} for row in found], total


def _by_period(
    connection: sqlite3.Connection, parameters: dict[str, object], length: int
) -> tuple[list[dict[str, object]], Counts]:
    """Each period begins with what the earlier ones left in flight."""
    rows: list[dict[str, object]] = []
    before = in_flight = 0
    total = Counts()
    name = "volumes_of_all_by_period" if parameters["root"] is None else "volumes_by_period"
    for row in connection.execute(query(name), {**parameters, "length": length}):
        if not row["in_period"]:  # everything before the first day
            before = in_flight = row["in_flight_before"]
            continue
        opened, in_flight = in_flight, in_flight + row["in_flight"]
        counts = replace(_counts(row), in_flight_before=opened, in_flight=in_flight)
        rows.append({"period": row["in_period"], **asdict(counts)})
        total += counts
    return rows, replace(total, in_flight_before=before, in_flight=in_flight)


def _counts(row: sqlite3.Row) -> Counts:
    return Counts(**{name: row[name] for name in FIELDS})
