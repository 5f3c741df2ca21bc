"""Every name that an address gives counts or is refused; every event is shown, also of a later version."""

from __future__ import annotations

import csv
import html
import io
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2
from lxml import etree

from axis.views.text import parse_time
from tests.support.console import TOKEN, Desk, desk_in

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_an_event_without_a_word_is_shown_by_its_name(desk: Desk) -> None:
    # A body that this version does not know leaves a record that holds none of those it knows.
    sequence = await desk.history.add("a-trace")
    await desk.catch_up()
    for path in ("/", "/traffic"):
        answer = await desk.get(path, **BEARER)
        assert (answer.status, "sự kiện của phiên bản sau" in await answer.text()) == (200, True)
    found: Any = await desk.api("/api/v1/traffic?event=unknown")
    assert [line["sequence"] for line in found["events"]] == [sequence]
    with closing(sqlite3.connect(desk.views.path)) as views:
        views.execute("UPDATE events SET event = 'later<b>' WHERE sequence = ?", (sequence,))
        views.commit()
    for path in ("/", "/traffic"):
        answer = await desk.get(path, **BEARER)
        assert (answer.status, "later&lt;b&gt;</span>" in await answer.text()) == (200, True)


@pytest.mark.parametrize(
    ("path", "name", "known"),
    [
        ("/api/v1/traffic?outcom=refused", "outcom", "outcome"),
        ("/api/v1/traffic?sender=G14", "sender", "from"),
        ("/api/v1/traffic?unit=G14&unit=G22", "unit", "more than once"),
        ("/traffic.csv?alone=1", "alone", "subtree"),
        ("/live/traffic?sender=G14", "sender", "from"),
        ("/api/v1/units?unit=G14", "unit", "subtree"),
        ("/api/v1/units/G14?mont=2026-11", "mont", "month"),
        ("/api/v1/volumes?sort=sent", "sort", "subtree"),
        ("/api/v1/volumes?period=2026-11&from=2026-01-01", "period", "from"),
        ("/api/v1/units?period=2026-11&until=2026-01-01", "period", "until"),
        ("/api/v1/overview?unit=G14", "unit", "nothing"),
        ("/api/v1/trust?org=G14", "org", "unit"),
        ("/api/v1/trust/units?unit=G14", "unit", "state"),
        ("/api/v1/audits?run=1", "run", "nothing"),
        ("/live/overview?unit=G14", "unit", "after"),
        ("/live/audit?operator=an", "operator", "run"),
        ("/charts/days.svg?period=2026", "period", "at"),
        ("/charts/units.svg?unit=G14", "unit", "subtree"),
        ("/reports/volumes.csv?kind=status", "kind", "subtree"),
    ],
)
async def test_what_would_be_left_out_is_refused(desk: Desk, path: str, name: str, known: str) -> None:
    answer = await desk.get(path, **BEARER)
    told = await answer.json(content_type=None)
    assert (answer.status, told["code"]) == (422, "field_invalid")
    assert told["detail"].startswith(f"{name}: ")
    assert known in told["detail"]


async def test_pages_say_which_name_they_do_not_know(desk: Desk) -> None:
    (document_id, *_) = desk.history.sent
    for path in (
        "/?month=2026-11",
        "/traffic?outcom=x",
        f"/documents/{document_id}?attempt=1",
        "/units?unit=G14",
        "/units/G14?subtree=G14",
        "/reports/volumes?x=1",
        "/trust?org=G14",
        "/trust/units?unit=G14",
        "/trust/units/G14?state=all",
        "/trust/units/G14/suspend?reason=x",
        "/trust/add?code=H26",
        "/audit?by=an",
    ):
        answer = await desk.get(path, **BEARER)
        name = path.partition("?")[2].partition("=")[0]
        said = name in (text := await answer.text()) and "không có điều kiện đó" in text
        assert (answer.status, said) == (422, True)


