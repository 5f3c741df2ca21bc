"""The journal's index against the books: unique keys, facts, feeds, and the peaks of the tree."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from axispb.v1 import facts_pb2
from google.protobuf.message import Message

from axis.audit.books import Attempt, Books, Paper
from axis.audit.report import Findings

__all__ = ["check_index"]

_STATES: Final = {
    "in_flight": facts_pb2.DELIVERY_STATE_IN_FLIGHT,
    "received": facts_pb2.DELIVERY_STATE_RECEIVED,
    "refused": facts_pb2.DELIVERY_STATE_REFUSED,
    "dead": facts_pb2.DELIVERY_STATE_DEAD,
}

_LEVELS: Final = "levels-below/"

_Fact = tuple[str, bytes, int]


def check_index(books: Books, connection: sqlite3.Connection, findings: Findings) -> None:
    """Compare everything that decisions rest on with what the records say."""
    _check_keys(books, connection, findings)
    _check_facts(books, connection, findings)
    _check_feed(books, connection, findings)


def check_file(connection: sqlite3.Connection, code: str, findings: Findings) -> None:
    """Have SQLite compare its own indexes with their tables: a row that only an index misses is not found."""
    for (said,) in connection.execute("PRAGMA integrity_check(20)"):
        if said != "ok":
            findings.add(0, code, said)


def stored_root(connection: sqlite3.Connection) -> bytes:
    """The tree head that the stored peaks give."""
    peaks: bytes = connection.execute("SELECT peaks FROM head").fetchone()[0]
    parts = [peaks[start : start + 32] for start in range(0, len(peaks), 32)]
    if not parts:
        return hashlib.sha256(b"").digest()
    node = parts.pop()
    while parts:
        node = hashlib.sha256(b"\x01" + parts.pop() + node).digest()
    return node


def _check_keys(books: Books, connection: sqlite3.Connection, findings: Findings) -> None:
    found = 0
    for key, sequence in _keys(books):
        row = connection.execute("SELECT sequence FROM keys WHERE key = ?", (key,)).fetchone()
        found += row is not None
        if row is None:
            findings.add(sequence, "index_row_missing", f"keys: {key}")
        elif row[0] != sequence:
            findings.add(sequence, "index_row_changed", f"keys: {key} names {row[0]}")
    if connection.execute("SELECT count(*) FROM keys").fetchone()[0] != found:
        expected = {key for key, _ in _keys(books)}
        for key, sequence in connection.execute("SELECT key, sequence FROM keys"):
            if key not in expected:
                findings.add(sequence, "index_row_added", f"keys: {key}")


def _check_facts(books: Books, connection: sqlite3.Connection, findings: Findings) -> None:
    found = 0
    for key, value, sequence in _facts(books):
        row = connection.execute("SELECT value, sequence FROM facts WHERE key = ?", (key,)).fetchone()
        found += row is not None
        if row is None:
            findings.add(sequence, "index_row_missing", f"facts: {key}")
        elif row != (value, sequence):
            findings.add(sequence, "index_row_changed", f"facts: {key}")
    found += _check_levels(books, connection, findings)
    if connection.execute("SELECT count(*) FROM facts").fetchone()[0] != found:
        expected = {key for key, _, _ in _facts(books)} | {f"{_LEVELS}{code}" for code in books.levels}
        for key, sequence in connection.execute("SELECT key, sequence FROM facts"):
            if key not in expected:
                findings.add(sequence, "index_row_added", f"facts: {key}")


def _check_levels(books: Books, connection: sqlite3.Connection, findings: Findings) -> int:
    """How many facts there are of levels below units. A journal that was begun before they were noted lacks
    some, or names fewer levels; none names more.
    """
    found = 0
    for code, (levels, sequence) in books.levels.items():
        key = f"{_LEVELS}{code}"
        row = connection.execute("SELECT value, sequence FROM facts WHERE key = ?", (key,)).fetchone()
        found += row is not None
        fewer = {str(some).encode() for some in range(1, levels)}
        if row is not None and row[0] not in fewer and row != (str(levels).encode(), sequence):
            findings.add(sequence, "index_row_changed", f"facts: {key}")
    return found


def _check_feed(books: Books, connection: sqlite3.Connection, findings: Findings) -> None:
    for organisation, urgent in connection.execute("SELECT DISTINCT organisation, urgent FROM feed"):
        _ = books.feed[organisation, bool(urgent)]  # a lane that should be empty is compared as well
    for (organisation, urgent), sequences in books.feed.items():
        rows = connection.execute(
            "SELECT sequence FROM feed WHERE organisation = ? AND urgent = ? ORDER BY sequence",
            (organisation, int(urgent)),
        )
        stored = [sequence for (sequence,) in rows]
        if stored == sequences.tolist():
            continue
        lane = f"feed of {organisation}, {'urgent' if urgent else 'normal'} lane"
        for sequence in sorted(set(sequences) - set(stored)):
            findings.add(sequence, "index_row_missing", lane)
        for sequence in sorted(set(stored) - set(sequences)):
            findings.add(sequence, "index_row_added", lane)


def _keys(books: Books) -> Iterator[tuple[str, int]]:
    if books.founded:
        yield "founded", books.founded[1]
    for secret, (_, sequence) in books.enrolments.items():
        yield f"enrolled/{secret.hex()}", sequence
    for serial, (_, sequence) in books.serials.items():
        yield f"serial/{serial}", sequence
    for document_id, paper in books.papers.items():
        yield f"accepted/{document_id}", paper.sequence
        for unit, number, attempt in _attempts(paper):
            if attempt.outcome:
                yield f"outcome/{document_id}/{unit}/{number}", attempt.outcome
            if attempt.late:
                yield f"late/{document_id}/{unit}/{number}", attempt.late


def _facts(books: Books) -> Iterator[_Fact]:
    yield from _register_facts(books)
    for sha256, (document_id, sequence, _) in books.blobs.items():
        yield f"blob/{sha256.hex()}", document_id.encode(), sequence
    for document_id, paper in books.papers.items():
        yield from _paper_facts(document_id, paper)


def _register_facts(books: Books) -> Iterator[_Fact]:
    if books.founded:
        yield "founded", _raw(books.founded[0]), books.founded[1]
    for code, unit in books.units.items():
        fact = facts_pb2.UnitFact(
            code=code,
            name=unit.name,
            parent=unit.parent,
            old_codes=unit.old_codes,
            suspended=unit.suspended,
            suspended_by=unit.suspended_by,
            mail=unit.contacts[0],
            mobile=unit.contacts[1],
            fax=unit.contacts[2],
            enrolled=unit.enrolled,
            registered_sequence=unit.registered,
        )
        yield f"unit/{code}", _raw(fact), unit.changed
    for code, (primary, sequence) in books.aliases.items():
        yield f"alias/{code}", _raw(facts_pb2.AliasFact(code=primary)), sequence
    for sha256, (certificate, sequence) in books.certificates.items():
        yield f"certificate/{sha256.hex()}", _raw(certificate), sequence
    for serial, (sha256, sequence) in books.serials.items():
        yield f"serial/{serial}", sha256.hex().encode(), sequence
    for code, sequence in books.early.items():
        yield f"organisation/{code}", b"1", sequence
    for code, (units, sequence) in books.registered_by.items():
        yield f"registered-by/{code}", str(units).encode(), sequence
    for secret, (token, sequence) in books.tokens.items():
        token_fact = facts_pb2.TokenFact(code=token.code, expires_at=token.expires_at)
        yield f"token/{secret.hex()}", _raw(token_fact), sequence
    for secret, (enrolled, sequence) in books.enrolments.items():
        enrolled_fact = facts_pb2.EnrolledFact(
            code=enrolled.code,
            tls_key_sha256=enrolled.tls_key_sha256,
            sign_key_sha256=enrolled.sign_key_sha256,
            tls_serial=enrolled.tls_serial,
            sign_serial=enrolled.sign_serial,
        )
        yield f"enrolled/{secret.hex()}", _raw(enrolled_fact), sequence


def _paper_facts(document_id: str, paper: Paper) -> Iterator[_Fact]:
    fact = facts_pb2.DocumentFact(
        kind=paper.kind,
        accepted_sequence=paper.sequence,
        sender_unit=paper.sender,
        sender_host=paper.host,
        signed_sha256=paper.signed_sha256,
        signature_sha256=paper.signature_sha256,
        acceptance_sha256=paper.acceptance_sha256,
        accepted_at=paper.at,
        urgent=paper.urgent,
        about_document_id=paper.about,
        bytes=paper.size,
    )
    yield f"document/{document_id}", _raw(fact), paper.sequence
    for unit, delivery in paper.deliveries.items():
        latest = delivery.attempts[-1]
        delivery_fact = facts_pb2.DeliveryFact(
            unit=unit,
            host=latest.host,
            attempt=len(delivery.attempts),
            state=_STATES[latest.state],
            opened_at=latest.opened_at,
            outcome_sequence=latest.outcome,
            hosts=[attempt.host for attempt in delivery.attempts],
        )
        yield f"delivery/{document_id}/{unit}", _raw(delivery_fact), latest.outcome or latest.opened
        # Two attempts opened in the same millisecond share a key: the later one's value stands.
        opened = {
            f"delivery-open/{attempt.opened_at:013d}/{document_id}/{unit}": attempt
            for attempt in delivery.attempts
        }
        for key, attempt in opened.items():
            yield key, b"" if attempt.outcome else b"1", attempt.outcome or attempt.opened
    for unit, number, attempt in _attempts(paper):
        if attempt.outcome:
            outcome = facts_pb2.OutcomeFact(
                state=_STATES[attempt.state],
                sequence=attempt.outcome,
                signed_sha256=attempt.closed_by,
                late_signed_sha256=attempt.late_sha256,
                late_sequence=attempt.late,
            )
            yield f"outcome/{document_id}/{unit}/{number}", _raw(outcome), attempt.late or attempt.outcome


def _attempts(paper: Paper) -> Iterator[tuple[str, int, Attempt]]:
    for unit, delivery in paper.deliveries.items():
        for number, attempt in enumerate(delivery.attempts, 1):
            yield unit, number, attempt


def _raw(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
