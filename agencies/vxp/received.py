"""What came for a system's units: listed, counted, given out, and decided on.

A delivery's transport status is `initial` until the system says otherwise, `processing`, `done` (received:
the signed receipt goes out) or `fail` (refused, with the system's reason). A document that came to several of
the system's units is listed once for each, with the same docId; what is said about it holds for all of them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import islice
from typing import Any, Final

from aiohttp import web

from agencies.desk.packets import Stored
from agencies.desk.requests import ReceiptInput
from agencies.units import primary
from agencies.vxp.desk import DOCUMENT, STATUS, Desk, Operation
from agencies.vxp.parameters import vietnam_time
from agencies.vxp.replies import base64_member, whole, whole_or_broken
from agencies.vxp.transport import DONE, FAIL, INITIAL, PROCESSING, description
from axis.core.document import MAX_TEXT
from axis.core.errors import Refusal

__all__ = ["RECEIVED"]

#: Deliveries in one reply; the oldest come first, so what is left out comes once these are done.
_MOST: Final = 5000
_STATES: Final = {"received": DONE, "refused": FAIL}
_NO_REASON: Final = "phần mềm nhận báo lỗi"

_DELIVERIES: Final = """
    SELECT d.document_id, d.kind, d.sender_unit, d.accepted_at, d.received_at, r.unit, r.outcome, r.reason,
           r.stored_at, p.at AS processing_at
    FROM receipt r JOIN received d USING (document_id)
    LEFT JOIN vxp_processing p ON p.document_id = r.document_id AND p.unit = r.unit
    WHERE d.kind = ? AND d.failure = '' AND {} AND r.attempt = (
        SELECT max(attempt) FROM receipt m WHERE m.document_id = r.document_id AND m.unit = r.unit)
    ORDER BY d.number, r.unit
"""
_WAITING: Final = _DELIVERIES.format("r.state = 'waiting'")
#: What came late, after it was accepted, is in the windows of both moments: who asks by time misses nothing.
_BETWEEN: Final = _DELIVERIES.format("d.received_at >= ? AND d.accepted_at <= ?")
_FAR: Final = (1 << 62) - 1


async def received_list(desk: Desk) -> dict[str, Any]:
    """{"data": […]}: what is not yet done; with fromDate or toDate everything accepted between them."""
    since, until = desk.parameters.time("fromDate"), desk.parameters.time("toDate")
    if since is None and until is None:
        rows = desk.parts.store.each(_WAITING, desk.kind)
    else:
        # A second's last millisecond belongs to it.
        end = _FAR if until is None else until + 999
        rows = desk.parts.store.each(_BETWEEN, desk.kind, since or 0, end)
    with closing(rows):
        ours = (row for row in rows if desk.scope.has(row["unit"]))
        return {"data": [_listed(desk, row) for row in islice(ours, _MOST)]}


def _listed(desk: Desk, row: sqlite3.Row) -> dict[str, Any]:
    status = _STATES.get(row["outcome"], PROCESSING if row["processing_at"] else INITIAL)
    changed = row["stored_at"] if row["outcome"] in _STATES else row["processing_at"] or row["received_at"]
    return {
        "docId": row["document_id"],
        "serviceType": "eDoc",
        "messageType": "status" if row["kind"] == STATUS else "edoc",
        "created_time": vietnam_time(row["accepted_at"]),
        "updated_time": vietnam_time(changed),
        "from": primary(desk.parts.directory.directory, row["sender_unit"]),
        "to": row["unit"],
        "status": status,
        "status_desc": description(status, row["reason"]),
    }


async def count_documents(desk: Desk) -> dict[str, Any]:
    """{"count"}: documents that wait."""
    return {"count": _count(desk, DOCUMENT)}


async def count_statuses(desk: Desk) -> dict[str, Any]:
    """{"count"}: statuses that wait."""
    return {"count": _count(desk, STATUS)}


def _count(desk: Desk, kind: str) -> int:
    rows = desk.parts.store.rows(
        "SELECT r.unit, count(*) AS waiting FROM receipt r JOIN received d USING (document_id)"
        " WHERE r.state = 'waiting' AND d.kind = ? AND d.failure = '' GROUP BY r.unit",
        kind,
    )
    return sum(row["waiting"] for row in rows if desk.scope.has(row["unit"]))


async def get_edoc(desk: Desk) -> web.StreamResponse:
    """{"data"}: the packet in base64, byte for byte as its sender handed it in."""
    packet = _packet(desk, desk.document_id(lambda each: _waits(desk, each)))
    return await base64_member(desk.request, "data", packet.size, whole(packet.chunks, packet.size))


async def download_edoc(desk: Desk) -> web.StreamResponse:
    """The packet itself."""
    packet = _packet(desk, desk.document_id(lambda each: _waits(desk, each)))
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    if packet.size is not None:
        response.content_length = packet.size
    chunks = whole(packet.chunks, packet.size)
    first = await anext(chunks, b"")
    await response.prepare(desk.request)
    await response.write(first)
    async with whole_or_broken(desk.request):
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()
    return response


def _packet(desk: Desk, document_id: str) -> Stored:
    """A packet that came for the system's units, or that one of them sent. Refusal `document_unknown`."""
    if _units(desk, document_id):
        return desk.parts.packets.find("received", document_id)
    row = desk.parts.store.row("SELECT sender_unit FROM sent WHERE document_id = ?", document_id)
    if row is not None and desk.scope.has(row["sender_unit"]):
        return desk.parts.packets.find("sent", document_id)
    raise Refusal("document_unknown", f"docId: {document_id[:64]}")


