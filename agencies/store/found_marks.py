"""What is known of the contents of documents found again: marks among the settings, one for each document.

A document is marked while its contents are fetched, with how often that was tried; and for good once they
were given up. Without a mark, everything is here.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Final, Literal

from agencies.store.database import Store, set_setting

__all__ = [
    "Tries",
    "contents_count",
    "contents_state",
    "fetching",
    "mark_complete",
    "mark_lost",
    "mark_tried",
]

#: For people and scripts. `lost`: asked for so long, and so often, that nobody is expected to have them.
ContentsState = Literal["here", "fetching", "lost"]

_FETCHING: Final = "found/"
_LOST: Final = "found-lost/"


@dataclass(frozen=True, slots=True)
class Tries:
    """So many, all in vain; the first one and the next in milliseconds since the epoch."""

    count: int = 0
    first_at: int = 0
    next_at: int = 0


def mark_tried(connection: sqlite3.Connection, document_id: str, tries: Tries) -> None:
    """Its contents are to be fetched."""
    set_setting(connection, _FETCHING + document_id, json.dumps(asdict(tries)))


def mark_complete(connection: sqlite3.Connection, document_id: str) -> None:
    """Its contents are here."""
    connection.execute("DELETE FROM setting WHERE name = ?", (_FETCHING + document_id,))


def mark_lost(connection: sqlite3.Connection, document_id: str, code: str) -> None:
    """Its contents are not asked for again. `code`: why they did not come at the last try."""
    mark_complete(connection, document_id)
    set_setting(connection, _LOST + document_id, code)


def fetching(store: Store, after: str, limit: int) -> list[tuple[str, Tries]]:
    """At most `limit` documents behind `after` (empty: from the first), by id."""
    rows = store.rows(
        "SELECT name, value FROM setting WHERE name > ? AND name < ? ORDER BY name LIMIT ?",
        _FETCHING + after,
        _end(_FETCHING),
        limit,
    )
    return [(row["name"].removeprefix(_FETCHING), _tries(row["value"])) for row in rows]


def contents_state(store: Store, document_id: str) -> ContentsState:
    """Whether the contents of a document of the outbox are here."""

    def marked(prefix: str) -> bool:
        return store.row("SELECT 1 FROM setting WHERE name = ?", prefix + document_id) is not None

    return "fetching" if marked(_FETCHING) else "lost" if marked(_LOST) else "here"


def contents_count(store: Store, state: Literal["fetching", "lost"]) -> int:
    """How many documents are in a state."""
    prefix = _LOST if state == "lost" else _FETCHING
    row = store.row("SELECT count(*) AS n FROM setting WHERE name > ? AND name < ?", prefix, _end(prefix))
    return int(row["n"]) if row is not None else 0


def _tries(value: str) -> Tries:
    # Earlier versions kept no count.
    return Tries(**json.loads(value)) if value else Tries()


def _end(prefix: str) -> str:
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
