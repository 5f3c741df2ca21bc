"""Answers that go on: live rows and figures, and exports; while they may be seen, and whole or cut off."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp_sse import EventSourceResponse

from axis.console import sending
from axis.console.accounts import hash_password
from axis.console.live import PER_LOG_IN
from axis.console.roles import Role
from axis.console.sessions import IDLE_SECONDS
from axis.core.errors import Refusal
from axis.views import criteria, recorder
from axis.views.projection import Views
from axis.views.traffic import Filter, Page, page
from tests.support.console import TOKEN, Desk, desk_in

PASSWORD = "một mật khẩu dài"
HASH = hash_password(PASSWORD)
LINK = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def cookie(desk: Desk) -> dict[str, str]:
    """Somebody's log-in, as a browser sends it."""
    desk.accounts.add("an", Role.OPERATOR, password=HASH, at=1)
    answer = await desk.client.post(
        "/login", data={"name": "an", "password": PASSWORD}, allow_redirects=False
    )
    desk.client.session.cookie_jar.clear()
    return {"Cookie": f"axis_console={answer.cookies['axis_console'].value}"}


async def event(desk: Desk) -> None:
    await desk.history.send("G22", ["G14"])
    await desk.catch_up()


async def until_ended(response: aiohttp.ClientResponse) -> str:
    """All that still comes."""
    text = ""
    with contextlib.suppress(aiohttp.ClientError):
        async for line in response.content:
            text += line.decode()
    return text


async def line_with(response: aiohttp.ClientResponse, word: str) -> str:
    while word not in (line := (await response.content.readline()).decode()):
        assert line, "ended before"
    return line


