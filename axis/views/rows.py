"""Rows that are waiting to be written into the views, many at a time.

Inserts come before updates: everything that an update needs names its row by key, so the order within a
batch does not matter otherwise.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["DURATION_CLASSES", "Daily", "Rows"]

#: Upper limits in seconds of the classes of `durations`.
DURATION_CLASSES: Final = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0, float("inf"),
)  # fmt: skip

_INSERT_DOCUMENT: Final = "INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_ORIGINAL: Final = "INSERT INTO originals VALUES (?,?)"
_INSERT_DELIVERY: Final = "INSERT INTO deliveries VALUES (?,?,?,?,?,'in_flight',?,?,0,0,0,'')"
_REQUEUE: Final = """
    INSERT INTO deliveries
    SELECT document, unit, ?, ordinal, ?, 'in_flight', ?, ?, 0, 0, 0, ''
    FROM deliveries WHERE document = ? AND unit = ? AND attempt = 1"""
_INSERT_EVENT: Final = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_TERMS: Final = "INSERT INTO search (rowid, terms) VALUES (?, ?)"
_OUTCOME: Final = """
    UPDATE deliveries SET state = ?, outcome_sequence = ?, outcome_at = ?, stored_at = ?, reason = ?
    WHERE document = ? AND unit = ? AND attempt = ?"""
_AND_COUNT: Final = """
    ON CONFLICT DO UPDATE SET
        sent = sent + excluded.sent, addressed = addressed + excluded.addressed,
        received = received + excluded.received, refused = refused + excluded.refused,
        dead = dead + excluded.dead, requeued = requeued + excluded.requeued, late = late + excluded.late,
        bytes_sent = bytes_sent + excluded.bytes_sent,
        bytes_received = bytes_received + excluded.bytes_received"""
_ADD_DAILY: Final = "INSERT INTO daily VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)" + _AND_COUNT
# What a month begins with is what the unit's last one ended with: later months come later.
_ADD_MONTHLY: Final = (
    """
    INSERT INTO monthly VALUES (
        ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
        ?6 + ?10 - ?7 - ?8 - ?9 + ifnull((
            SELECT in_flight FROM monthly
            WHERE unit = ?1 AND below = ?2 AND kind = ?3 AND month < ?4 ORDER BY month DESC LIMIT 1
        ), 0)
    )"""
    + _AND_COUNT
    + """,
        in_flight = in_flight + excluded.addressed + excluded.requeued
            - excluded.received - excluded.refused - excluded.dead"""
)
_ADD_DAYS: Final = "INSERT INTO days VALUES (?,?,?,?,?,?,?,?,?,?,?)" + _AND_COUNT
_ADD_HOURS: Final = """
    INSERT INTO hours VALUES (?,?,?,?,?)
    ON CONFLICT DO UPDATE SET sent = sent + excluded.sent, received = received + excluded.received"""
_ADD_PAIRS: Final = """
    INSERT INTO pairs VALUES (?,?,?,?,?)
    ON CONFLICT DO UPDATE SET addressed = addressed + excluded.addressed,
        received = received + excluded.received"""
_ADD_REJECTIONS: Final = (
    "INSERT INTO rejections VALUES (?,?) ON CONFLICT DO UPDATE SET refused = refused + excluded.refused"
)
_ADD_REFUSALS: Final = (
    "INSERT INTO refusals VALUES (?,?) ON CONFLICT DO UPDATE SET refused = refused + excluded.refused"
)
_ADD_DURATIONS: Final = """
    INSERT INTO durations VALUES (?,?,?)
    ON CONFLICT DO UPDATE SET outcomes = outcomes + excluded.outcomes,
        milliseconds = milliseconds + excluded.milliseconds"""


Row = tuple[object, ...]


@dataclass(slots=True)
class Daily:
    """What is added to one row of `daily`; the fields are its columns, in order."""

    sent: int = 0
    addressed: int = 0
    received: int = 0
    refused: int = 0
    dead: int = 0
    requeued: int = 0
    late: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def add(self, other: Daily) -> None:
        """Count what another row counts, too."""
        self.sent += other.sent
        self.addressed += other.addressed
        self.received += other.received
        self.refused += other.refused
        self.dead += other.dead
        self.requeued += other.requeued
        self.late += other.late
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received

    def row(self) -> Row:
        """The columns' values."""
        return (
            self.sent,
            self.addressed,
            self.received,
            self.refused,
            self.dead,
            self.requeued,
            self.late,
            self.bytes_sent,
            self.bytes_received,
        )


