"""The console: health without a log-in, everything else with one, the same numbers everywhere."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from axis.console import words
from axis.console.access import ACCESS
from axis.console.metrics import ConsoleMetrics
from axis.core.document import STATUS_CODES
from axis.core.errors import CODES
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from tests.support.console import DAY, TOKEN, Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_health_and_metrics_need_no_log_in(desk: Desk) -> None:
    assert (await desk.get("/livez")).status == 200
    assert await (await desk.get("/readyz")).json() == {"ready": True, "reason": None}
    desk.broken.append("the issuer is not there")
    response = await desk.get("/readyz")
    assert (response.status, (await response.json())["reason"]) == (503, "the issuer is not there")
    assert (await desk.get("/metrics")).status == 200


async def test_each_check_is_told_by_its_name_and_in_words(desk: Desk) -> None:
    holds = {"name": "journal", "ok": True, "required": True, "detail": "what is decided is appended"}
    response = await desk.get("/readyz?verbose")
    text = await response.text()
    told = json.loads(text)
    assert (response.status, told["ready"], told["checks"][0]) == (200, True, holds)
    assert "\n" in text, "for people too"
    desk.broken += ["", "pages are behind"]
    response = await desk.get("/readyz?verbose=1")
    told = await response.json()
    assert (response.status, told["ready"], told["reason"]) == (200, True, None)
    assert [(one["name"], one["ok"], one["detail"]) for one in told["checks"]][1] == (
        "views",
        False,
        "pages are behind",
    )
    assert await (await desk.get("/readyz")).json() == {"ready": True, "reason": None}
    assert (await samples(desk))["axis_check_ok", "views"] == 0
    assert (await samples(desk))["axis_ready",] == 1
    desk.broken[0] = "the disk is full"
    response = await desk.get("/readyz?verbose")
    told = await response.json()
    assert (response.status, told["reason"], told["checks"][0]["ok"]) == (503, "the disk is full", False)
    found = await samples(desk)
    assert (found["axis_ready",], found["axis_check_ok", "journal"]) == (0, 0)


@pytest.mark.parametrize("path", [path for method, path in ACCESS if method == "POST"])
async def test_what_changes_anything_needs_the_sessions_token_and_our_own_page(desk: Desk, path: str) -> None:
    (document_id, *_) = desk.history.sent
    place = path.format(document_id=document_id, code="G14", act="suspend", serial="1")
    cookie = {"Cookie": f"axis_console={(await desk.get(f'/?token={TOKEN}')).cookies['axis_console'].value}"}
    for elsewhere in ({"Origin": "https://mail.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await desk.client.post(place, data={"token": TOKEN}, headers=cookie | elsewhere)
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "origin_not_allowed")
    if path != "/login":  # which needs no session, and gives another one
        for form in ({}, {"csrf": "x", "reason": "x"}):
            answer = await desk.client.post(place, data=form, headers=cookie)
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "csrf_invalid")
    assert (await desk.get("/traffic", **cookie)).status == 200
    assert (desk.done, desk.runs.kept) == ([], [])


@pytest.mark.parametrize("path", ["/", "/traffic", "/anything"])
async def test_pages_lead_to_the_log_in(desk: Desk, path: str) -> None:
    response = await desk.get(path)
    assert (response.status, response.headers["Location"]) == (303, "/login")


@pytest.mark.parametrize("path", ["/api/v1/volumes", "/api/v1/traffic", "/api/v1/documents/x", "/api/x"])
@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer wrong", "Bearer đ", f"Basic {TOKEN}"])
async def test_the_api_needs_the_token(desk: Desk, path: str, authorization: str) -> None:
    response = await desk.get(path, Authorization=authorization)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_the_link_logs_in_and_drops_the_token(desk: Desk) -> None:
    response = await desk.get(f"/?token={TOKEN}")
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = response.cookies["axis_console"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert cookie.value != TOKEN
    page = await desk.get("/", Cookie=f"axis_console={cookie.value}")
    assert page.status == 200
    assert (await desk.get("/api/v1/volumes", Cookie=f"axis_console={cookie.value}")).status == 200
    wrong = await desk.get("/?token=wrong")
    assert (wrong.headers["Location"], wrong.cookies) == ("/login?link=ended", {})
    assert "không còn dùng được" in await (await desk.get("/login?link=ended")).text()


async def test_the_form_logs_in(desk: Desk) -> None:
    assert "Mã truy cập" in await (await desk.get("/login")).text()
    wrong = await desk.client.post("/login", data={"token": "wrong"}, allow_redirects=False)
    assert (wrong.status, "không đúng" in await wrong.text()) == (401, True)
    right = await desk.client.post("/login", data={"token": TOKEN}, allow_redirects=False)
    assert (right.status, right.headers["Location"]) == (303, "/")
    assert "axis_console" in right.cookies


async def test_the_page_shows_volumes_and_traffic_safely(desk: Desk) -> None:
    response = await desk.get("/", Authorization=f"Bearer {TOKEN}")
    text = await response.text()
    assert "Tình hình hiện nay" in text
    assert "Quyết định &lt;b&gt;số&lt;/b&gt; 274" in text
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    units = await (await desk.get("/units", Authorization=f"Bearer {TOKEN}")).text()
    assert "Văn phòng &lt;Chính phủ&gt;" in units


async def test_pages_speak_vietnamese_or_english(desk: Desk) -> None:
    chosen = await desk.get("/language/en?back=/%3Fmonth=2020-01")
    assert (chosen.status, chosen.headers["Location"]) == (303, "/?month=2020-01")
    cookie = f"axis_language={chosen.cookies['axis_language'].value}"
    page = await (await desk.get("/", Authorization=f"Bearer {TOKEN}", Cookie=cookie)).text()
    assert '<html lang="en">' in page
    assert "How things stand" in page
    assert "Tình hình" not in page
    assert (await desk.get("/language/fr")).status == 404


@pytest.mark.parametrize(
    "back",
    ["//evil.example/", "https://evil.example/", "/%5Cevil.example", "x", "/%0d%0aA:b", "/%09/evil.example",
     "%09//evil.example", "/%09%5Cevil.example", ""],
)  # fmt: skip
async def test_language_and_log_in_lead_nowhere_else(desk: Desk, back: str) -> None:
    assert (await desk.get(f"/language/en?back={back}")).headers["Location"] == "/"
    entered = await desk.client.post(f"/login?back={back}", data={"token": TOKEN}, allow_redirects=False)
    assert (entered.status, entered.headers["Location"]) == (303, "/")


async def test_the_log_in_leads_to_the_page_that_was_asked_for(desk: Desk) -> None:
    assert (await desk.get("/charts/days.svg", Accept="image/*")).headers["Location"] == "/login"
    asked = "/traffic?text=quyet+dinh&unit=G22"
    led = (await desk.get(asked, Accept="text/html,*/*")).headers["Location"]
    (action, *_) = re.findall(r'<form method="post" action="([^"]*)"', await (await desk.get(led)).text())
    for token, lands in (("wrong", None), (TOKEN, asked)):
        answer = await desk.client.post(html.unescape(action), data={"token": token}, allow_redirects=False)
        assert answer.headers.get("Location") == lands


async def test_style_and_script_are_served_for_ever(desk: Desk) -> None:
    page = await (await desk.get("/login")).text()
    paths = re.findall(r'"(/static/[^"]+)"', page)
    assert len(paths) == 3
    for path in paths:
        response = await desk.get(path)
        assert (response.status, "immutable" in response.headers["Cache-Control"]) == (200, True)
    assert (await desk.get("/static/..%2fapp.py")).status == 404


def test_every_word_is_known_and_used() -> None:
    """Templates may put a name together (`"event." ~ line.event`): then its beginning counts as used."""
    folder = Path(words.__file__).parent
    text = "".join(path.read_text() for path in folder.rglob("*.html"))
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    said = set(re.findall(r"""\b(?:t|column)\(\s*["']([a-z_]+\.\w+)["']""", text))
    named = said | set(re.findall(r"""["']([a-z_]+\.[a-z_]+)["']""", text))
    begun = (*re.findall(r"""["']([a-z_]+\.)["']""", text), *re.findall(r'f"([a-z_]+\.){', code))
    for language in words.LANGUAGES:
        known = set(words.known(language))
        assert said <= known
        # Others may be names of files.
        sections = {each.split(".")[0] for each in known}
        assert {name for name in named if name.split(".")[0] in sections} <= known
        unused = {
            name
            for name in known - named
            if f'"{name}"' not in code and not name.startswith(begun) and not name.endswith(".title")
        }
        assert not unused


def test_every_stable_code_and_status_has_its_words() -> None:
    known = set(words.known("vi"))
    assert {f"code.{name}" for name in CODES} == {name for name in known if name.startswith("code.")}
    assert {f"status.{name}" for name in STATUS_CODES} == {
        name for name in known if name.startswith("status.")
    }


@pytest.mark.parametrize("path", ["/", "/livez", "/login", "/api/v1/volumes", "/nothing", "/?token=x"])
async def test_every_answer_has_safe_headers(desk: Desk, path: str) -> None:
    headers = (await desk.get(path)).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8080", 200), ("127.0.0.1", 200), ("[::1]:8080", 200), ("axis.example:1", 200),
     ("AXIS:8080", 200), ("rebound.example", 421), ("localhost.evil.example:80", 421),
     ("localhost:", 200), ("localhost:65536", 421), ("localhost:x", 421), ("[::1]:x", 421)],
)  # fmt: skip
async def test_other_host_names_are_turned_away(desk: Desk, host: str, status: int) -> None:
    assert (await desk.get("/livez", Host=host)).status == status


