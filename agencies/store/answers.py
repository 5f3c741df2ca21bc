"""Idempotency keys: what was answered to each, and to what content."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from agencies.attachments import AttachmentRow
from agencies.store.database import Store
from axis.core.errors import Refusal

__all__ = ["answer_in", "content_hash", "keep_answer", "stored_answer"]

Json = dict[str, Any]

_KEY_LIMIT: Final = 255


def stored_answer(store: Store, scope: str, key: str, content: bytes) -> Json | None:
    """What was answered to this key. Refusal `idempotency_conflict` if that was for other content."""
    if len(key) > _KEY_LIMIT:
        raise Refusal("field_invalid", f"Idempotency-Key: at most {_KEY_LIMIT} characters")
    if not key:
        return None
    return _answer(store.row("SELECT * FROM idempotency WHERE scope = ? AND key = ?", scope, key), content)


def content_hash(raw: object, files: Sequence[AttachmentRow]) -> bytes:
    """What "the same content" means: equal JSON values, the same list of (name, media type, SHA-256)."""
    listed = [[file.name, file.media_type, file.sha256.hex()] for file in files]
    text = json.dumps([_plain(raw), listed], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _plain(value: object) -> object:
    """JSON values by what they equal: 1.0 is 1."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _answer(row: sqlite3.Row | None, content: bytes) -> Json | None:
    if row is None:
        return None
    if row["content_sha256"] != content:
        raise Refusal("idempotency_conflict")
    stored: Json = json.loads(row["answer"])
    return stored


def answer_in(connection: sqlite3.Connection, scope: str, key: str, content: bytes) -> Json | None:
    """The same within a transaction."""
    if not key:
        return None
    row = connection.execute("SELECT * FROM idempotency WHERE scope = ? AND key = ?", (scope, key)).fetchone()
    return _answer(row, content)


def keep_answer(
    connection: sqlite3.Connection, scope: str, key: str, content: bytes, answer: Json, now: int
) -> None:
    """Remember what was answered; nothing without a key."""
    if key:
        connection.execute(
            "INSERT INTO idempotency (scope, key, content_sha256, answer, created_at) VALUES (?, ?, ?, ?, ?)",
            (scope, key, content, json.dumps(answer), now),
        )
