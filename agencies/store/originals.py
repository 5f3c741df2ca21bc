"""Recalls, updates and replacements at this node: which document each speaks of, and what repeats a number.

They are tied when somebody looks: a recall that overtakes its original in the urgent lane is tied as soon as
that comes. Documents that the axis refused, and received ones that failed to verify, do not count.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final, cast

from axispb.v1 import document_pb2

from agencies.store.database import Store
from agencies.times import rfc3339
from agencies.units import Primary
from axis.core.envelope import Envelope, Kind, parse
from axis.core.references import Candidate, numbering, original, references, relation

__all__ = [
    "flags_of",
    "keep_issued",
    "meant_by",
    "named_document",
    "originals_of",
    "related_to",
    "shown_related",
    "units_of",
]

Json = dict[str, Any]

#: Documents of one sender about one of its own; beyond, they are not looked at.
_RELATED: Final = 200

_COUNTS: Final = (
    "NOT EXISTS (SELECT 1 FROM sent s WHERE s.document_id = i.document_id AND s.state = 'rejected')"
)


def keep_issued(connection: sqlite3.Connection, envelope: Envelope, sender: str, at: int) -> None:
    """Note how a document is named and numbered, and what it names; repeats change nothing.

    `sender`: its primary code, which a unit keeps for ever.
    """
    document = cast(document_pb2.Document, parse(envelope.signed, Kind.DOCUMENT))
    fields = document.fields
    connection.execute(
        "INSERT OR IGNORE INTO issued (document_id, sender_unit, issuer_document_id, numbering, relation, at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            document.document_id,
            sender,
            fields.issuer_document_id,
            numbering(fields, at),
            relation(fields),
            at,
        ),
    )
    named = references(fields)
    if named:
        connection.executemany(
            "INSERT OR IGNORE INTO reference (document_id, named) VALUES (?, ?)",
            [(document.document_id, name) for name in named],
        )


def originals_of(store: Store, document_id: str) -> list[Json]:
    """What a document speaks of: [{"relation", "issuer_document_id", "document_id", "flag"}]."""
    row = store.row("SELECT * FROM issued WHERE document_id = ?", document_id)
    if row is None or not row["relation"]:
        return []
    named = store.rows("SELECT named FROM reference WHERE document_id = ? ORDER BY named", document_id)
    found = []
    for name in [each["named"] for each in named] or [""]:
        tied, flag = _original(store, row, name)
        found.append(
            {
                "relation": row["relation"],
                "issuer_document_id": name,
                "document_id": tied or None,
                "flag": flag or None,
            }
        )
    return found


def _original(store: Store, speaking: sqlite3.Row, name: str) -> tuple[str, str]:
    """Found by name and sender, so that nobody hides an original by sending others with its name."""
    bears = "((issuer_document_id = ? AND issuer_document_id <> '') OR document_id = ?) AND document_id <> ?"
    found: list[Candidate] = []
    for whose, most in (("=", 2), ("<>", 1)):
        rows = store.rows(
            f"SELECT document_id, sender_unit FROM issued i WHERE {bears} AND sender_unit {whose} ?"
            f" AND {_COUNTS} LIMIT {most}",
            name,
            name,
            speaking["document_id"],
            speaking["sender_unit"],
        )
        found += [Candidate(row["document_id"], row["sender_unit"]) for row in rows]
    return original(found, speaking["sender_unit"])


def named_document(store: Store, side: str, sender: str, about: document_pb2.ResponseFor) -> tuple[str, bool]:
    """The one document of a sender, `sent` or `received` here, that a status names; whether it is urgent.

    By the issuer's DocumentId or ours, and the number where it is given; by number and year where no id is.
    ("", False) where none fits, or several.
    """
    if about.document_id:
        which = (
            "((i.issuer_document_id = ? AND i.issuer_document_id <> '') OR i.document_id = ?)"
            " AND (t.code_number = ? OR ? = '')"
        )
        values: tuple[str, ...] = (about.document_id, about.document_id, about.code, about.code)
    else:
        which = "i.numbering = ? AND i.numbering <> ''"
        values = (f"{about.promulgation_date[:4]}/{about.code}",)
    rows = store.rows(
        f"SELECT i.document_id, t.urgent FROM issued i JOIN {side} t USING (document_id)"
        f" WHERE {which} AND i.sender_unit = ? AND {_COUNTS} LIMIT 2",
        *values,
        sender,
    )
    return (str(rows[0]["document_id"]), bool(rows[0]["urgent"])) if len(rows) == 1 else ("", False)


def related_to(store: Store, document_id: str) -> list[Json]:
    """Later documents that speak of this one, in order: [{"document_id", "relation", "at"}]."""
    issued = store.row("SELECT * FROM issued WHERE document_id = ?", document_id)
    if issued is None:
        return []
    rows = store.rows(
        "SELECT DISTINCT i.*, r.named FROM reference r JOIN issued i USING (document_id)"
        " WHERE r.named IN (?, ?) AND r.named <> '' AND i.document_id <> ? AND i.sender_unit = ?"
        f" AND {_COUNTS}"
        " ORDER BY i.at, i.document_id LIMIT ?",
        issued["issuer_document_id"],
        document_id,
        document_id,
        issued["sender_unit"],
        _RELATED,
    )
    found: dict[str, Json] = {}
    for row in rows:
        if _original(store, row, row["named"])[0] == document_id:
            at = row["at"]
            found[row["document_id"]] = {
                "document_id": row["document_id"],
                "relation": row["relation"],
                "at": at,
            }
    return list(found.values())


def meant_by(store: Store, document_id: str) -> list[str]:
    """The documents that an answer to this one is about: a recall's or update's originals, else itself."""
    tied = [str(each["document_id"]) for each in originals_of(store, document_id) if each["document_id"]]
    return tied or [document_id]


def units_of(store: Store, document_id: str, primary: Primary) -> set[str]:
    """The primary codes of a document's receivers, as far as this node knows them."""
    units = {row["unit"] for row in store.rows("SELECT unit FROM receipt WHERE document_id = ?", document_id)}
    sent = store.row("SELECT recipients FROM sent WHERE document_id = ?", document_id)
    if sent is not None:
        units.update(primary(code) for code in json.loads(sent["recipients"]))
    return units


def flags_of(store: Store, document_id: str) -> list[str]:
    """What a clerk should know (Decree 30/2020, annex VI): never a reason to refuse.

    `repeated_issuer_document_id`, `repeated_number` (same issuer and year), and why an original is not tied.
    """
    row = store.row("SELECT * FROM issued WHERE document_id = ?", document_id)
    if row is None:
        return []
    flags = []
    if row["issuer_document_id"] and store.row(
        "SELECT 1 FROM issued i WHERE issuer_document_id = ? AND issuer_document_id <> ''"
        f" AND document_id <> ? AND {_COUNTS} LIMIT 1",
        row["issuer_document_id"],
        document_id,
    ):
        flags.append("repeated_issuer_document_id")
    if row["numbering"] and store.row(
        "SELECT 1 FROM issued i WHERE numbering = ? AND numbering <> '' AND sender_unit = ?"
        f" AND document_id <> ? AND {_COUNTS} LIMIT 1",
        row["numbering"],
        row["sender_unit"],
        document_id,
    ):
        flags.append("repeated_number")
    originals = originals_of(store, document_id)
    return flags + list(dict.fromkeys(each["flag"] for each in originals if each["flag"]))


def shown_related(related: list[Json]) -> list[Json]:
    """The same with times as JSON has them."""
    return [each | {"at": rfc3339(each["at"])} for each in related]
