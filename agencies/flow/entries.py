"""One document or status in a shipment: what becomes of it, stored and told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from axispb.v1 import evidence_pb2

from agencies.flow.effects import Happened, document_changed
from agencies.store import outbox
from agencies.store.outbox import Due
from axis.core.envelope import Envelope
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["Entry", "log_outcome", "store_outcome"]


@dataclass(slots=True)
class Entry:
    """One document under way, and what became of it: neither an acceptance nor a refusal is nothing yet."""

    due: Due
    envelope: Envelope
    used: bytes  # SHA-256 of the certificate it is signed with
    contents: Sequence[bytes] = ()
    acceptance: Envelope | None = None
    message: evidence_pb2.Acceptance | None = None
    sequence: int = 0
    refusal: Refusal | None = None
    next_attempt_at: int | None = None  # None: the refusal is final
    not_stored: Exception | None = None


def store_outcome(
    connection: sqlite3.Connection, entry: Entry, known: bool, pause: Callable[[int], int]
) -> Happened:
    """Store what became of it, and answer what happened by that. `known` False: the axis was restored
    meanwhile, and what it said is void. `pause` gives the time of the next try after so many.
    """
    document_id, refusal = entry.due.document_id, entry.refusal
    if refusal is None:
        if entry.acceptance is None or entry.message is None or not known:
            return []
        new = outbox.accept(connection, entry.acceptance, entry.message, entry.sequence)
        return document_changed(document_id, "accepted") if new else []
    if entry.next_attempt_at is None:
        if known and outbox.reject(connection, document_id, refusal.name, refusal.detail):
            return document_changed(document_id, "rejected", code=refusal.name)
        # It was not to be sent any more; if it is after all, then not without a pause.
        entry.next_attempt_at = pause(entry.due.attempts)
    outbox.postpone(connection, document_id, refusal.name, refusal.detail, entry.next_attempt_at)
    return []


def log_outcome(entry: Entry) -> None:
    """Say in the log what became of it."""
    document_id, refusal = entry.due.document_id, entry.refusal
    if entry.not_stored is not None:
        get_logger().error("outcome_not_stored", document_id=document_id, error=repr(entry.not_stored))
    elif refusal is None:
        get_logger().info("document_accepted", document_id=document_id, sequence=entry.sequence)
    elif entry.next_attempt_at is None:
        get_logger().warning(
            "document_rejected", document_id=document_id, code=refusal.name, detail=refusal.detail
        )
    else:
        get_logger().info(
            "submission_postponed",
            document_id=document_id,
            code=refusal.name,
            next_attempt_at=entry.next_attempt_at,
        )