@pytest.mark.parametrize(
    ("path", "vietnamese", "english"),
    [
        ("/traffic?since=yesterday", "Từ ngày, giờ (since): cần một ngày", "Since (since): a date"),
        ("/traffic?limit=0", "Số dòng (limit): cần một số từ 1 đến 1000.", "a number, 1 to 1000, is"),
        ("/traffic?before=0", "cần một số từ 1 trở lên", "at least 1, is expected"),
        ("/traffic?event=x", "Sự kiện (event): cần một trong các giá trị: accepted", "one of accepted"),
        ("/traffic?subtree=Z99", "Mã “Z99” không phải của cơ quan nào", "“Z99” is no registered"),
        (f"/traffic?text={'x' * 501}", "dài quá 500 ký tự", "longer than 500 characters"),
        ("/traffic?unit=G14&unit=G22", "chỉ được nêu một lần", "more than once"),
        ("/units?subtree=Z99", "Mã “Z99” không phải của cơ quan nào", "“Z99” is no registered"),
        ("/units?sort=x", "Sắp xếp theo (sort): cần một trong", "Sorted by (sort): one of"),
        ("/units?row=x", "“x” không phải số của một dòng", "is no number of a row"),
        ("/units?period=x", "Kỳ (period): cần một tháng (2026-11)", "or all is expected, not “x”"),
        ("/units?quarter=2026", "Quý (quarter): cần một quý", "a quarter, YYYY-Q1"),
        ("/units?from=x", "Từ (from): cần một ngày", "a day, YYYY-MM-DD, is expected, not “x”"),
        ("/units?from=2026-11-02&until=2026-11-01", "ngày cuối trước ngày đầu", "before the first"),
        ("/units?month=2026-11&year=2026", "Kỳ (period): chỉ chọn một", "Period (period): month, quarter"),
        ("/units?period=2026&year=2026", "không dùng cùng với year", "not together with year"),
        ("/trust?state=x", "Tình trạng (state): cần một trong", "State (state): one of"),
        ("/trust/units?code=Z99", "nào mang mã này.", "No registered unit has this code."),
        ("/trust/units/Z99", "nào mang mã này.", "No registered unit has this code."),
        ("/documents/x", "Không có văn bản này.", "There is no such document."),
    ],
)
async def test_pages_say_what_is_wrong_in_the_readers_language(
    desk: Desk, path: str, vietnamese: str, english: str
) -> None:
    for language, said, not_said in (("vi", vietnamese, english), ("en", english, vietnamese)):
        answer = await desk.get(path, Accept="text/html", Cookie=f"axis_language={language}", **BEARER)
        text = html.unescape(await answer.text())
        assert answer.status in {404, 422}
        assert said in text
        assert not_said not in text


async def test_an_act_takes_nothing_from_its_address(desk: Desk) -> None:
    for path in ("units/G14/token?remark=x", "units/G14/resume?remark=x", "audits?operator=x"):
        answer = await desk.client.post(f"/api/v1/{path}", headers=BEARER)
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (422, "field_invalid")
    assert (desk.done, desk.runs.kept) == ([], [])


async def test_the_twins_take_a_period_by_its_name(desk: Desk) -> None:
    async def sent(query: str) -> int:
        total: Any = (await desk.api(f"/api/v1/volumes{query}"))["total"]
        return int(total["sent"])

    assert [await sent(query) for query in ("", "?period=all", "?period=2026", "?period=2020-01")] == [
        2, 2, 2, 0,
    ]  # fmt: skip


async def test_a_unit_is_itself_and_a_subtree_all_below(desk: Desk) -> None:
    async def found(query: str) -> list[tuple[str, list[str]]]:
        events: Any = (await desk.api(f"/api/v1/traffic?event=receipt&{query}"))["events"]
        return [(line["event"], line["to"]) for line in events]

    own, below = ("received", ["G14"]), ("refused", ["G14.01"])
    assert await found("subtree=G14") == [own, below]
    assert await found("unit=G14") == [own]
    assert await found("unit=G14.01&subtree=G14") == [below]
    assert await found("unit=G14&subtree=G14.01") == []


async def test_figures_lead_to_the_rows_that_they_count(desk: Desk) -> None:
    await desk.history.move(60_000)
    await desk.catch_up()
    page = html.unescape(await (await desk.get("/", **BEARER)).text())
    receipts, minute = (
        re.findall(rf'href="(/traffic\?{begins}[^"]+)">([^<]+)<', page)[0]
        for begins in ("event=receipt", "kind=document&since")
    )
    rows = await (await desk.get(receipts[0], **BEARER)).text()
    assert (rows.count("<tr id="), receipts[1]) == (2, "2")
    await desk.history.send("G14", ["G22"])  # in the minute that runs
    await desk.catch_up()
    rows = await (await desk.get(minute[0], **BEARER)).text()
    assert (rows.count("<tr id="), minute[1]) == (4, "2 / 2")


REASONS = {"sai nơi nhận": 2, "": 1, " khác + & ": 1, "~": 1, "a" * 500: 1}