@dataclass(slots=True)
class Rows:
    """What one transaction adds to the views."""

    documents: list[Row] = field(default_factory=list)
    originals: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    requeues: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    terms: list[Row] = field(default_factory=list)
    daily: dict[tuple[str, str, str], Daily] = field(default_factory=dict)
    hours: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    pairs: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, int] = field(default_factory=dict)
    durations: dict[float, list[int]] = field(default_factory=dict)

    def count(self, unit: str, day: str, kind: str) -> Daily:
        """The counts of a unit on a day, to add to."""
        key = (unit, day, kind)
        counts = self.daily.get(key)
        if counts is None:
            counts = self.daily[key] = Daily()
        return counts

    def sent_at(self, unit: str, month: str, hour: int, recipients: Iterable[str]) -> None:
        """Count a document by the hour, and for each of its recipients."""
        self.hours.setdefault((unit, month, hour), [0, 0])[0] += 1
        for recipient in recipients:
            self.pairs.setdefault((unit, month, recipient), [0, 0])[0] += 1

    def received_at(self, unit: str, month: str, hour: int, sender: str) -> None:
        """Count a receipt by the hour, and for the document's sender."""
        self.hours.setdefault((unit, month, hour), [0, 0])[1] += 1
        self.pairs.setdefault((sender, month, unit), [0, 0])[1] += 1

    def measure(self, milliseconds: int) -> None:
        """Count one time from acceptance to outcome."""
        limit = next(limit for limit in DURATION_CLASSES if milliseconds <= limit * 1000)
        sums = self.durations.setdefault(limit, [0, 0])
        sums[0] += 1
        sums[1] += milliseconds

    def write(self, connection: sqlite3.Connection, above: Callable[[str], Iterable[str]]) -> None:
        """Write everything, in the caller's transaction. `above` names all units above one."""
        run = connection.executemany
        run(_INSERT_DOCUMENT, self.documents)
        run(_INSERT_ORIGINAL, self.originals)
        run(_INSERT_DELIVERY, self.deliveries)
        run(_REQUEUE, self.requeues)
        run(_OUTCOME, self.outcomes)
        run(_INSERT_EVENT, self.events)
        run(_INSERT_TERMS, self.terms)
        # Of a month, and of all units on a day, there may be several rows, in the order of days: they add up.
        for below, daily in enumerate((self.daily, self._below(above))):
            rows = [(unit, day, kind, counts.row()) for (unit, day, kind), counts in daily.items()]
            run(_ADD_DAILY, [(unit, below, day, kind, *counts) for unit, day, kind, counts in rows])
            run(_ADD_MONTHLY, [(unit, below, kind, day[:7], *counts) for unit, day, kind, counts in rows])
        run(_ADD_DAYS, [(*key[1:], *counts.row()) for key, counts in self.daily.items()])
        run(_ADD_HOURS, [(*key, *counts) for key, counts in self.hours.items()])
        run(_ADD_PAIRS, [(*key, *counts) for key, counts in self.pairs.items()])
        run(_ADD_REFUSALS, self.refusals.items())
        run(_ADD_REJECTIONS, self.rejections.items())
        run(_ADD_DURATIONS, [(limit, *sums) for limit, sums in self.durations.items()])

    def _below(self, above: Callable[[str], Iterable[str]]) -> dict[tuple[str, str, str], Daily]:
        """What is added to the units above those to which something happened."""
        found: dict[tuple[str, str, str], Daily] = {}
        for (unit, day, kind), counts in self.daily.items():
            for code in above(unit):
                found.setdefault((code, day, kind), Daily()).add(counts)
        return found
