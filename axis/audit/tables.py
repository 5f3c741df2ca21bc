"""What the books expect in each table of the views."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509

from axis.audit.books import Books
from axis.audit.chain import Chain

__all__ = ["VIEWS_VERSION", "Row", "Table", "expected"]

#: Of the rows expected here; a test holds it equal to the views' own.
VIEWS_VERSION: Final = 9

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the views. The first `keys` of its columns are the key."""

    name: str
    columns: str
    keys: int
    row: Callable[[Row], Row | None]  # the other columns of the row with this key
    all_keys: Callable[[], Iterable[Row]]
    place: Callable[[Row], int]  # the sequence that a row belongs to, 0 for none


def expected(books: Books, chain: Chain) -> list[Table]:
    """Every table but the traffic log and the search index."""
    return [
        _position(chain),
        *_register(books),
        _certificates(books),
        _documents(books),
        _originals(books),
        _deliveries(books),
        *_daily(books),
        *_traffic(books),
        *_sums(books),
        *_search(books),
    ]


def _position(chain: Chain) -> Table:
    here = (VIEWS_VERSION, chain.journal_id, chain.number, chain.sequence, chain.sha256, chain.at)
    columns = "id, version, journal_id, frame, sequence, sha256, at"

    def position(key: Row) -> Row | None:
        return here if key == (1,) else None

    return Table("position", columns, 1, position, lambda: [(1,)], lambda _: chain.sequence)


def _register(books: Books) -> list[Table]:
    below: dict[str, int] = defaultdict(int)
    for code in books.units:
        for above in books.above(code):
            below[above] += 1

    def unit(key: Row) -> Row | None:
        found = books.units.get(key[0])
        if found is None:
            return None
        old_codes = json.dumps(list(found.old_codes))
        marks = (int(found.suspended), int(found.enrolled))
        return (found.name, found.parent, old_codes, *marks, found.registered, below.get(key[0], 0))

    def alias(key: Row) -> Row | None:
        primary = books.primary(key[0])
        return (primary,) if primary else None

    def registered(key: Row) -> int:
        found = books.units.get(key[0])
        return found.registered if found else 0

    columns = "code, name, parent, old_codes, suspended, enrolled, registered_sequence, units_below"
    return [
        Table("units", columns, 1, unit, lambda: ((code,) for code in books.units), registered),
        Table(
            "aliases",
            "code, unit",
            1,
            alias,
            lambda: ((code,) for code, (primary, _) in books.aliases.items() if primary),
            lambda key: books.aliases.get(key[0], ("", 0))[1],
        ),
    ]


def _certificates(books: Books) -> Table:
    def certificate(key: Row) -> Row | None:
        fact = books.certificate(key[0])
        if fact is None:
            return None
        parsed = x509.load_der_x509_certificate(fact.certificate)
        begins, ends = parsed.not_valid_before_utc.timestamp(), parsed.not_valid_after_utc.timestamp()
        return (
            fact.organisation,
            fact.usage,
            fact.serial,
            fact.hierarchy,
            round(begins * 1000),
            round(ends * 1000),
            fact.issued_sequence,
            fact.revoked_sequence,
            fact.revoked_at,
            fact.revocation_reason,
        )

    def place(key: Row) -> int:
        fact = books.certificate(key[0])
        return fact.issued_sequence if fact else 0

    columns = (
        "sha256, organisation, usage, serial, hierarchy, not_before, not_after,"
        " issued_sequence, revoked_sequence, revoked_at, reason"
    )
    keys: Callable[[], Iterable[Row]] = lambda: ((sha256,) for sha256 in books.certificates)  # noqa: E731
    return Table("certificates", columns, 1, certificate, keys, place)


def _documents(books: Books) -> Table:
    def document(key: Row) -> Row | None:
        document_id = books.ids.get(key[0])
        if document_id is None:
            return None
        paper = books.papers[document_id]
        return (
            document_id,
            paper.kind,
            paper.sender,
            paper.host,
            paper.subject,
            paper.type_name,
            paper.number,
            paper.issuer_document_id,
            paper.numbering,
            paper.relation,
            paper.about,
            paper.status_code,
            paper.at,
            paper.size,
        )

    columns = (
        "sequence, document_id, kind, sender, host, subject, type_name, number, issuer_document_id,"
        " numbering, relation, about, status_code, accepted_at, bytes"
    )
    keys: Callable[[], Iterable[Row]] = lambda: ((sequence,) for sequence in books.ids)  # noqa: E731
    return Table("documents", columns, 1, document, keys, lambda key: int(key[0]))


def _originals(books: Books) -> Table:
    def named(key: Row) -> Row | None:
        document_id = books.ids.get(key[0])
        return () if document_id and key[1] in books.papers[document_id].originals else None

    def keys() -> Iterable[Row]:
        return (
            (sequence, name)
            for sequence, document_id in books.ids.items()
            for name in books.papers[document_id].originals
        )

    return Table("originals", "document, named", 2, named, keys, lambda key: int(key[0]))