@pytest.mark.parametrize("query", ["until=2020-01-01", "until=2020-01-01&unit=G14", "text=nothing-of-it"])
async def test_a_tail_that_finds_nothing_looks_once_for_each_event(
    desk: Desk, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        looks.append(1)
        return page(*arguments, **options)

    monkeypatch.setattr("axis.console.traffic.page", counted)
    async with asyncio.timeout(20), desk.client.get(f"/live/traffic?{query}", headers=LINK) as tail:
        assert tail.status == 200
        while not looks:
            await asyncio.sleep(0)
        async with desk.client.get("/live/overview", headers=LINK) as beside:
            await line_with(beside, "event: part")
            for _ in range(2):
                await event(desk)
                await line_with(beside, "event: part")
    assert 1 <= len(looks) <= 3


async def test_views_that_are_built_anew_send_nothing_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    going_back = [True]

    def found(views: sqlite3.Connection, wanted: Filter, **options: Any) -> Page:
        asked.append(wanted.after)
        if going_back.pop() if going_back else False:
            return Page([], None, 0, True, 0, 0)  # as views say that begin again
        return page(views, wanted, **options)

    monkeypatch.setattr("axis.console.traffic.page", found)
    head = desk.history.journal.head().sequence
    async with (
        asyncio.timeout(20),
        desk.client.get(f"/live/traffic?after={head - 1}", headers=LINK) as tail,
    ):
        first = await line_with(tail, 'id="e')
    assert f'id="e{head}"' in first
    assert asked[:2] == [head - 1, head - 1]


async def test_a_reader_that_went_before_a_stream_began_is_no_fault(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def gone(*_: object) -> None:
        tried.set()
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(EventSourceResponse, "prepare", gone)
    with contextlib.suppress(aiohttp.ClientError):
        await desk.get("/live/overview", **LINK)
    assert tried.is_set()
    assert [record for record in caplog.records if record.exc_info] == []


async def test_what_has_an_end_is_not_followed(desk: Desk) -> None:
    newest = await (await desk.get("/traffic", **LINK)).text()
    over = await (await desk.get("/traffic?until=2020-01-01", **LINK)).text()
    assert ("data-tail" in newest, "data-tail" in over) == (True, False)
    refused = await desk.get("/live/traffic?before=5", **LINK)
    assert (refused.status, (await refused.json(content_type=None))["code"]) == (422, "field_invalid")


@pytest.mark.parametrize("path", ["/live/overview", "/live/traffic", "/live/audit"])
@pytest.mark.parametrize("end", ["log out", "disable", "idle"])
async def test_a_stream_ends_with_its_log_in(desk: Desk, path: str, end: str) -> None:
    given = await cookie(desk)
    async with asyncio.timeout(20), desk.client.get(path, headers=given) as stream:
        await line_with(stream, "event: ")
        if end == "log out":
            csrf = (await (await desk.get("/", **given)).text()).partition('name="csrf" value="')[2][:43]
            out = await desk.client.post("/logout", data={"csrf": csrf}, headers=given, allow_redirects=False)
            assert out.status == 303
        elif end == "disable":
            desk.accounts.change("an", disabled=True, at=2)
        else:
            desk.seconds[0] += IDLE_SECONDS + 1
        await desk.history.send("G22", ["G14"], [], "Không ai xem nữa")
        await desk.catch_up()
        assert "Không ai xem nữa" not in await until_ended(stream)


async def test_a_stream_ends_when_the_role_changes_without_an_event(desk: Desk) -> None:
    given = await cookie(desk)
    async with asyncio.timeout(20), desk.client.get("/live/overview", headers=given) as stream:
        await line_with(stream, "event: ")
        desk.accounts.change("an", role=Role.VIEWER, at=2)
        await until_ended(stream)


async def test_closed_streams_give_their_places_back(desk: Desk) -> None:
    async with asyncio.timeout(30):
        url = f"{desk.url}/live/traffic?after=999"
        async with contextlib.AsyncExitStack() as readers:
            for _ in range(PER_LOG_IN):
                session = await readers.enter_async_context(aiohttp.ClientSession())
                stream = await readers.enter_async_context(session.get(url, headers=LINK))
                assert stream.status == 200
            assert (await desk.get("/live/overview", **LINK)).status == 503
            given = await cookie(desk)
            async with desk.client.get("/live/overview", headers=given) as other:
                assert other.status == 200
        while (await desk.get("/live/overview", **LINK)).status != 200:
            await asyncio.sleep(0.05)


async def test_the_first_page_follows_through_one_stream(desk: Desk) -> None:
    text = await (await desk.get("/", **LINK)).text()
    assert text.count("/live/overview?after=") == 3
    assert "/live/traffic" not in text
    assert 'data-ended="Trang này không còn tự cập nhật' in text
    after = text.partition("/live/overview?after=")[2].partition('"')[0]
    async with (
        asyncio.timeout(20),
        desk.client.get(f"/live/overview?after={after}", headers=LINK) as stream,
    ):
        await event(desk)
        await line_with(stream, "event: part")
        await line_with(stream, "event: charts")
        await line_with(stream, f"/charts/days.svg?at={int(after) + 1}")
        await line_with(stream, "event: rows")
        assert f'id="e{int(after) + 1}"' in await line_with(stream, "<tr id=")


def pages(count: int) -> Iterator[list[dict[str, object]]]:
    for number in range(count):
        yield [{"sequence": number, "subject": "x" * 200}] * 500


async def test_an_export_of_what_hardly_occurs_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: each look at the log is a step of its own, and what comes of it is sent."""
    for module in (criteria, recorder):
        monkeypatch.setattr(module, "BLOCK_BITS", 2)
    monkeypatch.setattr(criteria, "_SHORT", 1)
    clock, steps = [0.0], []

    def slow(views: sqlite3.Connection, wanted: Filter, **options: Any) -> Page:
        clock[0] += 15  # a query may last 20 s
        steps.append(page(views, wanted, budget=0, **options))
        return steps[-1]

    async with desk_in(tmp_path) as desk:
        for subject in ("Điều hiếm", *["Việc thường"] * 20, "Điều hiếm"):
            await desk.history.send("G22", ["G14"], [], subject)
        await desk.catch_up()
        query = "kind=document&text=hiem"
        events = (await desk.api(f"/api/v1/traffic?{query}"))["events"]
        assert len(events) == 2
        monkeypatch.setattr("axis.console.reading._STEPS", 1)
        monkeypatch.setattr("axis.console.reading.time", SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr("axis.views.traffic.page", slow)
        for path in ("/traffic.ndjson", "/traffic.csv"):
            steps.clear()
            answer = await desk.get(f"{path}?{query}", **LINK)
            assert answer.status == 200
            *_, newest, oldest = (await answer.text()).splitlines()
            assert len(steps) > 5
            assert all(len(step.lines) <= 4 for step in steps)
            for event, line in zip(events, (oldest, newest), strict=True):
                assert event["document_id"] in line


async def test_an_export_that_nobody_reads_any_more_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that has found nothing to send for long."""
    ended = threading.Event()

    def nothing(*_: object) -> Iterator[list[dict[str, object]]]:
        try:
            while True:
                yield []
        finally:
            ended.set()

    monkeypatch.setattr("axis.console.traffic.every_page", nothing)
    answer = await desk.get("/traffic.csv", **LINK)
    assert (await answer.content.readline()).startswith(b"\xef\xbb\xbfsequence,")
    answer.close()
    assert await asyncio.to_thread(ended.wait, 20)


async def test_the_node_is_watched_while_every_reader_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Semaphore(0)

    def held(*_: object, **__: object) -> Any:
        begun.release()
        go.wait(20)
        raise Refusal("unavailable", "for a test")

    def exported(*_: object) -> Iterator[list[dict[str, object]]]:
        yield held()

    monkeypatch.setattr("axis.console.api.page", held)
    monkeypatch.setattr("axis.console.traffic.every_page", exported)
    paths = ["/api/v1/traffic"] * 6 + ["/traffic.csv"] * 4
    asked = [asyncio.create_task(desk.get(path, **LINK)) for path in paths]
    try:
        for _ in range(4 + 2):
            assert await asyncio.to_thread(begun.acquire, timeout=20)
        async with asyncio.timeout(10):
            for path in ("/livez", "/readyz?verbose", "/metrics"):
                assert (await desk.get(path)).status == 200
    finally:
        go.set()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {503}


async def test_an_export_that_fails_half_way_is_cut_off(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(*_: object) -> Iterator[list[dict[str, object]]]:
        yield from pages(2)
        raise Refusal("unavailable", "the views are being built anew", retry_after=5)

    monkeypatch.setattr("axis.console.traffic.every_page", half)
    answer = await desk.get("/traffic.ndjson", **LINK)
    assert answer.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()


@pytest.mark.parametrize("path", ["/traffic.csv", "/traffic.ndjson", "/reports/volumes.csv"])
async def test_head_of_a_file_is_its_headers_alone(desk: Desk, path: str) -> None:
    """Else its rows would be taken for the answer to the next request of the connection."""
    reader, writer = await asyncio.open_connection(desk.client.host, desk.client.port)
    asked = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"HEAD {path} HTTP/1.1\r\n{asked}\r\nGET /livez HTTP/1.1\r\n{asked}\r\n".encode())
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(3) == b"ok\n"
    writer.close()
    await writer.wait_closed()


async def test_an_export_ends_with_its_log_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axis.console.traffic.every_page", lambda *_: pages(2000))
    given = await cookie(desk)
    answer = await desk.get("/traffic.ndjson", **given)
    assert answer.status == 200
    await answer.content.readline()
    desk.accounts.change("an", disabled=True, at=2)
    async with asyncio.timeout(20):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_readers_that_take_nothing_lose_their_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axis.console.traffic.every_page", lambda *_: pages(2000))
    slow = [await desk.get("/traffic.ndjson", **LINK) for _ in range(4)]
    assert (await desk.get("/traffic.ndjson", **LINK)).status == 503
    monkeypatch.setattr(sending, "_WRITE_SECONDS", 0.1)
    monkeypatch.setattr("axis.console.traffic.every_page", lambda *_: pages(1))
    async with asyncio.timeout(20):
        while (await desk.get("/traffic.ndjson", **LINK)).status != 200:
            await asyncio.sleep(0.05)
    for answer in slow:
        answer.close()


async def test_damaged_views_are_said_to_be_and_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()
    reader = Views.reader

    def damaged(_: Views) -> sqlite3.Connection:
        loop.call_soon_threadsafe(looked.set)
        raise sqlite3.DatabaseError("database disk image is malformed")

    async with asyncio.timeout(20), desk.client.get("/live/overview?after=1", headers=LINK) as stream:
        await line_with(stream, "event: rows")
        monkeypatch.setattr(Views, "reader", damaged)
        await looked.wait()
        for path in ("/api/v1/volumes", "/traffic.csv"):
            answer = await desk.get(path, **LINK)
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "unavailable")
        monkeypatch.setattr(Views, "reader", reader)
        await event(desk)
        await line_with(stream, "event: rows")
