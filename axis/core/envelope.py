"""Envelopes: signed bytes that say what they are, with their signature.

Signed bytes are the ASCII line ``axis/v1/<kind>\\n`` followed by the protobuf message of that kind. The
line is checked before anything is parsed, so that a receipt can never pass as a document.

`Envelope` is untrusted. Only `axis.core.verify` makes a `Verified` one.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from axispb.v1 import document_pb2, envelope_pb2, evidence_pb2
from google.protobuf.message import DecodeError, Message

from axis.core.errors import Refusal

__all__ = ["MAX_SIGNATURE_BYTES", "MAX_SIGNED_BYTES", "Envelope", "Kind", "parse", "signed_bytes"]

MAX_SIGNED_BYTES: Final = 256 * 1024
MAX_SIGNATURE_BYTES: Final = 16 * 1024


class Kind(enum.StrEnum):
    """What signed bytes can be."""

    DOCUMENT = "document"
    ACCEPTANCE = "acceptance"
    RECEIPT = "receipt"
    STATUS = "status"
    NOTICE = "notice"

    @property
    def line(self) -> bytes:
        """The first line of signed bytes of this kind."""
        return _LINES[self]


_LINES: Final = {kind: b"axis/v1/" + kind.value.encode("ascii") + b"\n" for kind in Kind}

_KINDS: Final = {line: kind for kind, line in _LINES.items()}

_MESSAGES: Final[dict[Kind, type[Message]]] = {
    Kind.DOCUMENT: document_pb2.Document,
    Kind.ACCEPTANCE: evidence_pb2.Acceptance,
    Kind.RECEIPT: evidence_pb2.Receipt,
    Kind.STATUS: document_pb2.Status,
    Kind.NOTICE: evidence_pb2.Notice,
}


@dataclass(frozen=True)
class Envelope:
    """Bytes and a signature that nobody has checked yet."""

    signed: bytes
    signature: bytes

    @cached_property
    def signed_sha256(self) -> bytes:
        """SHA-256 of the signed bytes: what "the same bytes" means."""
        return hashlib.sha256(self.signed).digest()

    @cached_property
    def signature_sha256(self) -> bytes:
        """SHA-256 of the signature."""
        return hashlib.sha256(self.signature).digest()

    @classmethod
    def from_message(cls, message: envelope_pb2.Envelope) -> Envelope:
        """Take an envelope out of a message that was parsed."""
        return cls(message.signed, message.signature)

    def to_message(self) -> envelope_pb2.Envelope:
        """Put the envelope into a message."""
        return envelope_pb2.Envelope(signed=self.signed, signature=self.signature)

    def kind(self) -> Kind:
        """The kind that the first line claims; Refusal `header_malformed` if it names none."""
        line, newline, _ = self.signed[:32].partition(b"\n")
        kind = _KINDS.get(line + newline)
        if kind is None:
            raise Refusal("header_malformed", "the first line names no kind of this version")
        return kind


def signed_bytes(kind: Kind, message: Message) -> bytes:
    """Serialise a message once, for signing. The result is what is stored and sent for ever."""
    if not isinstance(message, _MESSAGES[kind]):
        raise TypeError(f"{kind} needs {_MESSAGES[kind].__name__}, not {type(message).__name__}")
    return kind.line + message.SerializeToString(deterministic=True)


def parse(signed: bytes, kind: Kind) -> Message:
    """Read signed bytes of the kind that is expected here, and of no other.

    Raises Refusal `header_too_large`, `kind_mismatch` or `header_malformed`, in that order.
    """
    if len(signed) > MAX_SIGNED_BYTES:
        raise Refusal("header_too_large", f"{len(signed)} signed bytes, the limit is {MAX_SIGNED_BYTES}")
    if not signed.startswith(kind.line):
        found = Envelope(signed, b"").kind()
        raise Refusal("kind_mismatch", f"this is a {found}, a {kind} is expected here")
    message = _MESSAGES[kind]()
    try:
        message.ParseFromString(signed[len(kind.line) :])
    except (DecodeError, UnicodeDecodeError) as error:
        raise Refusal("header_malformed", f"not a protobuf {kind}") from error
    return message
