"""What a notice of death waits for: the attempt that it closes, while that may still come to this node.

An attempt is opened by an earlier item of the same lane: the document's acceptance, or a notice of requeue.
That is stored by now, or held (its content would not come), or it was given up; in the notice's own page it
may be neither yet. Closing what is not here yet would leave it open for ever once it is; waiting for what was
given up would be waiting for ever.
"""

from __future__ import annotations

import hashlib

from axispb.v1 import api_pb2, evidence_pb2

from agencies.store.database import Store
from axis.core.errors import Refusal

__all__ = ["check_opened"]


def check_opened(store: Store, code: str, item: api_pb2.FeedItem, notice: evidence_pb2.Notice) -> None:
    """Return when a notice of death that came in `item` can be applied at the node of organisation `code`.

    Refusal `unavailable` while the acceptance or the attempt that it is about has not come yet.
    """
    sent = store.row("SELECT acceptance_signed FROM sent WHERE document_id = ?", notice.document_id)
    if sent is not None:
        if not _is_bound(notice, sent["acceptance_signed"]):
            raise Refusal("unavailable", f"the acceptance of {notice.document_id} has not come yet")
        if _is_elsewhere(store, code, notice):
            return
    if _is_here(store, notice):
        return
    was_held = store.row("SELECT 1 FROM held WHERE sequence = ?", item.sequence)
    if was_held is None or _is_opener_held(store, item, notice):
        detail = f"attempt {notice.attempt} of {notice.document_id} has not come yet"
        raise Refusal("unavailable", detail)


def _is_bound(notice: evidence_pb2.Notice, acceptance: bytes | None) -> bool:
    return acceptance is not None and hashlib.sha256(acceptance).digest() == notice.acceptance_sha256


def _is_elsewhere(store: Store, code: str, notice: evidence_pb2.Notice) -> bool:
    """Whether the attempt of our own document went to another node, as far as the outbox knows."""
    row = store.row(
        "SELECT host FROM sent_delivery WHERE document_id = ? AND unit = ? AND attempt = ?",
        notice.document_id,
        notice.recipient_unit,
        notice.attempt,
    )
    return row is not None and row["host"] != code


def _is_here(store: Store, notice: evidence_pb2.Notice) -> bool:
    row = store.row(
        "SELECT d.acceptance_signed FROM receipt r JOIN received d USING (document_id)"
        " WHERE document_id = ? AND unit = ? AND attempt = ?",
        notice.document_id,
        notice.recipient_unit,
        notice.attempt,
    )
    return row is not None and _is_bound(notice, row["acceptance_signed"])


def _is_opener_held(store: Store, item: api_pb2.FeedItem, notice: evidence_pb2.Notice) -> bool:
    """Whether the item that opens the attempt waits too. A notice that was held has its page behind it."""
    if notice.attempt == 1:
        return store.row("SELECT 1 FROM held WHERE sequence = ?", item.accepted_sequence) is not None
    rows = store.rows(
        "SELECT item FROM held WHERE sequence > ? AND sequence < ?", item.accepted_sequence, item.sequence
    )
    earlier = (api_pb2.FeedItem.FromString(row["item"]) for row in rows)
    return any(one.accepted_sequence == item.accepted_sequence and _opens(one) for one in earlier)


def _opens(item: api_pb2.FeedItem) -> bool:
    """A notice of requeue brings the document along; one of death does not."""
    return item.event == "noticed" and item.HasField("envelope")