async def test_the_api_answers_as_the_commands_do(desk: Desk) -> None:
    volumes = await desk.api("/api/v1/volumes")
    assert volumes["total"]["addressed"] == 3
    assert (await desk.api("/api/v1/volumes?by=day&kind=status"))["total"]["addressed"] == 1
    assert len((await desk.api("/api/v1/volumes?subtree=G14"))["rows"]) == 2
    traffic = await desk.api("/api/v1/traffic?from=000.00.00.G22&text=quyet+dinh&since=2020-01-01&limit=2")
    assert [line["event"] for line in traffic["events"]] == ["received", "refused"]
    document_id = next(iter(desk.history.sent))
    document = await desk.api(f"/api/v1/documents/{document_id}")
    assert (document["state"], document["header"]["sender_unit"]) == ("partly_refused", "G22")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/documents/none", 404, "document_unknown"),
        ("/api/v1/volumes?by=year", 422, "field_invalid"),
        ("/api/v1/volumes?month=2026-13", 422, "field_invalid"),
        ("/api/v1/traffic?limit=0", 422, "field_invalid"),
        ("/api/v1/traffic?since=yesterday", 422, "field_invalid"),
        ("/api/v1/traffic?from=nobody", 422, "field_invalid"),
    ],
)
async def test_bad_questions_get_a_problem(desk: Desk, path: str, status: int, code: str) -> None:
    response = await desk.get(path, Authorization=f"Bearer {TOKEN}")
    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert (await response.json(content_type=None))["code"] == code


