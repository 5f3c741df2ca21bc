"""A home that was made from a copy: what the copy could not know, and how the node finds its way back.

The axis holds what the node did after the copy was made. So the feed is read again from the oldest place
where the copy left something open, and until it has been read to its end the node is *catching up*: what it
finds out meanwhile about itself is what it did before.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from agencies.store.database import Store, get_setting, set_setting
from agencies.store.heads import SeenHead
from axis.core.errors import Refusal

__all__ = ["copied_head", "is_catching_up", "mark_caught_up", "mark_restored", "require_caught_up"]

_RESTORED_AT: Final = "restored_at"
_COPIED_HEAD: Final = "copied_head"
_CATCHING_UP: Final = "catching_up"
_RETRY_SECONDS: Final = 2

#: Rows' numbers are cursors of callers, who may stand anywhere behind the copy's newest.
_NUMBERED: Final = ("sent", "received", "vxp_call")

#: What the copy left open, or unfinished: everything from the oldest of it on is read again.
_OPEN: Final = (
    "SELECT min(place) FROM ("
    " SELECT min(accepted_sequence) AS place FROM received WHERE document_id IN"
    " (SELECT document_id FROM receipt WHERE state IN ('waiting', 'queued'))"
    " UNION ALL SELECT min(sequence) FROM held)"
)


def mark_restored(connection: sqlite3.Connection, now: int) -> None:
    """Make a store that was copied ready to go on; in one transaction, before the home appears.

    Numbers go on at the time in milliseconds: higher than any that was given in the meantime, unless there
    were more than a thousand documents a second. Software reads what came since the copy once more behind
    the cursor that it has, and misses nothing.
    """
    set_setting(connection, _RESTORED_AT, str(now))
    head = SeenHead.parse(get_setting(connection, "head"))
    set_setting(connection, _COPIED_HEAD, str(head.sequence if head is not None else 0))
    set_setting(connection, _CATCHING_UP, "1")
    for table in _NUMBERED:
        _skip_numbers(connection, table, now)
    place = connection.execute(_OPEN).fetchone()[0]
    for cursor in ("urgent_after", "normal_after"):
        after = int(get_setting(connection, cursor, "0"))
        if place is not None:
            after = min(after, max(0, place - 1))
        set_setting(connection, cursor, str(after))
    connection.execute("DELETE FROM held")
    for table in ("sent", "receipt"):
        connection.execute(f"UPDATE {table} SET next_attempt_at = 0 WHERE state = 'queued'")


def _skip_numbers(connection: sqlite3.Connection, table: str, number: int) -> None:
    changed = connection.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, table)
    ).rowcount
    if not changed:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))


def mark_caught_up(connection: sqlite3.Connection) -> None:
    """The feed was read to its end."""
    set_setting(connection, _CATCHING_UP, "")


def is_catching_up(store: Store) -> bool:
    """Whether the home is a copy that does not know yet what happened after it was made."""
    return store.setting(_CATCHING_UP) == "1"


def require_caught_up(store: Store) -> None:
    """Refusal `catching_up` where nobody can say yet whether what is asked for was done before."""
    if is_catching_up(store):
        raise Refusal("catching_up", retry_after=_RETRY_SECONDS)


def copied_head(store: Store) -> int | None:
    """How far the axis's journal was known to the copy; None for a home that was never restored."""
    text = store.setting(_COPIED_HEAD)
    return int(text) if text else None
