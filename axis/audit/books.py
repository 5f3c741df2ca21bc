"""The audit's own books: what the records say, in plain dictionaries.

Shares no code with the views or with the state that decisions rest on: a defect there must not be able to
excuse itself here. Memory grows with the journal: about 2 KB a document with three recipients.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from axispb.v1 import facts_pb2, journal_pb2

from axis.core.organisation import MAX_LEVELS

__all__ = ["DURATIONS", "Attempt", "Books", "Delivery", "Paper", "Unit", "day_of", "row_hash"]

DURATIONS: Final = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0, float("inf"),
)  # fmt: skip


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=number))


def day_of(at: int) -> str:
    """The day in UTC+07:00."""
    return _day((at + 25_200_000) // 86_400_000)


def row_hash(row: tuple[object, ...]) -> int:
    """64 bits of a row: to compare millions of rows without keeping them. Never 0."""
    return int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest()) or 1


@dataclass(slots=True)
class Unit:
    """A registered unit; `changed` is the sequence of the last record that did something to it."""

    name: str
    parent: str
    old_codes: tuple[str, ...]
    registered: int
    changed: int
    suspended: bool = False
    enrolled: bool = False
    contacts: tuple[str, str, str] = ("", "", "")  # mail, mobile, fax
    suspended_by: str = ""


@dataclass(slots=True)
class Attempt:
    """One attempt of a delivery."""

    host: str
    opened: int
    opened_at: int
    state: str = "in_flight"
    outcome: int = 0
    outcome_at: int = 0
    stored_at: int = 0
    reason: str = ""
    closed_by: bytes = b""  # SHA-256 of the signed bytes that closed it
    late: int = 0
    late_sha256: bytes = b""


@dataclass(slots=True)
class Delivery:
    """All attempts to deliver one document to one unit."""

    ordinal: int
    attempts: list[Attempt]


@dataclass(slots=True)
class Paper:
    """An accepted document or status."""

    sequence: int
    kind: str
    sender: str
    host: str
    subject: str
    number: str
    issuer_document_id: str
    numbering: str
    relation: str
    about: str
    status_code: str
    at: int
    size: int
    urgent: bool
    signed_sha256: bytes
    signature_sha256: bytes
    acceptance_sha256: bytes
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    type_name: str = ""
    originals: tuple[str, ...] = ()  # what a recall, update or replacement names


@dataclass(slots=True)
class Books:
    """Everything the records say, up to the place reached."""

    founded: tuple[journal_pb2.Founded, int] | None = None
    units: dict[str, Unit] = field(default_factory=dict)
    aliases: dict[str, tuple[str, int]] = field(default_factory=dict)
    certificates: dict[bytes, tuple[facts_pb2.CertificateFact, int]] = field(default_factory=dict)
    serials: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    early: dict[str, int] = field(default_factory=dict)  # certified before it was registered → sequence
    registered_by: dict[str, tuple[int, int]] = field(default_factory=dict)  # how many units, newest sequence
    levels: dict[str, tuple[int, int]] = field(default_factory=dict)  # levels ever below it, newest sequence
    tokens: dict[bytes, tuple[journal_pb2.TokenIssued, int]] = field(default_factory=dict)
    enrolments: dict[bytes, tuple[journal_pb2.Enrolled, int]] = field(default_factory=dict)
    moves: dict[tuple[str, str], int] = field(default_factory=dict)  # above once (or empty), unit → sequence
    papers: dict[str, Paper] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)  # sequence of the acceptance → document id
    blobs: dict[bytes, tuple[str, int, int]] = field(default_factory=dict)  # → document id, sequence, size
    feed: dict[tuple[str, bool], array[int]] = field(default_factory=lambda: defaultdict(_sequences))
    daily: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(_nine))
    rejections: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    durations: dict[float, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    listed: dict[str, int] = field(default_factory=dict)  # words found by their beginnings → first sequence
    events: dict[int, int] = field(default_factory=dict)  # sequence → row_hash of its row in the traffic log

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """What axis.core.verify asks for."""
        found = self.certificates.get(sha256)
        return found[0] if found else None

    def primary(self, code: str) -> str:
        """The primary code for any code; empty if nobody has it."""
        return self.aliases.get(code, ("", 0))[0]

    def above(self, code: str) -> Iterator[str]:
        """Every unit above one, nearest first."""
        for _ in range(MAX_LEVELS):
            found = self.units.get(code)
            if found is None or not found.parent:
                return
            code = found.parent
            yield code

    def host(self, code: str) -> str:
        """The nearest unit upwards that has a node; the unit itself where there is none."""
        at = code
        for _ in range(MAX_LEVELS):
            found = self.units.get(at)
            if found is None:
                break
            if found.enrolled:
                return at
            at = found.parent
        return code

    def into_feeds(self, sequence: int, urgent: bool, *organisations: str) -> None:
        """Put a record into feeds, once each."""
        for organisation in set(organisations):
            self.feed[organisation, urgent].append(sequence)


#: Columns of `daily`: see `Books.daily`.
SENT, ADDRESSED, RECEIVED, REFUSED, DEAD, REQUEUED, LATE, BYTES_SENT, BYTES_RECEIVED = range(9)


def _sequences() -> array[int]:
    return array("Q")


def _nine() -> list[int]:
    return [0] * 9