async def samples(desk: Desk) -> dict[tuple[str, ...], float]:
    text = await (await desk.get("/metrics")).text()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_are_the_views_own_numbers(desk: Desk) -> None:
    desk.metrics.appended(0.002, 3, 14)
    found = await samples(desk)
    expected = {
        ("axis_documents_accepted_total",): 2,
        ("axis_statuses_accepted_total",): 1,
        ("axis_receipts_total", "received"): 1,
        ("axis_receipts_total", "refused"): 1,
        ("axis_rejected_total", "id_reused"): 3,
        ("axis_deliveries_in_flight",): 1,
        ("axis_delivery_seconds_count",): 2,
        ("axis_delivery_seconds_sum",): 6.0,
        ("axis_delivery_seconds_bucket", "2.5"): 0,
        ("axis_delivery_seconds_bucket", "5.0"): 2,
        ("axis_journal_append_seconds_count",): 1,
        ("axis_journal_records_total",): 3,
        ("axis_journal_head",): 14,
        ("axis_unit_documents_total", "sent", "G22"): 1,
        ("axis_unit_documents_total", "received", "G14"): 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert ("axis_unit_documents_total", "received", "G14.01") not in found
    assert found["axis_certificate_expiry_seconds", "axis"] > 100 * DAY / 1000


async def test_metrics_of_views_that_are_built_anew_say_nothing(desk: Desk) -> None:
    def told() -> bytes:
        return desk.metrics.of_views()

    whole = await asyncio.to_thread(told)
    assert b"axis_documents_accepted_total 2.0" in whole
    half = MemoryJournal("j", reduce)
    (frame,) = desk.history.journal.frames(0, 1)
    await half.append(half.head(), frame, reduce(frame, half))
    desk.views.rebuild(half)
    assert await asyncio.to_thread(told) == b"", "a count that begins again at 0 is no count"
    desk.views.rebuild(desk.history.journal)
    assert await asyncio.to_thread(told) == whole
    begun = ConsoleMetrics(desk.views.path, lambda: desk.history.now)
    begun.head(desk.history.journal.head().sequence + 1)
    assert await asyncio.to_thread(begun.of_views) == b"", "the views lack what the journal had"
    await half.close()


async def test_metrics_answer_without_views(tmp_path: Path) -> None:
    metrics = ConsoleMetrics(tmp_path / "none.sqlite", lambda: 0)
    metrics.head(5)
    assert await asyncio.to_thread(metrics.of_views) == b""
    assert "axis_journal_head 5.0" in metrics.of_process().decode()


async def test_the_traffic_page_filters_and_says_what_is_wrong(desk: Desk) -> None:
    async def page(query: str) -> tuple[int, str]:
        response = await desk.get(f"/traffic?{query}", Authorization=f"Bearer {TOKEN}")
        return response.status, await response.text()

    status, text = await page("text=quyet+dinh&event=refused&unit=G22&direction=from")
    assert (status, text.count("<tr id=")) == (200, 1)
    assert "sai nơi nhận" in text
    assert (await page("text=khong+co"))[1].count("<tr id=") == 0
    for query in (
        "event=x",
        "since=yesterday",
        "limit=0",
        "before=-1",
        "kind=x",
        "unit=Z99",
        "text=" + "a" * 501,
    ):
        status, text = await page(query)
        assert (status, query.partition("=")[0] in text or "Z99" in text) == (422, True), query


async def test_exports_hold_every_row_of_the_filter(desk: Desk) -> None:
    for number in range(1200):
        await desk.history.send("G14", ["G22"], [], f"=1+{number}" if number % 2 else f"Số {number}")
    await desk.catch_up()
    answer = await desk.get("/traffic.csv?kind=document&event=accepted", Authorization=f"Bearer {TOKEN}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="traffic.csv"'
    rows = list(csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
    assert len(rows) == 1202
    assert rows[0]["subject"] == "'=1+1199"
    lines = await (
        await desk.get("/traffic.ndjson?unit=G14&direction=from", Authorization=f"Bearer {TOKEN}")
    ).text()
    found = [json.loads(line) for line in lines.splitlines()]
    assert [line["sequence"] for line in found] == sorted((line["sequence"] for line in found), reverse=True)
    assert sum(line["event"] == "accepted" for line in found) == 1201
    wrong = await desk.get("/traffic.csv?event=x", Authorization=f"Bearer {TOKEN}")
    assert (wrong.status, (await wrong.json(content_type=None))["code"]) == (422, "field_invalid")


async def test_the_twin_pages_back_and_forth(desk: Desk) -> None:
    newest = await desk.api("/api/v1/traffic?limit=4")
    older = await desk.api(f"/api/v1/traffic?limit=4&before={newest['older']}")
    assert newest["events"][0]["sequence"] == older["events"][-1]["sequence"] + 1
    assert (await desk.api(f"/api/v1/traffic?after={newest['newer']}"))["events"] == []


async def test_who_begins_at_the_beginning_misses_nothing(desk: Desk) -> None:
    head, after, seen = desk.history.journal.head().sequence, 0, list[int]()
    while after < head:
        found = await desk.api(f"/api/v1/traffic?after={after}&limit=4")
        seen += [line["sequence"] for line in found["events"]]
        after = found["newer"]
    assert seen == list(range(1, head + 1))
    oldest = await (await desk.get("/traffic?after=0&limit=1", Authorization=f"Bearer {TOKEN}")).text()
    newest = await (await desk.get("/traffic?after=&limit=1", Authorization=f"Bearer {TOKEN}")).text()
    assert ('id="e1"' in oldest, f'id="e{head}"' in newest) == (True, True)
