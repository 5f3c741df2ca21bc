"""What a packet says, once it is read."""

from __future__ import annotations

from dataclasses import dataclass

from axispb.v1 import document_pb2

__all__ = ["Attachment", "DocumentPacket", "StatusPacket"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment, its content unwrapped; `size` in bytes."""

    name: str
    media_type: str
    description: str
    content_id: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class DocumentPacket:
    """A document, a recall, an update or a replacement (`fields.business.doc_type`)."""

    sender: str  # From/OrganId
    recipients: tuple[str, ...]  # To/OrganId
    fields: document_pb2.Fields
    attachments: tuple[Attachment, ...]
    warnings: tuple[str, ...]  # what is odd and kept all the same; English sentences


@dataclass(frozen=True, slots=True)
class StatusPacket:
    """A business status 01 to 16 about a document."""

    sender: str  # From/OrganId: who reports
    addressee: str  # ResponseFor/OrganId
    about: document_pb2.ResponseFor
    staff: document_pb2.Staff
    code: str
    description: str
    timestamp: str  # as sent
    warnings: tuple[str, ...]
