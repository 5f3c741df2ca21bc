"""Document ids that remember the idempotency key that they were made for.

The part of an id that would be random is a keyed hash of the idempotency key instead, under a secret that
only this home and its copies have. So a home restored from an older copy, which has lost what it answered to
a key, still finds the document among those that the axis holds, and sends it no second time. To anybody
without the secret such an id looks like any other.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from typing import Final

from agencies.store.database import Store, get_setting, set_setting
from axis.core.document import new_document_id

__all__ = ["ensure_secret", "found_document", "id_randomness", "keep_found"]

_SECRET: Final = "key_secret"  # noqa: S105 - a setting's name
_BYTES: Final = 10
#: Where rows of `idempotency` are about documents found again, by the end of their id.
_FOUND: Final = "found"
#: Of a UUIDv7 as text: what comes before this is the time and the version.
_TIME_CHARACTERS: Final = 15


def ensure_secret(connection: sqlite3.Connection) -> None:
    """Make the home's secret, once."""
    if not get_setting(connection, _SECRET):
        set_setting(connection, _SECRET, secrets.token_hex(32))


def id_randomness(store: Store, scope: str, key: str, number: int = 0) -> bytes:
    """The bytes for a new id: the same for the same key; fresh ones without a key.

    `number`: of several documents that are handed in under one key.
    """
    secret = bytes.fromhex(store.setting(_SECRET))
    if not key or not secret:
        return secrets.token_bytes(_BYTES)
    message = "\0".join((scope, str(number), key)).encode("utf-8", "surrogatepass")
    return hmac.digest(secret, message, hashlib.sha256)[:_BYTES]


def keep_found(connection: sqlite3.Connection, document_id: str, created_at: int) -> None:
    """Remember that a document of ours was found at the axis; kept as long as answers to keys are."""
    connection.execute(
        "INSERT OR IGNORE INTO idempotency (scope, key, content_sha256, answer, created_at)"
        " VALUES (?, ?, x'', ?, ?)",
        (_FOUND, document_id[_TIME_CHARACTERS:], document_id, created_at),
    )


def found_document(store: Store, randomness: bytes) -> str | None:
    """The id of a document that was made from these bytes before the copy was lost, if the axis has it."""
    row = store.row(
        "SELECT answer FROM idempotency WHERE scope = ? AND key = ?",
        _FOUND,
        new_document_id(0, randomness)[_TIME_CHARACTERS:],
    )
    return str(row["answer"]) if row is not None else None