async def test_each_reason_leads_to_exactly_its_rows(desk: Desk) -> None:
    for reason in [*REASONS, "sai nơi nhận, gửi lại"]:
        await desk.history.take(await desk.history.send("G22", ["G14"]), "G14", reason=reason, refused=True)
    await desk.history.take(await desk.history.send("G22", ["G14"]), "G14")
    await desk.history.add(rejected=journal_pb2.Rejected(organisation="G14", code="id_reused"))
    await desk.history.add(rejected=journal_pb2.Rejected(organisation="G14", code="signature_invalid"))
    await desk.catch_up()
    tree = etree.HTML(await (await desk.get("/", **BEARER)).text())
    figures: Any = await desk.api("/api/v1/overview")
    assert figures["refused"] == {**REASONS, "sai nơi nhận, gửi lại": 1}
    links = tree.xpath("//h2[@id='refused']/following-sibling::ul[1]/li/a")
    for link, (reason, count) in zip(links, figures["refused"].items(), strict=True):
        found: Any = await desk.api("/api/v1" + link.get("href") + "&limit=1000")
        assert [line["reason"] or "" for line in found["events"]] == [reason] * count
        rows = await (await desk.get(link.get("href"), **BEARER)).text()
        assert (rows.count("<tr id="), link.text.split()[-1]) == (count, str(count))
    links = tree.xpath("//h2[@id='rejected']/following-sibling::ul[1]/li/a")
    assert len(links) == len(figures["rejected"]) == 2
    for link, (code, count) in zip(links, figures["rejected"].items(), strict=True):
        found = await desk.api("/api/v1" + link.get("href"))
        assert {line["code"] for line in found["events"]} == {code}
        assert sum(line["count"] for line in found["events"]) == count


async def test_the_form_offers_codes_and_reasons(desk: Desk) -> None:
    tree = etree.HTML(await (await desk.get("/traffic?code=02&reason=x", **BEARER)).text())
    offered = {each.get("value"): each.text for each in tree.iterfind(".//datalist[@id='codes']/option")}
    assert offered["signature_invalid"] == "Chữ ký số không đúng."
    assert offered["02"] == "từ chối nhận"
    assert [each.get("value") for each in tree.iterfind(".//datalist[@id='reasons']/option")] == [
        "sai nơi nhận"
    ]
    assert {each.get("name"): each.get("value") for each in tree.iterfind(".//input")}["reason"] == "x"


async def test_a_rejection_shows_how_often(desk: Desk) -> None:
    page = await (await desk.get("/traffic?event=rejected", **BEARER)).text()
    assert "<code>id_reused</code> × 3" in page
    # What the code means stands in the reader's language.
    assert "Mã văn bản đã dùng cho văn bản khác." in page


@pytest.mark.parametrize(
    ("spoken", "written"), [("vi", r"\d\d/\d\d/\d{4} [\d:]{8}"), ("en", r"\d{4}-\d\d-\d\d [\d:]{8}")]
)
async def test_times_are_written_as_the_days_beside_them_are(desk: Desk, spoken: str, written: str) -> None:
    for path in ("/traffic", "/trust"):
        page = await (await desk.get(path, Cookie=f"axis_language={spoken}", **BEARER)).text()
        times = re.findall("<time[^>]*>([^<]*)</time>", page)
        assert times
        assert [each for each in times if not re.fullmatch(written, each)] == []


async def test_the_csv_names_the_operator(desk: Desk) -> None:
    await desk.history.add(operator="=rin", resumed=journal_pb2.UnitResumed(code="G14"))
    await desk.catch_up()
    text = (await (await desk.get("/traffic.csv?operator=*", **BEARER)).read()).decode("utf-8-sig")
    assert [row["operator"] for row in csv.DictReader(io.StringIO(text))] == ["'=rin"]


@pytest.mark.parametrize(
    "text", ["20261129", "2026-W48-7", "2026-11", "2026-11-29 13:05", "2026-11-29T13", "2026-11-29T1305",
             "2026-11-29T13:05:00+0700", "2026-11-29T25:00", "٢٠٢٦-11-29"],
)  # fmt: skip
async def test_a_time_is_a_date_or_rfc_3339(desk: Desk, text: str) -> None:
    answer = await desk.client.get("/api/v1/traffic", params={"until": text}, headers=BEARER)
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (422, "field_invalid")


def test_a_date_ends_with_its_last_millisecond() -> None:
    assert parse_time("2026-11-29", end=True) + 1 == parse_time("2026-11-30")
    for text in (
        "2026-11-29T13:05",
        "2026-11-29T13:05:00",
        "2026-11-29T06:05:00.000Z",
        "2026-11-29t06:05:00z",
    ):
        assert parse_time(text, end=True) == parse_time("2026-11-29T13:05:00+07:00")


async def test_a_subject_is_found_as_it_is_pasted_and_too_many_words_are_refused(desk: Desk) -> None:
    subject = " ".join(f"từ{number}" for number in range(99)) + " cuối"
    sent = await desk.history.send("G22", ["G14"], [], subject)
    await desk.catch_up()
    for text in (subject, subject[:-2]):
        found: Any = await desk.api(f"/api/v1/traffic?text={text}")
        assert [line["document_id"] for line in found["events"]] == [sent.document_id]
    for path in ("/traffic", "/api/v1/traffic", "/traffic.csv"):
        answer = await desk.get(f"{path}?text={' '.join(map(str, range(101)))}", **BEARER)
        assert answer.status == 422
        assert "text: at most 100" in await answer.text()