def _deliveries(books: Books) -> Table:
    def attempt(key: Row) -> Row | None:
        sequence, unit, number = key
        document_id = books.ids.get(sequence)
        delivery = books.papers[document_id].deliveries.get(unit) if document_id else None
        if delivery is None or not 1 <= number <= len(delivery.attempts):
            return None
        found = delivery.attempts[number - 1]
        return (
            delivery.ordinal,
            found.host,
            found.state,
            found.opened,
            found.opened_at,
            found.outcome,
            found.outcome_at,
            found.stored_at,
            found.reason,
        )

    def keys() -> Iterable[Row]:
        return (
            (sequence, unit, number)
            for sequence, document_id in books.ids.items()
            for unit, delivery in books.papers[document_id].deliveries.items()
            for number in range(1, len(delivery.attempts) + 1)
        )

    columns = (
        "document, unit, attempt, ordinal, host, state, opened_sequence, opened_at, outcome_sequence,"
        " outcome_at, stored_at, reason"
    )
    return Table("deliveries", columns, 3, attempt, keys, lambda key: int(key[0]))


def _daily(books: Books) -> list[Table]:
    days: dict[Row, list[int]] = defaultdict(lambda: [0] * 9)
    daily: dict[Row, list[int]] = defaultdict(lambda: [0] * 9)
    for (unit, day, kind), row in books.daily.items():
        daily[unit, 0, day, kind] = row
        _add(days[day, kind], row)
        for above in books.above(unit):
            _add(daily[above, 1, day, kind], row)
    months = _monthly(daily)
    counts = "sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received"

    def table(name: str, columns: str, keys: int, rows: Mapping[Row, Sequence[int]]) -> Table:
        def row(key: Row) -> Row | None:
            return tuple(rows[key]) if key in rows else None

        return Table(name, columns, keys, row, lambda: list(rows), lambda _: 0)

    return [
        table("daily", f"unit, below, day, kind, {counts}", 4, daily),
        table("monthly", f"unit, below, kind, month, {counts}, in_flight", 4, months),
        table("days", f"day, kind, {counts}", 2, days),
    ]


def _add(sums: list[int], row: Sequence[int]) -> None:
    for place, more in enumerate(row):
        sums[place] += more


def _monthly(daily: Mapping[Row, Sequence[int]]) -> dict[Row, list[int]]:
    """The days of each month added up, and what is in flight at its end."""
    months: dict[Row, list[int]] = defaultdict(lambda: [0] * 10)
    for unit, below, day, kind in daily:
        _add(months[unit, below, kind, day[:7]], daily[unit, below, day, kind])
    waiting: dict[Row, int] = defaultdict(int)
    for key in sorted(months):  # of each unit the earliest first
        row = months[key]
        _, addressed, received, refused, dead, requeued, *_ = row
        waiting[key[:3]] += addressed + requeued - received - refused - dead
        row[9] = waiting[key[:3]]
    return months


def _traffic(books: Books) -> list[Table]:
    """Documents by hour of the day, by who wrote to whom, by why they were refused: from every attempt."""
    hours: dict[Row, list[int]] = defaultdict(lambda: [0, 0])
    pairs: dict[Row, list[int]] = defaultdict(lambda: [0, 0])
    refusals: dict[Row, list[int]] = defaultdict(lambda: [0])
    for paper in books.papers.values():
        if paper.kind != "document":
            continue
        month, hour = _month_and_hour(paper.at)
        hours[paper.sender, month, hour][0] += 1
        for unit, delivery in paper.deliveries.items():
            pairs[paper.sender, month, unit][0] += 1
            for attempt in delivery.attempts:
                if attempt.state == "refused":
                    refusals[attempt.reason,][0] += 1
                elif attempt.state == "received":
                    then, at = _month_and_hour(attempt.outcome_at)
                    hours[unit, then, at][1] += 1
                    pairs[paper.sender, then, unit][1] += 1

    def counts(sums: Mapping[Row, list[int]]) -> Callable[[Row], Row | None]:
        return lambda key: tuple(sums[key]) if key in sums else None

    return [
        Table(
            "hours", "unit, month, hour, sent, received", 3, counts(hours), lambda: list(hours), lambda _: 0
        ),
        Table("refusals", "reason, refused", 1, counts(refusals), lambda: list(refusals), lambda _: 0),
        Table(
            "pairs",
            "sender, month, recipient, addressed, received",
            3,
            counts(pairs),
            lambda: list(pairs),
            lambda _: 0,
        ),
    ]


def _month_and_hour(at: int) -> tuple[str, int]:
    there = datetime.fromtimestamp(at // 1000, UTC) + timedelta(hours=7)
    return there.strftime("%Y-%m"), there.hour


def _sums(books: Books) -> list[Table]:
    def rejections(key: Row) -> Row | None:
        return (books.rejections[key[0]],) if key[0] in books.rejections else None

    def durations(key: Row) -> Row | None:
        return tuple(books.durations[key[0]]) if key[0] in books.durations else None

    return [
        Table(
            "rejections",
            "code, refused",
            1,
            rejections,
            lambda: ((code,) for code in books.rejections),
            lambda _: 0,
        ),
        Table(
            "durations",
            "seconds, outcomes, milliseconds",
            1,
            durations,
            lambda: ((limit,) for limit in books.durations),
            lambda _: 0,
        ),
    ]


def _search(books: Books) -> list[Table]:
    """What searches look up beside the index itself."""

    def present(known: Mapping[Any, int], key: Any) -> Row | None:
        return () if key in known else None

    return [
        Table(
            "moves",
            "ancestor, unit",
            2,
            lambda key: present(books.moves, key),
            lambda: list(books.moves),
            lambda key: books.moves.get((key[0], key[1]), 0),
        ),
        Table(
            "words",
            "word",
            1,
            lambda key: present(books.listed, key[0]),
            lambda: ((word,) for word in books.listed),
            lambda key: books.listed.get(key[0], 0),
        ),
    ]
