"""Units as a tree with their volumes: each branch as a whole, in groups that are ranked.

Volumes of a branch are those of its unit and of all units that stand below it now, so that a row here is the
total of `axis volumes --subtree`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final, Literal

from axis.core.organisation import MAX_LEVELS, is_top_code
from axis.core.volumes import Counts
from axis.views.file import read_position, snapshot
from axis.views.queries import query
from axis.views.spans import Span
from axis.views.text import rfc3339
from axis.views.volumes import FIELDS, Selection, resolve

__all__ = ["GROUPS", "Group", "branches", "group_of", "host_of", "names_of", "on_time"]

#: Volumes are published per ministry and per locality, so that the head of each answers for them.
Group = Literal["central", "province", "other"]
GROUPS: Final[tuple[Group, ...]] = ("central", "province", "other")

_LISTS: Final[dict[str, Group]] = {"G": "central", "H": "province"}


def group_of(code: str) -> Group:
    """Ministries and other central bodies (`G22`), provinces (`H26`), anything else."""
    return _LISTS.get(code[-3], "other") if is_top_code(code) else "other"


def on_time(counts: Counts) -> float | None:
    """The share of receipts that came within the day (Decree 30/2020, article 21); None where none came."""
    came = counts.received + counts.refused
    return (came - counts.late) / came if came else None


def names_of(connection: sqlite3.Connection, codes: Iterable[str]) -> dict[str, str]:
    """The names of those codes that are registered units' primary ones: for a page's tables."""
    asked = {"codes": json.dumps(sorted(set(codes)))}
    return {row["code"]: row["name"] for row in connection.execute(query("unit_names"), asked)}


def host_of(connection: sqlite3.Connection, code: str) -> str | None:
    """The unit whose node serves this one: itself or the nearest above; None where none of them has one."""
    row = connection.execute(query("host"), {"code": code, "levels": MAX_LEVELS}).fetchone()
    return str(row[0]) if row else None


def branches(connection: sqlite3.Connection, selection: Selection, now: int) -> dict[str, object]:
    """`{"generated_at", "head", "path", "rows", "total"}`: a unit alone, then each branch below as a whole.

    `path` holds the units from the top to this one, `[{"code", "name"}]`, empty for the whole tree. Rows are
    as in `axis volumes`, with `group`, `rank` (within the group, by the share of receipts on time, then by
    their number; null where none came), `on_time`, `units_below`, `suspended` and `enrolled`.
    Raises Refusal `field_invalid` for an unknown unit.
    """
    span = Span.of(selection.period())
    root = "" if selection.subtree is None else resolve(connection, selection.subtree)
    with snapshot(connection):
        position = read_position(connection)
        path = _path(connection, root)
        parameters = {"root": root, "kind": selection.kind, **span.parameters()}
        found = connection.execute(query("volumes_by_branch"), parameters).fetchall()
    rows: list[dict[str, object]] = []
    total = Counts()
    for row in found:
        counts = Counts(**{name: row[name] for name in FIELDS})
        total += counts
        rows.append(
            {
                **{name: row[name] for name in ("code", "name", "parent")},
                "group": group_of(row["code"]),
                "rank": None,
                "units_below": row["units_below"] if row["code"] != root else None,
                "suspended": bool(row["suspended"]),
                "enrolled": bool(row["enrolled"]),
                "on_time": on_time(counts),
                **asdict(counts),
            }
        )
    _rank([row for row in rows if row["code"] != root])
    return {
        "generated_at": rfc3339(now),
        "head": str(position.head) if position else "",
        "path": path,
        "rows": rows,
        "total": {"on_time": on_time(total), **asdict(total)},
    }


def _path(connection: sqlite3.Connection, code: str) -> list[dict[str, str]]:
    """From the top to a unit."""
    path: list[dict[str, str]] = []
    seen: set[str] = set()
    while code and code not in seen:
        seen.add(code)
        row = connection.execute("SELECT name, parent FROM units WHERE code = ?", (code,)).fetchone()
        if row is None:
            break
        path.append({"code": code, "name": row["name"]})
        code = row["parent"]
    return path[::-1]


def _rank(rows: list[dict[str, object]]) -> None:
    """Equal shares and numbers share their rank."""
    for group in GROUPS:
        ranked = [row for row in rows if row["group"] == group and row["on_time"] is not None]
        ranked.sort(key=_merit, reverse=True)
        for place, row in enumerate(ranked, 1):
            before = ranked[place - 2] if place > 1 else None
            row["rank"] = before["rank"] if before is not None and _merit(before) == _merit(row) else place


def _merit(row: dict[str, object]) -> tuple[float, int]:
    share, received, refused = row["on_time"], row["received"], row["refused"]
    assert isinstance(share, float)
    assert isinstance(received, int)
    assert isinstance(refused, int)
    return share, received + refused
