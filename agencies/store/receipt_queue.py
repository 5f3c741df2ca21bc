"""Signed receipts that wait for the axis, and what it answered."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agencies.store.counting import count
from agencies.store.database import Store
from axis.core.envelope import Envelope

__all__ = [
    "ReceiptDue",
    "count_outcome",
    "forget_outcome",
    "next_receipt_due",
    "postpone_receipt",
    "receipts_due",
    "resign_receipt",
    "send_receipts_again",
    "settle_receipt",
]


@dataclass(frozen=True, slots=True)
class ReceiptDue:
    """A receipt to be sent now."""

    document_id: str
    unit: str
    attempt: int
    outcome: str
    envelope: Envelope
    certificate_sha256: bytes
    attempts: int


def receipts_due(store: Store, now: int, limit: int) -> list[ReceiptDue]:
    """Receipts whose time has come, those of urgent documents first."""
    rows = store.rows(
        "SELECT r.document_id, r.unit, r.attempt, r.outcome, r.signed, r.signature, r.certificate_sha256,"
        " r.attempts FROM receipt r JOIN received d USING (document_id)"
        " WHERE r.state = 'queued' AND r.next_attempt_at <= ?"
        " ORDER BY d.urgent DESC, r.next_attempt_at, d.number LIMIT ?",
        now,
        limit,
    )
    return [
        ReceiptDue(
            row["document_id"],
            row["unit"],
            row["attempt"],
            row["outcome"],
            Envelope(row["signed"], row["signature"]),
            row["certificate_sha256"],
            row["attempts"],
        )
        for row in rows
    ]


def next_receipt_due(store: Store, now: int) -> int | None:
    """When the next receipt that is not due yet will be."""
    row = store.row(
        "SELECT min(next_attempt_at) AS at FROM receipt WHERE state = 'queued' AND next_attempt_at > ?", now
    )
    return row["at"] if row is not None else None


_THIS = " WHERE document_id = ? AND unit = ? AND attempt = ? AND signed = ?"


def _this(due: ReceiptDue) -> tuple[object, ...]:
    return due.document_id, due.unit, due.attempt, due.envelope.signed


def resign_receipt(
    connection: sqlite3.Connection, due: ReceiptDue, envelope: Envelope, certificate_sha256: bytes
) -> None:
    """The same signed bytes under a newer certificate."""
    connection.execute(
        "UPDATE receipt SET signature = ?, certificate_sha256 = ?" + _THIS,
        (envelope.signature, certificate_sha256, *_this(due)),
    )


def postpone_receipt(connection: sqlite3.Connection, due: ReceiptDue, code: str, at: int) -> None:
    """A try failed for now. Nothing where the axis closed the attempt meanwhile."""
    connection.execute(
        "UPDATE receipt SET attempts = attempts + 1, code = ?, next_attempt_at = ?"
        + _THIS
        + " AND state = 'queued'",
        (code, at, *_this(due)),
    )


def settle_receipt(
    connection: sqlite3.Connection, due: ReceiptDue, *, sequence: int, code: str, at: int
) -> bool:
    """The axis answered for good: taken at `sequence`, whose time is `at`, or stopped with `code`.

    False where the receipt was signed anew for another acceptance meanwhile.
    """
    key = (due.document_id, due.unit, due.attempt)
    before = connection.execute(
        "SELECT sequence FROM receipt WHERE document_id = ? AND unit = ? AND attempt = ?", key
    ).fetchone()
    changed = connection.execute(
        "UPDATE receipt SET attempts = attempts + 1, state = ?, code = ?, sequence = ?" + _THIS,
        ("stopped" if code else "taken", code, sequence, *_this(due)),
    )
    if not changed.rowcount:
        return False
    if code:
        forget_outcome(connection, *key)
    elif before["sequence"] != sequence:  # sent again after a restore, and there already: it was counted
        count_outcome(connection, *key, due.outcome, at)
    return True


def count_outcome(
    connection: sqlite3.Connection, document_id: str, unit: str, attempt: int, event: str, at: int
) -> None:
    """Count what closed an attempt to a unit of ours."""
    row = connection.execute(
        "SELECT kind, accepted_at, bytes FROM received WHERE document_id = ?", (document_id,)
    ).fetchone()
    count(
        connection,
        event,
        document_id=document_id,
        unit=unit,
        attempt=attempt,
        kind=row["kind"],
        at=at,
        accepted_at=row["accepted_at"],
        size=row["bytes"],
    )


def forget_outcome(connection: sqlite3.Connection, document_id: str, unit: str, attempt: int) -> None:
    """The axis has no receipt for this attempt after all: what it closed with is not counted."""
    connection.execute(
        "DELETE FROM counted WHERE document_id = ? AND unit = ? AND attempt = ?"
        " AND event IN ('received', 'refused')",
        (document_id, unit, attempt),
    )


def send_receipts_again(connection: sqlite3.Connection, since: int) -> int:
    """After the axis lost part of its journal: every receipt signed since then is sent once more."""
    return connection.execute(
        "UPDATE receipt SET state = 'queued', attempts = 0, next_attempt_at = 0"
        " WHERE state IN ('taken', 'stopped', 'queued') AND signed IS NOT NULL AND stored_at >= ?",
        (since,),
    ).rowcount
