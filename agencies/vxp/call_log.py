"""The log of calls: what `agency vxp log` shows, and why a call failed.

The newest calls are kept. Those that failed to authenticate are counted apart, and at most 60 a minute are
kept, so that nobody outside can push the known systems' calls out of the log, or keep the disk busy. Bodies
and secrets are never in it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from agencies.store.database import Store
from agencies.times import rfc3339
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["Call", "CallLog"]

_KEPT: Final = {True: 10_000, False: 1_000}
_MOST_TEXT: Final = 300
_STRANGERS_A_MINUTE: Final = 60
_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class Call:
    """One call; the fields are filled in while it is served."""

    at: int  # milliseconds since the epoch
    operation: str
    remote: str  # the caller's address
    system_id: str = ""  # as claimed, where it is not authenticated
    authenticated: bool = False
    document_id: str = ""
    code: str = ""  # our stable code; empty for a call that was served
    error_code: int = 0  # the reply's
    detail: str = ""
    skew_ms: int | None = None
    milliseconds: int = 0  # until the reply was given


class CallLog:
    """The table `vxp_call`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._minute = 0
        self._strangers = 0

    async def note(self, call: Call) -> None:
        """Keep a call. Where there is no room the call is only in the node's own log."""
        get_logger().info(
            "vxp_call",
            operation=call.operation,
            system_id=call.system_id[:_MOST_TEXT],
            document_id=call.document_id,
            code=call.code,
            skew_ms=call.skew_ms,
            milliseconds=call.milliseconds,
        )
        if not call.authenticated and self._is_flood(call.at):
            return
        row = (
            call.at,
            _text(call.operation),
            call.remote,
            _text(call.system_id),
            int(call.authenticated),
            _text(call.document_id),
            call.code,
            call.error_code,
            _text(call.detail),
            call.skew_ms,
            call.milliseconds,
        )

        def change(connection: sqlite3.Connection) -> None:
            added = connection.execute(
                "INSERT INTO vxp_call (at, operation, remote, system_id, authenticated, document_id, code,"
                " error_code, detail, skew_ms, milliseconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            if added.lastrowid is not None and added.lastrowid % 100 == 0:
                for authenticated, kept in _KEPT.items():
                    connection.execute(
                        "DELETE FROM vxp_call WHERE authenticated = ? AND number <= (SELECT number"
                        " FROM vxp_call WHERE authenticated = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                        (int(authenticated), int(authenticated), kept),
                    )

        try:
            await self._store.write(change)
        except Refusal as refusal:
            get_logger().warning("vxp_call_not_kept", code=refusal.name)

    def _is_flood(self, at: int) -> bool:
        minute = at // _MINUTE_MS
        if minute != self._minute:
            self._minute, self._strangers = minute, 0
        self._strangers += 1
        return self._strangers > _STRANGERS_A_MINUTE

    def recent(self, limit: int, *, system_id: str = "", failed: bool = False) -> list[dict[str, Any]]:
        """The newest calls, the newest last."""
        rows = self._store.rows(
            "SELECT * FROM vxp_call WHERE (system_id = ? OR ? = '') AND (code <> '' OR NOT ?)"
            " ORDER BY number DESC LIMIT ?",
            system_id,
            system_id,
            failed,
            limit,
        )
        return [
            {
                "at": rfc3339(row["at"]),
                "system_id": row["system_id"],
                "authenticated": bool(row["authenticated"]),
                "operation": row["operation"],
                "document_id": row["document_id"],
                "status": "FAIL" if row["code"] else "OK",
                "error_code": row["error_code"],
                "code": row["code"],
                "detail": row["detail"],
                "remote": row["remote"],
                "skew_seconds": None if row["skew_ms"] is None else row["skew_ms"] / 1000,
                "milliseconds": row["milliseconds"],
            }
            for row in reversed(rows)
        ]


def _text(text: str) -> str:
    """What a caller has chosen, so that it can be stored."""
    return text[:_MOST_TEXT].encode("utf-8", "replace").decode()
