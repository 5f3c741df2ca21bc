"""One unit: what stands in the register, its volumes, hours of the day, partners, certificates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from axis.core.periods import EVER
from axis.core.volumes import day_bounds
from axis.views.criteria import Filter
from axis.views.file import snapshot
from axis.views.queries import query
from axis.views.spans import Span
from axis.views.text import rfc3339
from axis.views.traffic import page, places
from axis.views.units import branches, host_of
from axis.views.volumes import FIELDS, Selection, resolve

__all__ = ["unit"]

_PARTNERS: Final = 10
_RECENT: Final = 15


def unit(
    connection: sqlite3.Connection, code: str, selection: Selection, now: int, contacts: Mapping[str, int]
) -> dict[str, Any]:
    """Everything about the unit that has this code, any of its codes, in the selection's days.

    `volumes` are the unit's alone, `branch` with all units below. `hours` and `partners` count documents, on
    the day each was sent or received. `contacts` says when each organisation last asked.
    Raises Refusal `field_invalid` where nobody has the code.
    """
    with snapshot(connection):
        return _unit(connection, resolve(connection, code), selection, now, contacts)


def _unit(
    connection: sqlite3.Connection, code: str, selection: Selection, now: int, contacts: Mapping[str, int]
) -> dict[str, Any]:
    tree: dict[str, Any] = branches(connection, Selection(days=selection.period(), subtree=code), now)
    own = next(row for row in tree["rows"] if row["code"] == code)
    row = connection.execute("SELECT * FROM units WHERE code = ?", (code,)).fetchone()
    span = Span.of(selection.period())
    asked = {"unit": code, "limit": _PARTNERS, **span.parameters(), **_odd_places(connection, code, span)}
    host = host_of(connection, code) or code
    certificates = connection.execute(query("unit_certificates"), {"unit": code})
    return {
        "generated_at": tree["generated_at"],
        "head": tree["head"],
        "code": code,
        "name": row["name"],
        "old_codes": json.loads(row["old_codes"]),
        "path": tree["path"],
        "suspended": bool(row["suspended"]),
        "host": host,
        "last_contact": rfc3339(contacts[host]) if host in contacts else None,
        "volumes": {name: own[name] for name in ("on_time", *FIELDS)},
        "branch": tree["total"],
        "children": [each for each in tree["rows"] if each["code"] != code],
        "hours": _hours(connection, asked),
        "partners": [dict(each) for each in connection.execute(query("partners"), asked)],
        "certificates": [_certificate(each, now) for each in certificates],
        "recent": page(connection, Filter(unit=code, event="accepted", limit=_RECENT)).lines,
    }


def _odd_places(connection: sqlite3.Connection, code: str, span: Span) -> dict[str, str]:
    """Places of the unit's events on days that are no whole month: what it sent, and what came to it."""
    found: dict[str, list[int]] = {"as_sender": [], "as_recipient": []}
    for first, last in span.odd_days():
        until = None if last == EVER[1] else day_bounds(last)[1] - 1
        days = Filter(since=day_bounds(first)[0], until=until)
        found["as_sender"] += places(connection, replace(days, sender=code))
        found["as_recipient"] += places(connection, replace(days, recipient=code))
    return {name: json.dumps(sequences) for name, sequences in found.items()}


def _hours(connection: sqlite3.Connection, asked: Mapping[str, object]) -> list[dict[str, int]]:
    """All 24, also those in which nothing happened."""
    found = {row["hour"]: row for row in connection.execute(query("unit_hours"), dict(asked))}
    return [
        dict(found[hour]) if hour in found else {"hour": hour, "sent": 0, "received": 0} for hour in range(24)
    ]


def _certificate(row: sqlite3.Row, now: int) -> dict[str, Any]:
    state = "expired" if row["not_after"] < now else "active"
    if row["revoked_sequence"]:
        state = "revoked"
    return {
        "usage": row["usage"],
        "serial": row["serial"],
        "not_before": rfc3339(row["not_before"]),
        "not_after": rfc3339(row["not_after"]),
        "state": state,
        "reason": row["reason"] or None,
    }
