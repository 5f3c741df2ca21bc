"""The calling systems: who may use the API, for whom, and with which secrets.

A secret is kept as it is, because an HMAC is computed with it: in the store, which only the node's owner can
read, and nowhere else. It is shown once, when it is made.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from agencies.store.database import Store
from agencies.times import DAY_MS, rfc3339
from agencies.vxp.authentication import System
from axis.core.errors import Refusal
from axis.ports import Clock

__all__ = ["Systems"]

Json = dict[str, Any]

_SYSTEM_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
#: Both secrets are valid for so long after a rotation.
_OVERLAP_MS: Final = DAY_MS


class Systems:
    """The table `vxp_system`. Codes of organisations are primary codes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        #: system id → its row's values; read from the store once, changed with it.
        self._known = {row["system_id"]: dict(row) for row in store.rows("SELECT * FROM vxp_system")}
        #: Every organisation that some system acts for.
        self.organisations = self._all_organisations()

    def _all_organisations(self) -> frozenset[str]:
        return frozenset(code for row in self._known.values() for code in json.loads(row["organisations"]))

    def find(self, system_id: str) -> System | None:
        """A system with the secrets that are valid now."""
        row = self._known.get(system_id)
        if row is None:
            return None
        valid = [row["secret"]]
        if row["previous_until"] > self._clock.now():
            valid.append(row["previous_secret"])
        return System(system_id, tuple(json.loads(row["organisations"])), tuple(valid))

    def list(self) -> list[Json]:
        """Every system, by id, without its secrets."""
        return [
            {
                "system_id": system_id,
                "organisations": json.loads(row["organisations"]),
                "created_at": rfc3339(row["created_at"]),
                "rotated_at": rfc3339(row["rotated_at"]),
                "previous_secret_until": rfc3339(row["previous_until"]),
            }
            for system_id, row in sorted(self._known.items())
        ]

    async def add(self, system_id: str, organisations: Sequence[str]) -> Json:
        """A new system. {"system_id", "secret"}. Refusal `field_invalid`, `system_exists`."""
        if not _SYSTEM_ID.fullmatch(system_id):
            raise Refusal("field_invalid", "system_id: 1 to 64 letters, digits and . _ @ - are possible")
        row = {
            "system_id": system_id,
            "organisations": json.dumps(sorted(set(organisations))),
            "secret": secrets.token_urlsafe(32),
            "previous_secret": "",
            "previous_until": 0,
            "created_at": self._clock.now(),
            "rotated_at": 0,
        }

        def change(connection: sqlite3.Connection) -> bool:
            columns = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            added = connection.execute(f"INSERT OR IGNORE INTO vxp_system ({columns}) VALUES ({marks})", row)
            return added.rowcount == 1

        if not await self._store.write(change):
            raise Refusal("system_exists", f"system {system_id}")
        self._known[system_id] = row
        self.organisations = self._all_organisations()
        return {"system_id": system_id, "secret": row["secret"]}

    async def rotate(self, system_id: str) -> Json:
        """A new secret; the one before stays valid for a day. {"system_id", "secret"}."""
        row = self._row(system_id)
        now = self._clock.now()
        new = row | {
            "secret": secrets.token_urlsafe(32),
            "previous_secret": row["secret"],
            "previous_until": now + _OVERLAP_MS,
            "rotated_at": now,
        }

        def change(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE vxp_system SET secret = :secret, previous_secret = :previous_secret,"
                " previous_until = :previous_until, rotated_at = :rotated_at"
                " WHERE system_id = :system_id AND secret = :previous_secret",
                new,
            )
            return changed.rowcount == 1

        if not await self._store.write(change):
            raise Refusal("unavailable", "somebody else changed this system at the same time; try again")
        self._known[system_id] = new
        return {
            "system_id": system_id,
            "secret": new["secret"],
            "previous_secret_until": rfc3339(new["previous_until"]),
        }

    async def remove(self, system_id: str) -> Json:
        """The system may call no more; what it did stays in the log. {"system_id"}."""
        self._row(system_id)
        await self._store.write(
            lambda connection: connection.execute("DELETE FROM vxp_system WHERE system_id = ?", (system_id,))
        )
        self._known.pop(system_id, None)
        self.organisations = self._all_organisations()
        return {"system_id": system_id}

    def _row(self, system_id: str) -> dict[str, Any]:
        row = self._known.get(system_id)
        if row is None:
            raise Refusal("system_unknown", f"system {system_id[:64]} is not registered at this node")
        return row
