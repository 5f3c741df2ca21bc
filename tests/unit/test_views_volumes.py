"""Volumes equal a naive recount and satisfy the identity, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from axispb.v1 import evidence_pb2, journal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.envelope import Kind, parse
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.volumes import Selection, volumes
from bench.history import History, Sent

UNITS = ("G22", "G14", "G14.01", "H26", "H26.03.07")
PARENTS = {"G14.01": "G14", "H26.03.07": "H26"}
HOUR = 3_600_000
NUMBERS = (
    "sent",
    "addressed",
    "received",
    "refused",
    "dead",
    "requeued",
    "late",
    "bytes_sent",
    "bytes_received",
)

unit = st.sampled_from(UNITS)
step = st.one_of(
    st.tuples(st.just("send"), unit, st.lists(unit, min_size=1, unique=True), st.integers(0, 5000)),
    st.tuples(st.just("report"), unit, unit, st.integers(0, 50)),
    st.tuples(st.sampled_from(["take", "refuse", "dead", "requeue"]), st.integers(0, 50)),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, HOUR, 9 * HOUR, 24 * HOUR, 31 * 24 * HOUR])),
)


async def play(history: History, steps: list[tuple[object, ...]]) -> None:
    """Each step that is possible at its place; `open` and `closed` are (sent, unit, attempt)."""
    await history.found()
    for code in UNITS:
        await history.register(
            code, parent=PARENTS.get(code, ""), old_codes=[f"000.00.00.X{UNITS.index(code):02}"]
        )
    opened: list[tuple[Sent, str, int]] = []
    closed: list[tuple[Sent, str, int]] = []
    for what, *rest in steps:
        if what == "wait":
            await history.move(rest[0])  # type: ignore[arg-type]
        elif what == "send":
            sender, recipients, size = rest
            old_code = f"000.00.00.X{UNITS.index(sender):02}"  # type: ignore[arg-type]
            name = old_code if size % 2 else sender  # type: ignore[operator]
            sent = await history.send(name, recipients, [size, 7], host=sender)  # type: ignore[arg-type]
            opened += [(sent, code, 1) for code in recipients]  # type: ignore[union-attr]
        elif what == "report" and history.sent:
            about = list(history.sent)[rest[2] % len(history.sent)]  # type: ignore[operator]
            sent = await history.report(rest[0], rest[1], about)  # type: ignore[arg-type]
            opened.append((sent, rest[1], 1))  # type: ignore[arg-type]
        elif what in {"take", "refuse", "dead"} and opened:
            delivery = opened.pop(rest[0] % len(opened))  # type: ignore[operator]
            if what == "dead":
                await history.notice(*delivery, "nobody took it")
            else:
                await history.take(*delivery, reason="no" if what == "refuse" else "")
            if what != "take":
                closed.append(delivery)
        elif what == "requeue" and closed:
            sent, code, attempt = closed.pop(rest[0] % len(closed))  # type: ignore[operator]
            await history.notice(sent, code, attempt + 1, "again", host=code)
            opened.append((sent, code, attempt + 1))
    await history.flush()


def vietnam_day(at: int) -> str:
    return str((datetime.fromtimestamp(at / 1000, UTC) + timedelta(hours=7)).date())


def naive(journal: MemoryJournal, kind: str, within: Callable[[str], bool]) -> dict[str, Counter[str]]:
    """Every count by reading all frames once, with nothing shared with the views."""
    rows = {code: Counter[str]() for code in UNITS}
    documents: dict[str, tuple[str, str, int]] = {}
    for frame in journal.frames(0, 10_000):
        day = vietnam_day(frame.at)
        counting = within(day)
        for raw in frame.records:
            record = journal_pb2.Record.FromString(raw)
            body = record.WhichOneof("body")
            if body == "accepted":
                message = parse(record.accepted.envelope.signed, Kind(record.accepted.kind))
                acceptance = parse(record.accepted.acceptance.signed, Kind.ACCEPTANCE)
                size = sum(part.size for part in getattr(message, "attachments", ()))
                documents[message.document_id] = (record.accepted.kind, day, size)  # type: ignore[attr-defined]
                if counting and record.accepted.kind == kind:
                    rows[message.acting_organisation].update(sent=1, bytes_sent=size)  # type: ignore[attr-defined]
                    for destination in acceptance.deliveries:  # type: ignore[attr-defined]
                        rows[destination.unit].update(addressed=1)
            elif body in {"receipted", "noticed"}:
                signed = (
                    record.receipted.receipt.signed if body == "receipted" else record.noticed.notice.signed
                )
                evidence = parse(signed, Kind.RECEIPT if body == "receipted" else Kind.NOTICE)
                found_kind, accepted_day, size = documents[evidence.document_id]  # type: ignore[attr-defined]
                if not counting or found_kind != kind:
                    continue
                row = rows[evidence.recipient_unit]  # type: ignore[attr-defined]
                if body == "noticed":
                    requeued = evidence.kind == evidence_pb2.NOTICE_KIND_REQUEUED  # type: ignore[attr-defined]
                    row.update({"requeued" if requeued else "dead": 1})
                    continue
                received = evidence.outcome == evidence_pb2.OUTCOME_RECEIVED  # type: ignore[attr-defined]
                row.update({"received" if received else "refused": 1, "late": int(day > accepted_day)})
                row.update(bytes_received=size * received)
    return rows


def check_row(row: dict[str, int]) -> None:
    opened = row["in_flight_before"] + row["addressed"] + row["requeued"]
    assert opened == row["received"] + row["refused"] + row["dead"] + row["in_flight"]
    assert row["in_flight"] >= 0
    assert row["in_flight_before"] >= 0


def check_against(
    journal: MemoryJournal, connection: sqlite3.Connection, kind: str, month: str | None
) -> None:
    def ask(**wanted: object) -> dict[str, list[dict[str, int]]]:
        return volumes(connection, Selection(month=month, kind=kind, **wanted), 0)  # type: ignore[arg-type, return-value]

    expected = naive(journal, kind, lambda day: month is None or day.startswith(month))
    answer = ask()
    rows = {row["code"]: row for row in answer["rows"]}
    assert set(rows) == set(UNITS)  # type: ignore[comparison-overlap]
    for code, row in rows.items():
        check_row(row)
        assert {name: row[name] for name in NUMBERS} == {name: expected[code][name] for name in NUMBERS}  # type: ignore[index]
    total = answer["total"]
    check_row(total)  # type: ignore[arg-type]
    for by in ("day", "month"):
        periods = ask(by=by)
        assert periods["total"] == total
        before = total["in_flight_before"]  # type: ignore[call-overload]
        for row in periods["rows"]:
            check_row(row)
            assert row["in_flight_before"] == before
            before = row["in_flight"]
        for name in NUMBERS:
            assert sum(row[name] for row in periods["rows"]) == total[name]  # type: ignore[call-overload]
    part = ask(subtree="000.00.00.X01")
    assert [row["code"] for row in part["rows"]] == ["G14", "G14.01"]
    assert all(row == rows[row["code"]] for row in part["rows"])


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(step, max_size=60))
def test_volumes_equal_a_naive_recount(steps: list[tuple[object, ...]]) -> None:
    async def scenario() -> None:
        history = History(MemoryJournal("j", reduce))
        await play(history, steps)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        views = Views(connection, Path("unused"))
        views.catch_up(history.journal)
        connection.row_factory = sqlite3.Row
        months = {vietnam_day(frame.at)[:7] for frame in history.journal.frames(0, 10_000)}
        for kind in ("document", "status"):
            for month in (None, "2025-12", *sorted(months), "2030-01"):
                check_against(history.journal, connection, kind, month)  # type: ignore[arg-type]
        views.close()

    asyncio.run(scenario())
