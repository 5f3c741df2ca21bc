"""How the axis stands now: totals, what waits, what is wrong, the last hour and the last days."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from axis.core.volumes import Counts, day_bounds, local_day
from axis.views.file import read_position, snapshot
from axis.views.in_flight import due_before
from axis.views.minutes import Minutes
from axis.views.queries import query
from axis.views.rows import Daily
from axis.views.text import rfc3339

__all__ = ["CONNECTED", "connected", "overview"]

#: A node polls at least once a minute: one that was heard of within this is connected.
CONNECTED: Final = 5 * 60_000
_DAYS: Final = 30
_SOON: Final = 30 * 86_400_000


def overview(
    connection: sqlite3.Connection, now: int, minutes: Minutes, contacts: Mapping[str, int]
) -> dict[str, Any]:
    """Everything of the first page. Documents only, as `axis volumes` counts them.

    `total` since the beginning; `today` and `days` (the last 30, oldest first) by Vietnam's calendar;
    `minutes` the last 60; `oldest` the delivery that waits longest; `overdue` deliveries without an
    outcome of documents accepted before today, whose receipts would count as `late`; `rejected` envelopes
    that the axis refused, by code; `refused` the ten reasons that recipients gave most; `certificates` those
    of which an organisation's newest expires within 30 days, or has; `nodes` those that called this node
    within five minutes, of all that are enrolled.
    """
    with snapshot(connection):
        position = read_position(connection)
        by_day = {row["day"]: dict(row) for row in connection.execute(query("days"))}
        total = Counts()
        for row in by_day.values():
            total += Counts(**{name: count for name, count in row.items() if name != "day"})
        opened = total.addressed + total.requeued - total.received - total.refused - total.dead
        oldest = connection.execute(query("oldest_in_flight")).fetchone()
        enrolled = connection.execute("SELECT count(*) FROM units WHERE enrolled").fetchone()[0]
        expiring = connection.execute(query("expiring"), {"soon": now + _SOON})
        today = local_day(now)
        return {
            "generated_at": rfc3339(now),
            "head": str(position.head) if position else "",
            "sequence": position.sequence if position else 0,
            "total": {**asdict(total), "in_flight": opened},
            "today": by_day.get(today) or _nothing(today),
            "days": [by_day.get(day) or _nothing(day) for day in _last_days(now)],
            "minutes": minutes.last_hour(connection, now),
            "oldest": _oldest(oldest, now) if oldest else None,
            "overdue": _overdue(connection, now, opened),
            "rejected": {
                row["code"]: row["refused"]
                for row in connection.execute("SELECT code, refused FROM rejections ORDER BY refused DESC")
            },
            "refused": {row["reason"]: row["refused"] for row in connection.execute(query("reasons"))},
            "nodes": {
                "connected": connected(contacts, now),
                "enrolled": enrolled,
            },
            "certificates": [
                {"organisation": row["organisation"], "expires_at": rfc3339(row["expires"])}
                for row in expiring
            ],
        }


def connected(contacts: Mapping[str, int], now: int) -> int:
    """How many nodes called lately."""
    return sum(now - at <= CONNECTED for at in contacts.values())


def _last_days(now: int) -> list[str]:
    return [local_day(now - before * 86_400_000) for before in range(_DAYS - 1, -1, -1)]


def _nothing(day: str) -> dict[str, Any]:
    return {"day": day, **{each.name: 0 for each in fields(Daily)}}


def _overdue(connection: sqlite3.Connection, now: int, in_flight: int) -> int:
    """All that is in flight but what was accepted today, which is little."""
    since = day_bounds(local_day(now))[0]
    asked = {"since": since, "first": due_before(connection, now)}
    return in_flight - int(connection.execute(query("in_flight_since"), asked).fetchone()[0])


def _oldest(row: sqlite3.Row, now: int) -> dict[str, Any]:
    waited = now - row["opened_at"]
    at = rfc3339(row["opened_at"])
    return {"document_id": row["document_id"], "to": row["unit"], "opened_at": at, "milliseconds": waited}
