"""`getSentEdocList`: what became of a document that one of a system's units sent, receiver by receiver."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any, Final

from agencies.edxml.code_lists import STATUSES
from agencies.store import listing
from agencies.units import primary
from agencies.vxp.desk import STATUS, Desk, Operation
from agencies.vxp.parameters import vietnam_time
from agencies.vxp.transport import DONE, FAIL, INITIAL, PROCESSING, description
from axis.core.errors import Refusal

__all__ = ["SENT"]

_SENT: Final = {"queued": PROCESSING, "accepted": DONE, "rejected": FAIL}
_RECEIVED: Final = {"in_flight": PROCESSING, "received": DONE, "refused": FAIL, "dead": FAIL}
#: Where no document is named: the newest.
_NEWEST: Final = 200
_LOOKED_AT: Final = 20_000


async def sent_list(desk: Desk) -> dict[str, Any]:
    """{"data": […]}, one entry for each receiver; the newest documents where none is named.

    Refusal `document_unknown` for a document that none of the system's units sent.
    """
    store = desk.parts.store
    if desk.parameters.spellings("docId"):
        document_id = desk.document_id(lambda each: _is_ours(desk, each))
        if not _is_ours(desk, document_id):
            raise Refusal("document_unknown", f"docId: {document_id[:64]}")
        return {"data": _entries(desk, document_id)}
    newest = "SELECT document_id, sender_unit FROM sent WHERE kind = ? ORDER BY number DESC LIMIT ?"
    with closing(store.each(newest, desk.kind, _LOOKED_AT)) as rows:
        theirs = (row["document_id"] for row in rows if desk.scope.has(row["sender_unit"]))
        ours = list(islice(theirs, _NEWEST))
    return {"data": [entry for document_id in ours for entry in _entries(desk, document_id)]}


def _is_ours(desk: Desk, document_id: str) -> bool:
    row = desk.parts.store.row("SELECT sender_unit FROM sent WHERE document_id = ?", document_id)
    return row is not None and desk.scope.has(row["sender_unit"])


def _entries(desk: Desk, document_id: str) -> list[dict[str, Any]]:
    directory = desk.parts.directory.directory
    row = desk.parts.store.row("SELECT * FROM sent WHERE document_id = ?", document_id)
    if row is None:
        return []
    found = listing.sent_one(desk.parts.store, document_id, lambda code: primary(directory, code))
    send_status = _SENT[row["state"]]
    reason = f"{found['detail']} [{found['code']}]" if send_status == FAIL else ""
    deliveries = {delivery["to"]: delivery for delivery in found["deliveries"]}
    stored = {
        each["unit"]: each["stored_at"]
        for each in desk.parts.store.rows(
            "SELECT unit, stored_at FROM sent_delivery WHERE document_id = ?", document_id
        )
    }
    return [
        {
            "serviceType": "eDoc",
            "messageType": "status" if row["kind"] == STATUS else "edoc",
            "senderDocId": document_id,
            "receiverDocId": document_id if send_status == DONE else "",
            "fromCode": found["from"],
            "toCode": to,
            "title": found["subject"],
            "notation": found["number"],
            "sentTime": vietnam_time(row["accepted_at"] or row["created_at"]),
            "sendStatus": send_status,
            "sendStatusDesc": description(send_status, reason),
            **_receiving(deliveries.get(to), stored.get(to, 0), failed=send_status == FAIL),
        }
        for to in found["to"]
    ]


def _receiving(delivery: dict[str, Any] | None, stored_at: int, *, failed: bool) -> dict[str, Any]:
    """The receiver's side: transport by its signed receipt, and the newest business status in words."""
    if delivery is None:
        status = FAIL if failed else INITIAL
        return {"receivedTime": "", "receiveStatus": status, "receiveStatusDesc": description(status)}
    status = _RECEIVED[delivery["state"]]
    receipt = delivery["receipt"] or {}
    words = description(status, receipt.get("reason") or "")
    if delivery["statuses"]:
        newest = delivery["statuses"][-1]
        note = f": {newest['note']}" if newest["note"] else ""
        words = f"{words}; {newest['code']} {STATUSES[newest['code']]}{note}"
    return {
        "receivedTime": vietnam_time(stored_at if receipt else 0),
        "receiveStatus": status,
        "receiveStatusDesc": words,
    }


SENT: Final = (Operation("getSentEdocList", sent_list),)
