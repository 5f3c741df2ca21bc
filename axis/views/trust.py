"""Certificates by expiry and state, and which organisations have a node of their own: for the trust page.

States are those of `axis cert list`: active, expired, revoked; an active certificate that ends within 30 days
is expiring too. Pages go on from a cursor, so that 100,000 certificates cost no more than those shown.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from axis.core.errors import Refusal
from axis.views.file import read_position
from axis.views.queries import query
from axis.views.text import rfc3339
from axis.views.units import host_of

__all__ = [
    "SOON", "STATES", "UNIT_STATES", "USAGES", "Wanted", "certificate", "certificates", "one_unit",
    "standing", "units",
]  # fmt: skip

#: Milliseconds before its end in which a certificate is said to be expiring.
SOON: Final = 30 * 86_400_000
STATES: Final = ("active", "expiring", "expired", "revoked", "all")
USAGES: Final = ("tls", "sign")
UNIT_STATES: Final = ("enrolled", "not_enrolled", "suspended", "all")
_END: Final = 1 << 62

_CLAUSES: Final = {
    "active": "revoked_sequence = 0",
    "expiring": "revoked_sequence = 0",
    "expired": "revoked_sequence = 0",
    "revoked": "revoked_sequence > 0",
    "all": "TRUE",
}
_UNIT_CLAUSES: Final = {
    "enrolled": "enrolled = 1",
    "not_enrolled": "enrolled = 0",
    "suspended": "suspended = 1",
    "all": "TRUE",
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which certificates: of a state, a usage, a unit (any of its codes; None: all); from a cursor on."""

    state: str = "active"
    usage: str | None = None
    unit: str | None = None
    after: str = ""
    limit: int = 100


def certificates(views: sqlite3.Connection, wanted: Wanted, now: int) -> tuple[list[Row], str | None]:
    """A page of certificates, the first to end first, and the cursor of the next page; None: there is none.

    Rows as of `axis cert list --json`, with `expiring`, `revoked_at` and `reason`. Refusal `field_invalid`
    for a cursor that is none of ours.
    """
    low, high = {
        "active": (now, _END),
        "expiring": (now, now + SOON),
        "expired": (0, now),
    }.get(wanted.state, (0, _END))
    place = max((low, b""), _place(wanted.after))
    clauses = [_CLAUSES[wanted.state]]
    if wanted.usage is not None:
        clauses.append("usage = :usage")
    if wanted.unit is not None:
        clauses.append("organisation = :organisation")
    found = views.execute(
        query("certificates").replace("/* and */", "".join(f"AND {clause} " for clause in clauses)),
        {
            "not_after": place[0],
            "sha256": place[1],
            "high": high,
            "usage": wanted.usage,
            "organisation": _primary(views, wanted.unit) if wanted.unit is not None else None,
            "count": wanted.limit + 1,
        },
    ).fetchall()
    page = found[: wanted.limit]
    more = len(found) > wanted.limit
    cursor = f"{page[-1]['not_after']}.{page[-1]['sha256'].hex()}" if more else None
    return [_certificate(row, now) for row in page], cursor


def certificate(views: sqlite3.Connection, serial: str, now: int) -> Row:
    """One certificate by its serial number; Refusal `certificate_unknown`."""
    row = views.execute(query("certificate"), {"serial": serial.lower()}).fetchone()
    if row is None:
        raise Refusal("certificate_unknown", f"no certificate {serial[:60]} is in the journal")
    return _certificate(row, now)


def units(
    views: sqlite3.Connection, state: str = "all", *, after: str = "", limit: int = 100
) -> tuple[list[Row], str | None]:
    """A page of registered units of a state, by code, and the cursor of the next page."""
    found = views.execute(
        query("trust_units").replace("/* and */", f"AND {_UNIT_CLAUSES[state]}"),
        {"after": after, "count": limit + 1},
    ).fetchall()
    page = found[:limit]
    return [_unit(views, row) for row in page], str(page[-1]["code"]) if len(found) > limit else None


def one_unit(views: sqlite3.Connection, code: str) -> Row:
    """A unit by any of its codes; Refusal `unit_unknown`."""
    known = views.execute(query("resolve_unit"), {"code": code}).fetchone()
    row = views.execute(query("trust_unit"), {"code": known[0]}).fetchone() if known else None
    if row is None:
        raise Refusal("unit_unknown", f"{code[:60]!r} is no registered unit's code")
    return _unit(views, row)


def standing(views: sqlite3.Connection, now: int) -> Row:
    """How many certificates are in each state, by usage, and how many units have a node."""
    times = {"now": now, "soon": now + SOON}
    counted = {
        usage: dict(views.execute(query("certificate_states"), {**times, "usage": usage}).fetchone())
        for usage in USAGES
    }
    organisations = views.execute(query("trust_counts")).fetchone()
    position = read_position(views)
    return {
        "head": position.sequence if position else 0,
        "states": counted,
        "organisations": {name: organisations[name] for name in UNIT_STATES[:-1]},
    }


def _certificate(row: sqlite3.Row, now: int) -> Row:
    revoked, expired = row["revoked_sequence"] > 0, row["not_after"] < now
    return {
        "serial": row["serial"],
        "org": row["organisation"],
        "usage": row["usage"],
        "hierarchy": row["hierarchy"],
        "not_before": rfc3339(row["not_before"]),
        "not_after": rfc3339(row["not_after"]),
        "state": "revoked" if revoked else "expired" if expired else "active",
        "expiring": not revoked and not expired and row["not_after"] < now + SOON,
        "revoked_at": rfc3339(row["revoked_at"]) if revoked else None,
        "reason": row["reason"] or None,
    }


def _unit(views: sqlite3.Connection, row: sqlite3.Row) -> Row:
    return {
        "code": row["code"],
        "name": row["name"],
        "parent": row["parent"] or None,
        "state": "suspended" if row["suspended"] else "active",
        "enrolled": bool(row["enrolled"]),
        "hosted_by": host_of(views, row["code"]),
    }


def _primary(views: sqlite3.Connection, code: str) -> str:
    """The primary code; the code itself where no unit has it: the axis's own certificates have none."""
    row = views.execute(query("resolve_unit"), {"code": code}).fetchone()
    return str(row[0]) if row else code


def _place(cursor: str) -> tuple[int, bytes]:
    """Where a page begins: after a certificate, by its end and its SHA-256."""
    if not cursor:
        return 0, b""
    ends, _, sha256 = cursor.partition(".")
    try:
        if not (ends.isascii() and ends.isdigit() and len(ends) < 19):
            raise ValueError
        return int(ends), bytes.fromhex(sha256)
    except ValueError:
        raise Refusal("field_invalid", "after: this is no cursor of a page before") from None