def _units(desk: Desk, document_id: str) -> list[str]:
    """The system's units that a document came to."""
    rows = desk.parts.store.rows(
        "SELECT DISTINCT r.unit FROM receipt r JOIN received d USING (document_id)"
        " WHERE r.document_id = ? AND d.failure = '' ORDER BY r.unit",
        document_id,
    )
    return [row["unit"] for row in rows if desk.scope.has(row["unit"])]


def _waits(desk: Desk, document_id: str, unit: str = "") -> bool:
    """Whether a document waits for one of the system's units, or for this one."""
    rows = desk.parts.store.rows(
        "SELECT unit FROM receipt WHERE document_id = ? AND state = 'waiting'", document_id
    )
    return any(unit in ("", row["unit"]) and desk.scope.has(row["unit"]) for row in rows)


async def update_status(desk: Desk) -> dict[str, Any]:
    """The transport status of a document that came: processing, done or fail. May be said again.

    Refusal `document_unknown`, `field_invalid`, `outcome_conflict`, `delivery_closed`.
    """
    said = desk.parameters.required("status").casefold()

    def fits(each: str) -> bool:
        # A refusal cannot be taken back: of two documents of the system's none is refused by a guess.
        return bool(_units(desk, each)) if said == FAIL else _waits(desk, each)

    document_id = desk.document_id(fits, alone=True)
    note = desk.parameters.text("description")[:MAX_TEXT]
    units = _units(desk, document_id)
    if not units:
        raise Refusal("document_unknown", f"docId: {document_id[:64]}")
    if said == PROCESSING:
        await _processing(desk, document_id, units)
    elif said == DONE:
        await _decide(desk, document_id, units, ReceiptInput(outcome="received"))
    elif said == FAIL:
        await _decide(desk, document_id, units, ReceiptInput(outcome="refused", reason=note or _NO_REASON))
    else:
        raise Refusal("field_invalid", f"status: {said[:40]!r}; processing, done and fail are possible")
    return {}


async def _decide(desk: Desk, document_id: str, units: list[str], decision: ReceiptInput) -> None:
    # What waits comes first: what somebody decided otherwise for one unit keeps no other from its receipt.
    waiting = [unit for unit in units if _waits(desk, document_id, unit)]
    for unit in waiting or units:
        await desk.parts.service.receipt(document_id, decision.model_copy(update={"unit": unit}), "")


async def _processing(desk: Desk, document_id: str, units: list[str]) -> None:
    now = desk.parts.clock.now()

    def change(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR REPLACE INTO vxp_processing (document_id, unit, at) VALUES (?, ?, ?)",
            [(document_id, unit, now) for unit in units],
        )

    await desk.parts.store.write(change)


RECEIVED: Final = (
    Operation("getReceivedEdocList", received_list),
    Operation("countReceiveEdoc", count_documents, methods=("GET", "POST")),
    Operation("countReceiveStatus", count_statuses, methods=("GET", "POST")),
    Operation("getEdoc", get_edoc),
    Operation("downloadEdoc", download_edoc, methods=("GET",), raw=True),
    Operation("updateStatus", update_status),
)
