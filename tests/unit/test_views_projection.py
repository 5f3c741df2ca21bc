"""The views: rows for each record, where they stand, and when they are built anew."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2

from axis.core.errors import Refusal
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.ports import Journal
from axis.views.documents import show
from axis.views.file import ask_rebuild
from axis.views.projection import SCHEMA_VERSION, Views
from axis.views.text import fold, parse_time, rfc3339
from axis.views.traffic import Filter, traffic
from axis.views.volumes import Selection, volumes
from bench.history import History

DAY = 86_400_000


def new_journal(name: str = "j") -> MemoryJournal:
    return MemoryJournal(name, reduce)


@pytest.fixture
async def history() -> AsyncIterator[History]:
    history = History(new_journal())
    await history.found()
    await history.register("G22", "Văn phòng Chính phủ", old_codes=["000.00.00.G22"])
    await history.register("G14", "Bộ Tư pháp")
    await history.register("G14.01", "Cục Hộ tịch", parent="G14")
    await history.flush()
    yield history
    await history.journal.close()


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    views = Views.open(tmp_path / "views.sqlite")
    yield views
    views.close()


def dump(views: Views) -> dict[str, list[tuple[object, ...]]]:
    reader = views.reader()
    try:
        tables = ("units", "aliases", "certificates", "documents", "deliveries", "events", "daily",
                  "monthly", "days", "hours", "pairs", "rejections", "durations")  # fmt: skip
        found = {name: [tuple(row) for row in reader.execute(f"SELECT * FROM {name}")] for name in tables}
        with closing(sqlite3.connect(views.path)) as connection:
            connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, search, instance)")
            found["search"] = connection.execute("SELECT term, doc FROM temp.words ORDER BY 1, 2").fetchall()
        return found
    finally:
        reader.close()


async def exchange(history: History) -> None:
    sent = await history.send("G22", ["G14", "G14.01"], [100, 20], "Quyết định về Đường sắt", "274")
    await history.move(1000)
    await history.take(sent, "G14")
    await history.take(sent, "G14.01", reason="không đúng nơi nhận")
    await history.move(DAY)
    await history.notice(sent, "G14.01", 2, "again", host="G14.01")
    await history.move(1000)
    await history.take(sent, "G14.01", attempt=2)
    await history.report("G14", "G22", sent.document_id, "03", "đã tiếp nhận")
    await history.take_late(sent, "G14.01", attempt=1)
    await history.add(
        rejected=journal_pb2.Rejected(organisation="G14", code="id_reused", count=3, detail="x")
    )
    await history.add(suspended=journal_pb2.UnitSuspended(code="G14", reason="asked"))
    await history.flush()


def lines(views: Views, **wanted: object) -> list[dict[str, object]]:
    reader = views.reader()
    try:
        return traffic(reader, Filter(**wanted))  # type: ignore[arg-type]
    finally:
        reader.close()


def counted(views: Views, **wanted: object) -> Any:
    reader = views.reader()
    try:
        return volumes(reader, Selection(**wanted), now=0)  # type: ignore[arg-type]
    finally:
        reader.close()


async def test_every_record_has_one_line(history: History, views: Views) -> None:
    await exchange(history)
    head = views.catch_up(history.journal)
    assert head == history.journal.head()
    assert views.position() is not None
    assert views.position().head == head  # type: ignore[union-attr]
    events = [(line["sequence"], line["event"]) for line in lines(views)]
    assert [sequence for sequence, _ in events] == list(range(1, head.sequence + 1))
    assert [event for _, event in events] == [
        "founded", "registered", "registered", "registered", "accepted", "received", "refused", "requeued",
        "received", "status", "late_receipt", "rejected", "suspended",
    ]  # fmt: skip


async def test_a_line_has_the_contract_s_shape(history: History, views: Views) -> None:
    await exchange(history)
    views.catch_up(history.journal)
    (line,) = lines(views, event="accepted")
    (sent, _status) = history.sent.values()
    assert line == {
        "sequence": 5,
        "at": "2026-01-01T07:00:00.000+07:00",
        "event": "accepted",
        "document_id": sent.document_id,
        "kind": "document",
        "from": "G22",
        "to": ["G14", "G14.01"],
        "subject": "Quyết định về Đường sắt",
        "number": "274/QĐ-TTg",
        "outcome": None,
        "code": None,
        "reason": None,
        "bytes": 120,
        "trace_id": sent.document_id.replace("-", ""),
        "operator": None,
    }
    (refused,) = lines(views, event="refused")
    assert (refused["from"], refused["to"], refused["outcome"]) == ("G22", ["G14.01"], "refused")
    assert refused["reason"] == "không đúng nơi nhận"
    (rejected,) = lines(views, event="rejected")
    assert (rejected["from"], rejected["to"], rejected["count"]) == ("G14", [], 3)


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        ({"sender": "000.00.00.G22", "event": "accepted"}, ["accepted"]),
        ({"sender": "G14"}, ["registered", "status", "rejected", "suspended"]),
        ({"recipient": "G14"}, ["accepted", "received"]),
        ({"recipient": "G22"}, ["status"]),
        ({"text": "duong sat"}, ["accepted", "received", "refused", "requeued", "received", "late_receipt"]),
        ({"text": "ĐƯỜNG 27", "event": "accepted"}, ["accepted"]),
        ({"text": "đường biển"}, []),
        ({"text": "…"}, []),
        ({"code": "id_reused"}, ["rejected"]),
        ({"code": "03"}, ["status"]),
        ({"limit": 1}, ["suspended"]),
        ({"after": 11}, ["rejected", "suspended"]),
    ],
)
async def test_filters(history: History, views: Views, wanted: dict[str, object], events: list[str]) -> None:
    await exchange(history)
    views.catch_up(history.journal)
    assert [line["event"] for line in lines(views, **wanted)] == events


async def test_since_and_until_are_found_by_time(history: History, views: Views) -> None:
    start = history.now
    await exchange(history)
    views.catch_up(history.journal)
    assert [line["event"] for line in lines(views, since=start + 1000, until=start + 1000)] == [
        "received",
        "refused",
    ]
    assert lines(views, until=start - 1) == []
    assert lines(views, since=history.now + 1) == []
    assert lines(views, since=start - 1, limit=1000) == lines(views)


async def test_an_unknown_code_is_refused(history: History, views: Views) -> None:
    views.catch_up(history.journal)
    with pytest.raises(Refusal, match="field_invalid"):
        lines(views, sender="nobody")


async def test_show_tells_everything(history: History, views: Views) -> None:
    await exchange(history)
    again = await history.send("G22", ["G14"], subject="Lần hai", number="274")
    await history.flush()
    views.catch_up(history.journal)
    first = next(iter(history.sent.values()))
    reader = views.reader()
    answer: Any = show(reader, first.document_id, history.journal.record)
    assert {"document_id", "kind", "from", "to", "subject", "state", "header", "attachments", "deliveries",
            "flags", "events"} <= answer.keys()  # fmt: skip
    assert (answer["from"], answer["to"], answer["state"]) == ("G22", ["G14", "G14.01"], "delivered")
    assert answer["header"]["fields"]["subject"] == "Quyết định về Đường sắt"
    assert [part["size"] for part in answer["attachments"]] == [100, 20]
    whole, part = answer["deliveries"]
    (status,) = whole["statuses"]
    assert status.pop("document_id") in {each.document_id for each in history.sent.values()}
    assert status == {
        "code": "03",
        "at": "2026-01-02T07:00:02.000+07:00",
        "note": "đã tiếp nhận",
        "from": "G14",
        "in_order": True,
    }
    assert whole["exchange"] == "open"
    assert (part["state"], part["attempt"]) == ("received", 2)
    assert part["receipt"]["outcome"] == "received"
    assert [attempt["state"] for attempt in part["attempts"]] == ["refused", "received"]
    assert answer["flags"] == ["repeated_issuer_document_id", "repeated_number"]
    assert len(answer["events"]) == 6
    later: Any = show(reader, again.document_id, history.journal.record)
    assert later["state"] == "accepted"
    assert later["deliveries"][0]["receipt"] is None
    with pytest.raises(Refusal, match="document_unknown"):
        show(reader, "no", history.journal.record)
    reader.close()


async def test_volumes_have_a_row_for_every_unit(history: History, views: Views) -> None:
    await exchange(history)
    views.catch_up(history.journal)
    answer = counted(views)
    assert answer["head"] == str(history.journal.head())
    rows = {row["code"]: row for row in answer["rows"]}
    assert list(rows) == ["G14", "G14.01", "G22"]
    assert rows["G14.01"] == {
        "code": "G14.01", "name": "Cục Hộ tịch", "parent": "G14", "sent": 0, "addressed": 1, "received": 1,
        "refused": 1, "dead": 0, "requeued": 1, "in_flight_before": 0, "in_flight": 0, "late": 1,
        "bytes_sent": 0, "bytes_received": 120,
    }  # fmt: skip
    assert answer["total"]["bytes_sent"] == 120
    statuses = counted(views, kind="status")
    assert statuses["total"]["in_flight"] == 1


async def test_volumes_by_period_and_subtree(history: History, views: Views) -> None:
    await exchange(history)
    views.catch_up(history.journal)
    days = counted(views, by="day")["rows"]
    assert [(row["period"], row["in_flight_before"], row["in_flight"]) for row in days] == [
        ("2026-01-01", 0, 0),
        ("2026-01-02", 0, 0),
    ]
    subtree = counted(views, subtree="G14")
    assert [row["code"] for row in subtree["rows"]] == ["G14", "G14.01"]
    assert subtree["total"]["addressed"] == 2
    with pytest.raises(Refusal, match="month"):
        counted(views, month="2026-13")


async def test_catching_up_in_steps_equals_one_rebuild(
    history: History, views: Views, tmp_path: Path
) -> None:
    views.catch_up(history.journal)
    await exchange(history)
    views.catch_up(history.journal)
    await exchange(history)
    seen: list[tuple[int, int]] = []
    views.catch_up(history.journal, lambda now, target: seen.append((now, target)))
    assert seen[-1] == (history.journal.head().sequence,) * 2
    stepwise = dump(views)
    views.rebuild(history.journal)
    assert dump(views) == stepwise


async def test_another_journal_s_views_are_built_anew(history: History, views: Views) -> None:
    await exchange(history)
    views.catch_up(history.journal)
    other = History(new_journal())  # the same id, other frames: restored from an older copy, say
    await other.found()
    await other.register("H01")
    await other.flush()
    views.catch_up(other.journal)
    assert [line["event"] for line in lines(views)] == ["founded", "registered"]


async def test_another_schema_version_is_built_anew(history: History, views: Views) -> None:
    views.catch_up(history.journal)
    with sqlite3.connect(views.path) as connection:
        connection.execute("UPDATE position SET version = ?", (SCHEMA_VERSION + 1,))
        connection.execute("DELETE FROM units")
    connection.close()
    views.catch_up(history.journal)
    assert len(dump(views)["units"]) == 3


class Stubborn(sqlite3.Connection):
    """Fails a chosen number of commits."""

    failures = 0

    def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
        if arguments[0] == "COMMIT" and Stubborn.failures:
            Stubborn.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(*arguments)  # type: ignore[arg-type]


async def wait_for(views: Views, journal: Journal) -> None:
    assert await views.reached(journal.head().sequence, 30)


async def test_following_keeps_up_and_outlives_a_full_disk(history: History, tmp_path: Path) -> None:
    connection = sqlite3.connect(
        tmp_path / "views.sqlite", isolation_level=None, check_same_thread=False, factory=Stubborn
    )
    views = Views(connection, tmp_path / "views.sqlite")
    follower = asyncio.create_task(views.follow(history.journal))
    await wait_for(views, history.journal)
    assert not await views.reached(10_000, 0.01)
    Stubborn.failures = 1
    await exchange(history)
    await wait_for(views, history.journal)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    followed = dump(views)
    views.rebuild(history.journal)
    assert dump(views) == followed
    views.close()


async def test_a_follower_builds_anew_when_asked(history: History, views: Views) -> None:
    follower = asyncio.create_task(views.follow(history.journal))
    await wait_for(views, history.journal)
    with sqlite3.connect(views.path) as connection:
        connection.execute("UPDATE units SET name = 'wrong'")
    connection.close()
    ask_rebuild(views.path)
    await exchange(history)
    await wait_for(views, history.journal)
    async with asyncio.timeout(30):
        while {row[1] for row in dump(views)["units"]} == {"wrong"}:
            await asyncio.sleep(0.02)
    await wait_for(views, history.journal)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    followed = dump(views)
    views.rebuild(history.journal)
    assert dump(views) == followed


async def test_rows_that_cannot_follow_are_built_anew(history: History, views: Views) -> None:
    views.catch_up(history.journal)
    with sqlite3.connect(views.path) as connection:
        connection.execute(
            "INSERT INTO events"
            " SELECT 5, at, event, document, party, '', '', '', '', 1, '', '' FROM events LIMIT 1"
        )
    connection.close()
    await exchange(history)
    views.catch_up(history.journal)
    caught_up = dump(views)
    views.rebuild(history.journal)
    assert dump(views) == caught_up


def test_a_file_that_is_no_database_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "views.sqlite"
    path.write_bytes(b"rubbish" * 1000)
    views = Views.open(path)
    assert views.position() is None
    views.close()


def test_text_is_folded_and_times_are_vietnam_s() -> None:
    assert fold("Quyết định Đường SẮT") == "quyet dinh duong sat"
    assert parse_time("2026-01-01") == parse_time("2025-12-31T17:00:00Z")
    assert rfc3339(parse_time("2026-01-01T00:00:00.123+07:00")) == "2026-01-01T00:00:00.123+07:00"


async def test_a_document_is_shown_at_one_head(
    history: History, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt comes into the views while it is being read: it is in both places or in none."""
    sent = await history.send("G22", ["G14"])
    await history.flush()
    views.catch_up(history.journal)
    await history.take(sent, "G14")
    await history.flush()

    def meanwhile(connection: sqlite3.Connection, wanted: Filter) -> list[dict[str, object]]:
        views.catch_up(history.journal)
        return traffic(connection, wanted)

    monkeypatch.setattr("axis.views.documents.traffic", meanwhile)
    with closing(views.reader()) as reader:
        found = show(reader, sent.document_id, history.journal.record)
        later: Any = show(reader, sent.document_id, history.journal.record)
    seen = [(each["state"], [line["event"] for line in each["events"]]) for each in (found, later)]  # type: ignore[attr-defined]
    assert seen == [("accepted", ["accepted"]), ("delivered", ["accepted", "received"])]


async def test_a_document_s_texts_cost_its_events_little(history: History, views: Views) -> None:
    """An envelope may hold a quarter of a megabyte of words; each of a thousand receipts is found by them."""
    words = " ".join(f"w{number:06}" for number in range(25_000))
    sent = await history.send("G22", ["G14", "G14.01"], [], words, "274")
    await history.take(sent, "G14")
    await history.flush()
    views.catch_up(history.journal)
    newest, *_ = lines(views, event="received")
    assert newest["subject"] == words[:2000]
    assert [line["event"] for line in lines(views, text="w000100")] == ["accepted", "received"]
    assert lines(views, text="w020000") == []
    with closing(views.reader()) as reader:
        header = show(reader, sent.document_id, history.journal.record)["header"]
    assert words in str(header), "the document's page has all"
