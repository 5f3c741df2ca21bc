"""What happened to this node's units, kept as events that are counted once each.

The axis's volumes are a function of its journal; these are the same function of what this node saw of it,
so that the two can be compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from agencies.store.database import Store
from axis.core.volumes import Counts, day_bounds, is_late, local_day, local_month, month_bounds

__all__ = ["count", "volumes"]

_EVENTS: Final = ("addressed", "requeued", "received", "refused", "dead")


def count(
    connection: sqlite3.Connection,
    event: str,
    *,
    document_id: str,
    unit: str,
    attempt: int,
    kind: str,
    at: int,
    accepted_at: int,
    size: int,
) -> None:
    """Keep one event. The same event again (the feed was read anew) takes the earlier one's place."""
    connection.execute(
        "INSERT OR REPLACE INTO counted (document_id, unit, attempt, event, kind, at, accepted_at, bytes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (document_id, unit, attempt, event, kind, at, accepted_at, size),
    )


def volumes(
    store: Store,
    *,
    kind: str = "document",
    month: str | None = None,
    by: str = "unit",
    units: Iterable[str] = (),
    primary: Callable[[str], str] = str,
) -> list[tuple[str, Counts]]:
    """Counts for each unit of this node, or for each day or month, in order.

    `month` is `YYYY-MM` (UTC+07:00); Refusal `field_invalid` for another form. `units` have rows whatever
    happened. An event may have been kept under a unit's old code: `primary` gives the one that it counts for.
    """
    start, end = month_bounds(month) if month else (0, 1 << 62)
    rows = store.rows(
        "SELECT unit, event, at, accepted_at, bytes FROM counted WHERE kind = ? AND at < ? ORDER BY at",
        kind,
        end,
    )
    groups: dict[str, dict[str, int]] = {}
    if by == "unit":
        groups = {unit: {} for unit in units}
        for row in rows:
            _add(groups.setdefault(primary(row["unit"]), {}), row, start)
    else:
        period = local_day if by == "day" else local_month
        names = sorted({period(row["at"]) for row in rows if row["at"] >= start})
        for name in names:
            first, after = day_bounds(name) if by == "day" else month_bounds(name)
            for row in rows:
                if row["at"] < after:
                    _add(groups.setdefault(name, {}), row, first)
    return [(name, _counts(group)) for name, group in sorted(groups.items())]


def _add(group: dict[str, int], row: sqlite3.Row, start: int) -> None:
    event = row["event"]
    if row["at"] < start:
        name = f"{event}_before"
        group[name] = group.get(name, 0) + 1
        return
    group[event] = group.get(event, 0) + 1
    if event == "sent":
        group["bytes_sent"] = group.get("bytes_sent", 0) + row["bytes"]
    if event == "received":
        group["bytes_received"] = group.get("bytes_received", 0) + row["bytes"]
    if event in ("received", "refused") and is_late(row["accepted_at"], row["at"]):
        group["late"] = group.get("late", 0) + 1


def _counts(group: dict[str, int]) -> Counts:
    before = {event: group.get(f"{event}_before", 0) for event in _EVENTS}
    within = {event: group.get(event, 0) for event in _EVENTS}
    in_flight_before = (
        before["addressed"] + before["requeued"] - before["received"] - before["refused"] - before["dead"]
    )
    in_flight = (
        in_flight_before
        + (within["addressed"] + within["requeued"])
        - (within["received"] + within["refused"] + within["dead"])
    )
    return Counts(
        sent=group.get("sent", 0),
        **within,
        in_flight_before=in_flight_before,
        in_flight=in_flight,
        late=group.get("late", 0),
        bytes_sent=group.get("bytes_sent", 0),
        bytes_received=group.get("bytes_received", 0),
    )
