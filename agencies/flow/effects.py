"""Effects: what a judged feed item does to the store, and what happened by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from axispb.v1 import document_pb2

from agencies.attachments import AttachmentRow
from agencies.flow.judge import Accepted
from agencies.store.inbox import Incoming
from agencies.store.outbox import Outgoing
from axis.core.document import is_urgent

__all__ = [
    "Effect",
    "Happened",
    "alarm",
    "all_effects",
    "as_listed",
    "document_changed",
    "document_received",
    "nothing",
]

#: Names and data of events, to be published once they are stored.
Happened = list[tuple[str, dict[str, object]]]

#: A change of the store; can be repeated without effect.
Effect = Callable[[sqlite3.Connection], Happened]


def document_changed(document_id: str, state: str, **more: object) -> Happened:
    """The event that a document of ours is in another state now."""
    return [("document_changed", {"document_id": document_id, "state": state, **more})]


def document_received(incoming: Incoming) -> Happened:
    """The event that a document is in the inbox."""
    more = {"sequence": incoming.accepted_sequence, "trace_id": incoming.trace_id}
    return [("document_received", {"document_id": incoming.document_id, "code": incoming.failure, **more})]


def nothing(_: sqlite3.Connection) -> Happened:
    """No effect."""
    return []


def alarm(what: str, **data: object) -> Effect:
    """Nothing is stored; somebody should look."""
    return lambda _: [("alarm", {"what": what, **data})]


def all_effects(effects: Sequence[Effect]) -> Effect:
    """One after the other."""
    return lambda connection: [event for effect in effects for event in effect(connection)]


def as_listed(accepted: Accepted, trace_id: str) -> Outgoing:
    """A verified document or status as the outbox and the inbox list it."""
    message = accepted.message
    document = message if isinstance(message, document_pb2.Document) else document_pb2.Document()
    fields = document.fields
    return Outgoing(
        kind=accepted.kind.value,
        document_id=message.document_id,
        envelope=accepted.envelope,
        certificate_sha256=accepted.certificate_sha256,
        sender_unit=message.sender_unit,
        recipients=tuple(message.recipients),
        subject=fields.subject,
        code_number="/".join(part for part in (fields.code_number, fields.code_notation) if part),
        urgent=is_urgent(fields),
        created_at=message.created_at,
        trace_id=trace_id,
        attachments=tuple(
            AttachmentRow(a.name, a.media_type, a.size, a.sha256) for a in document.attachments
        ),
    )
