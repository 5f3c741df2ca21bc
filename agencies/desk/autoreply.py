"""A simulated counterpart: says statuses about what comes, so that an adapter's developer sees an exchange.

Only where the node was started with `--autoreply`: a node never says a business status unasked otherwise.
What was said stands in the store, under idempotency keys, so a restart goes on where it was and says nothing
twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agencies.desk.requests import StatusInput
from agencies.desk.statuses import Statuses
from agencies.events import Events
from agencies.store.database import Store
from axis.core.errors import Refusal
from axis.logs import get_logger, new_trace_id
from axis.ports import Clock

__all__ = ["AutoReply", "parse_codes"]

_IDLE_SECONDS: Final = 60.0
_AT_ONCE: Final = 100
_CODE: Final = re.compile(r"01|02|03|04|05|06|15|16")


def parse_codes(text: str) -> tuple[str, ...]:
    """`01,03,06`; ValueError for what a receiver cannot say."""
    codes = tuple(code.strip() for code in text.split(",") if code.strip())
    wrong = [code for code in codes if not _CODE.fullmatch(code)]
    if wrong or not codes:
        raise ValueError(f"{', '.join(wrong) or text!r}: a receiver says 01 to 06, 15 or 16")
    return codes


class AutoReply:
    """Answers every document with the same statuses, each after a delay."""

    def __init__(
        self,
        codes: Sequence[str],
        *,
        store: Store,
        statuses: Statuses,
        events: Events,
        clock: Clock,
        delay_seconds: float = 1.0,
    ) -> None:
        self._codes = codes
        self._store = store
        self._statuses = statuses
        self._events = events
        self._clock = clock
        self._delay_seconds = delay_seconds

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            newest = self._events.newest
            waiting = self._waiting()
            if not waiting:
                await self._events.beyond(newest, _IDLE_SECONDS)
                continue
            # One step for every document in each round: a long queue holds nobody back.
            await self._clock.sleep(self._delay_seconds)
            for document_id, code in waiting:
                await self._say(document_id, code)

    def _waiting(self) -> list[tuple[str, str]]:
        """The next status of each document that lacks one."""
        found: dict[str, str] = {}
        for code in self._codes:
            rows = self._store.rows(
                "SELECT document_id FROM received d WHERE kind = 'document' AND failure = ''"
                " AND NOT EXISTS (SELECT 1 FROM status s WHERE s.about = d.document_id AND s.code = ?"
                " AND s.side = 'sent') ORDER BY number DESC LIMIT ?",
                code,
                _AT_ONCE,
            )
            for row in rows:
                found.setdefault(row["document_id"], code)
        return list(found.items())

    async def _say(self, document_id: str, code: str) -> None:
        given = StatusInput(code=code, note="")  # type: ignore[arg-type]
        try:
            await self._statuses.say(
                "received", document_id, given, f"autoreply {document_id} {code}", new_trace_id()
            )
        except Refusal as refusal:
            get_logger().warning("autoreply_refused", document_id=document_id, code=refusal.name)
