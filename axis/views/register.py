"""The register and the certificates in the views: rare changes, written at once.

A later record of the same batch resolves codes through them. What happened below units that others came
below, or left, is counted anew by `settle`, before anything is added to it.
"""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from typing import Final

from axispb.v1 import journal_pb2
from cryptography import x509

from axis.core.organisation import MAX_LEVELS
from axis.views.queries import query

__all__ = ["Register"]

_REMEMBERED: Final = 50_000


class Register:
    """Units, their codes and certificates, over one connection. The caller owns the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._primary: dict[str, str] = {}
        self._lines: dict[str, tuple[str, ...]] = {}
        self._unsettled: dict[str, bool] = {}  # units below which others stand now; whether with volumes

    def registered(self, unit: journal_pb2.UnitRegistered, sequence: int) -> None:
        """A unit is new, or its name, parent or old codes changed."""
        known, before = self._note_move(unit.code, unit.parent), self.above(unit.code)
        self.forget()
        self._connection.execute(
            "INSERT INTO units VALUES (?1, ?2, ?3, ?4, 0,"
            " EXISTS (SELECT 1 FROM certificates WHERE organisation = ?1), ?5, 0)"
            " ON CONFLICT DO UPDATE SET name = excluded.name,"
            " parent = excluded.parent, old_codes = excluded.old_codes",
            (unit.code, unit.name, unit.parent, json.dumps(list(unit.old_codes)), sequence),
        )
        self._connection.execute("DELETE FROM aliases WHERE unit = ?", (unit.code,))
        self._connection.executemany(
            "INSERT OR REPLACE INTO aliases VALUES (?,?)",
            [(code, unit.code) for code in (unit.code, *unit.old_codes)],
        )
        for code in {*before} ^ {*self.above(unit.code)}:
            self._unsettled[code] = known or self._unsettled.get(code, False)

    def suspended(self, code: str, suspended: bool) -> None:
        """A unit was suspended or resumed."""
        self._connection.execute("UPDATE units SET suspended = ? WHERE code = ?", (suspended, code))

    def enrolled(self, code: str) -> None:
        """A unit has a node."""
        self._connection.execute("UPDATE units SET enrolled = 1 WHERE code = ?", (code,))

    def issued(self, body: journal_pb2.CertificateIssued, sequence: int) -> None:
        """A certificate counts from here on."""
        certificate = x509.load_der_x509_certificate(body.certificate)
        validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        self._connection.execute(
            "INSERT OR IGNORE INTO certificates VALUES (?,?,?,?,?,?,?,?,0,0,'')",
            (
                sha256(body.certificate).digest(),
                body.organisation,
                body.usage,
                body.serial,
                body.hierarchy,
                *(round(moment.timestamp() * 1000) for moment in validity),
                sequence,
            ),
        )
        self.enrolled(body.organisation)  # whoever holds a certificate has a node

    def revoked(self, body: journal_pb2.CertificateRevoked, sequence: int) -> str:
        """A certificate no longer counts. Answers whose it was, empty if unknown."""
        self._connection.execute(
            "UPDATE certificates SET revoked_sequence = ?, revoked_at = ?, reason = ? WHERE sha256 = ?",
            (sequence, body.revoked_at, body.reason, body.certificate_sha256),
        )
        row = self._connection.execute(
            "SELECT organisation FROM certificates WHERE sha256 = ?", (body.certificate_sha256,)
        ).fetchone()
        return str(row[0]) if row else ""

    def resolve(self, code: str) -> str:
        """The primary code for any code; the code itself where nothing is registered."""
        primary = self._primary.get(code)
        if primary is None:
            row = self._connection.execute("SELECT unit FROM aliases WHERE code = ?", (code,)).fetchone()
            primary = str(row[0]) if row else code
            if len(self._primary) >= _REMEMBERED:
                self._primary.clear()
            self._primary[code] = primary
        return primary

    def above(self, code: str) -> tuple[str, ...]:
        """Everything above a unit now, nearest first; nothing where the code is not registered."""
        found = self._lines.get(code)
        if found is None:
            rows = self._connection.execute(query("ancestors"), {"code": code, "levels": MAX_LEVELS})
            found = tuple(str(ancestor) for (ancestor,) in rows)
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            self._lines[code] = found
        return found

    def line(self, code: str) -> tuple[str, ...]:
        """A unit and everything above it now, nearest first; the code alone where nothing is registered."""
        return (code, *self.above(code))

    def settle(self) -> None:
        """Count anew what is below units that others came below, or left; the deepest first."""
        unsettled, self._unsettled = self._unsettled, {}
        for code in sorted(unsettled, key=lambda code: -len(self.above(code))):
            unit = {"unit": code}
            self._connection.execute(query("count_units_below"), unit)
            if unsettled[code]:
                for name in ("daily", "monthly"):
                    self._connection.execute(f"DELETE FROM {name} WHERE unit = :unit AND below = 1", unit)
                self._connection.execute(query("add_days_below"), unit)
                self._connection.execute(query("add_months_below"), unit)

    def forget(self) -> None:
        """Drop what is remembered: the tables changed."""
        self._primary.clear()
        self._lines.clear()

    def reset(self) -> None:
        """Drop everything: the transaction was rolled back, or the views were emptied."""
        self.forget()
        self._unsettled.clear()

    def _note_move(self, code: str, parent: str) -> bool:
        """Whether the unit is known; where it moves, what it stood below is kept."""
        row = self._connection.execute("SELECT parent FROM units WHERE code = ?", (code,)).fetchone()
        if row is not None and row[0] != parent:
            self._connection.executemany(
                "INSERT OR IGNORE INTO moves VALUES (?,?)",
                [(code, ancestor) for ancestor in self.above(code) or [""]],
            )
        return row is not None
