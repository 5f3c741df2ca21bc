"""What happened in each minute of the last hour, counted on from where the last look ended.

Kept in memory: an hour of events is read once, then only what is new.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from typing import Final

from axis.views.criteria import sequence_at
from axis.views.file import read_position
from axis.views.queries import query
from axis.views.text import rfc3339

__all__ = ["Minutes"]

_MINUTE: Final = 60_000
_SHOWN: Final = 60
_EVENTS: Final = ("accepted", "received", "refused")


class Minutes:
    """Counts of documents by the minute. May be asked from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._journal = ""
        self._sequence = 0
        self._first = 0  # the head at which counting began
        self._counts: dict[int, dict[str, int]] = {}

    def last_hour(self, connection: sqlite3.Connection, now: int) -> list[dict[str, object]]:
        """`[{"at", "accepted", "received", "refused"}]`, 60 minutes, the running one last.

        The caller holds a read transaction: what is counted belongs to its head.
        """
        position = read_position(connection)
        newest = now // _MINUTE
        oldest = newest - _SHOWN + 1
        with self._lock:
            if position is None:
                counts: dict[int, dict[str, int]] = {}
            else:
                self._count(connection, position.journal_id, position.sequence, oldest)
                counts = dict(self._counts)
        return [
            {
                "at": rfc3339(minute * _MINUTE),
                **{name: counts.get(minute, {}).get(name, 0) for name in _EVENTS},
            }
            for minute in range(oldest, newest + 1)
        ]

    def _count(self, connection: sqlite3.Connection, journal: str, head: int, oldest: int) -> None:
        if journal == self._journal and self._first <= head < self._sequence:
            return  # a reader whose snapshot is somewhat older: the later counts serve it too
        if journal != self._journal or head < self._first:  # another journal, or its views are built anew
            self._journal, self._sequence, self._counts, self._first = journal, 0, {}, head
        first = max(self._sequence + 1, sequence_at(connection, oldest * _MINUTE, head))
        found: dict[int, dict[str, int]] = defaultdict(dict)
        for row in connection.execute(query("minutes"), {"first": first, "last": head}):
            found[row["minute"]][row["event"]] = row["events"]
        for minute, events in found.items():
            sums = self._counts.setdefault(minute, {})
            for event, count in events.items():
                sums[event] = sums.get(event, 0) + count
        self._counts = {minute: sums for minute, sums in self._counts.items() if minute >= oldest}
        self._sequence = head
