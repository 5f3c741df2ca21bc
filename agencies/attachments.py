"""What headers say of attachments, as both the outbox and the inbox list it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

__all__ = ["AttachmentRow", "put_attachments"]


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """What a header says of one attachment."""

    name: str
    media_type: str
    size: int
    sha256: bytes
    #: In the signed header, not in the table: edXML's words for it, as sent.
    description: str = ""
    content_id: str = ""


def put_attachments(
    connection: sqlite3.Connection, side: str, document_id: str, attachments: tuple[AttachmentRow, ...]
) -> None:
    """Name the contents of a document; repeats change nothing."""
    connection.executemany(
        "INSERT OR IGNORE INTO attachment (side, document_id, number, name, media_type, size, sha256)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (side, document_id, number, item.name, item.media_type, item.size, item.sha256)
            for number, item in enumerate(attachments)
        ],
    )
