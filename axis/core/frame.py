"""Frames: what one append adds to the journal, and the head it leaves.

A frame's hash is the SHA-256 of its stored bytes; each frame holds its predecessor's. Records are numbered
1, 2, 3 … through the journal; a *sequence* is always the number of a record. A head's sequence is that of
its newest record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from axispb.v1 import journal_pb2
from google.protobuf.message import DecodeError

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_RECORDS",
    "MAX_RECORD_BYTES",
    "Frame",
    "FrameInvalid",
    "Head",
    "decode",
    "encode",
]

MAX_RECORDS: Final = 256
MAX_FRAME_BYTES: Final = 512 * 1024
MAX_RECORD_BYTES: Final = 384 * 1024


class FrameInvalid(Exception):
    """Bytes that are no frame, or do not follow their predecessor."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal stands. `Head.empty(journal_id)` before the first frame."""

    journal_id: str
    number: int  # of the newest frame
    sequence: int  # of the newest record
    sha256: bytes  # of the newest frame's bytes
    at: int = 0  # milliseconds since the epoch: the newest frame's time

    @classmethod
    def empty(cls, journal_id: str) -> Head:
        """The head of a journal without frames."""
        return cls(journal_id, 0, 0, bytes(32), 0)

    def __str__(self) -> str:
        """The Axis-Head header: journal id, sequence and frame hash."""
        return f"{self.journal_id}:{self.sequence}:{self.sha256.hex()}"


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame together with the bytes it was stored as."""

    head: Head  # after this frame
    first_sequence: int
    previous_sha256: bytes
    records: tuple[bytes, ...]
    raw: bytes

    @property
    def at(self) -> int:
        """The frame's time, milliseconds since the epoch."""
        return self.head.at


def encode(after: Head, at: int, records: Sequence[bytes]) -> Frame:
    """Build the frame that follows `after`.

    Raises FrameInvalid for no records, too many, one too large, or a frame too large.
    The time never runs backwards: an earlier `at` becomes the predecessor's.
    """
    if not 1 <= len(records) <= MAX_RECORDS:
        raise FrameInvalid(f"a frame holds 1 to {MAX_RECORDS} records, not {len(records)}")
    if any(len(record) > MAX_RECORD_BYTES for record in records):
        raise FrameInvalid(f"a record is over {MAX_RECORD_BYTES} bytes")
    message = journal_pb2.Frame(
        journal_id=after.journal_id,
        number=after.number + 1,
        first_sequence=after.sequence + 1,
        at=max(at, after.at),
        previous_sha256=after.sha256,
        records=records,
    )
    raw = message.SerializeToString(deterministic=True)
    if len(raw) > MAX_FRAME_BYTES:
        raise FrameInvalid(f"a frame of {len(raw)} bytes is over {MAX_FRAME_BYTES}")
    return _frame(message, raw)


def decode(raw: bytes, after: Head) -> Frame:
    """Read stored bytes that must follow `after`; FrameInvalid says what does not fit."""
    message = journal_pb2.Frame()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise FrameInvalid(f"frame {after.number + 1} is not a frame") from error
    checks = (
        ("journal id", message.journal_id == after.journal_id),
        ("number", message.number == after.number + 1),
        ("first sequence", message.first_sequence == after.sequence + 1),
        ("time", message.at >= after.at),
        ("hash of the predecessor", message.previous_sha256 == after.sha256),
        ("count of records", 1 <= len(message.records) <= MAX_RECORDS),
    )
    for what, holds in checks:
        if not holds:
            raise FrameInvalid(f"frame {after.number + 1}: {what} does not fit")
    return _frame(message, raw)


def _frame(message: journal_pb2.Frame, raw: bytes) -> Frame:
    head = Head(
        journal_id=message.journal_id,
        number=message.number,
        sequence=message.first_sequence + len(message.records) - 1,
        sha256=hashlib.sha256(raw).digest(),
        at=message.at,
    )
    return Frame(head, message.first_sequence, message.previous_sha256, tuple(message.records), raw)
