"""The frames as they are stored: bytes, chain, numbering, and the RFC 9162 tree over the records.

Reads the table of frames and nothing else of the journal's own code. After a bad frame it goes on with what
the next one says of itself, so that one damaged place does not hide another.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from axispb.v1 import journal_pb2
from google.protobuf.message import DecodeError

from axis.audit.report import Findings

__all__ = ["Chain", "Stored", "Tree"]

_BATCH: Final = 64
_FRAME_BYTES: Final = 512 * 1024
_RECORD_BYTES: Final = 384 * 1024
_RECORDS: Final = 256


@dataclass(frozen=True, slots=True)
class Stored:
    """A frame that could be read: its records with their places."""

    number: int
    first: int
    at: int
    records: tuple[bytes, ...]


@dataclass(slots=True)
class Tree:
    """RFC 9162, 2.1.1: complete subtrees as (height, hash), merged while their heights are equal."""

    size: int = 0
    stack: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, record: bytes) -> None:
        """Add a leaf."""
        height, node = 0, hashlib.sha256(b"\x00" + record).digest()
        while self.stack and self.stack[-1][0] == height:
            node = hashlib.sha256(b"\x01" + self.stack.pop()[1] + node).digest()
            height += 1
        self.stack.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """The tree head."""
        if not self.stack:
            return hashlib.sha256(b"").digest()
        node = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node


class Chain:
    """Walks the frames in order and remembers where it stands."""

    def __init__(self, connection: sqlite3.Connection, journal_id: str, findings: Findings) -> None:
        self._connection = connection
        self._findings = findings
        self.journal_id = journal_id
        self.tree = Tree()
        self.number = 0
        self.sequence = 0
        self.sha256 = bytes(32)
        self.at = 0
        self._trusted = True  # the frame at `number` is the one that was stored

    def walk(self, until: int) -> Iterator[Stored]:
        """The frames after the place reached, up to number `until`."""
        while True:
            # One statement a batch: a long audit must not keep the writer's WAL from being reused.
            rows = self._connection.execute(
                "SELECT number, first_sequence, last_sequence, at, sha256, raw FROM frames"
                " WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
                (self.number, until, _BATCH),
            ).fetchall()
            if not rows:
                return
            for number, first, last, at, sha256, raw in rows:
                frame = self._read(number, (first, last, at, sha256), raw)
                if frame is not None:
                    yield frame

    def _read(self, number: int, index: tuple[int, int, int, bytes], raw: bytes) -> Stored | None:
        first, last, at, indexed_sha256 = index
        sha256 = hashlib.sha256(raw).digest()
        place = f"frame {number} (records {first} to {last})"
        if number != self.number + 1:
            missing = f"frame {self.number + 1}" + (f" to {number - 1}" if number > self.number + 2 else "")
            detail = f"{missing}, records {self.sequence + 1} to {first - 1}: not there"
            self._problem(self.sequence + 1, "frame_missing", detail)
        changed = sha256 != indexed_sha256
        if changed:
            self._problem(first, "frame_changed", f"{place}: not the bytes that were appended")
        message = journal_pb2.Frame()
        try:
            message.ParseFromString(raw)
        except DecodeError:
            message.Clear()
            self._problem(first, "frame_malformed", f"{place}: not a frame")
        else:
            self._check(message, number, index, place, len(raw))
        records = tuple(message.records)
        for record in records:
            self.tree.add(record)
        self.number, self.sequence, self.at = number, last, max(at, self.at)
        self.sha256, self._trusted = sha256, not changed
        return Stored(number, first, at, records) if records else None

    def _check(
        self,
        message: journal_pb2.Frame,
        number: int,
        index: tuple[int, int, int, bytes],
        place: str,
        size: int,
    ) -> None:
        first, last, at, _ = index
        whole = number == self.number + 1
        checks = (
            ("frame_invalid", "journal id", message.journal_id == self.journal_id),
            ("frame_invalid", "number", message.number == number),
            ("frame_invalid", "first sequence", message.first_sequence == first),
            ("frame_invalid", "count of records", 1 <= len(message.records) <= _RECORDS),
            ("frame_invalid", "last sequence", first + len(message.records) - 1 == last),
            ("frame_invalid", "time", message.at == at and at >= self.at),
            (
                "frame_invalid",
                "size",
                size <= _FRAME_BYTES and all(len(r) <= _RECORD_BYTES for r in message.records),
            ),
            ("frame_invalid", "place after its predecessor", not whole or first == self.sequence + 1),
            # A predecessor that is known to be changed was named already.
            (
                "chain_broken",
                "hash of the predecessor",
                not whole or not self._trusted or message.previous_sha256 == self.sha256,
            ),
        )
        for code, what, holds in checks:
            if not holds:
                self._problem(first, code, f"{place}: {what} does not fit")

    def _problem(self, sequence: int, code: str, detail: str) -> None:
        self._findings.add(sequence, code, detail)
