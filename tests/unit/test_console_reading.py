"""Nothing that is read or written for a page takes the node's time from the agencies."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from axis.console.api import json_answer
from axis.console.reading import Reading
from axis.console.told import Told, told
from axis.console.words import translator
from axis.core.errors import Refusal
from axis.views.projection import Views
from tests.support.console import TOKEN, Desk, desk_in

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def views(tmp_path: Path) -> Any:
    opened = Views.open(tmp_path / "views.sqlite")
    yield opened
    opened.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        yield made


async def test_a_query_that_lasts_too_long_is_ended(views: Views) -> None:
    reading = Reading(views, longest=0.05)

    def endless(connection: sqlite3.Connection) -> Any:
        return connection.execute(ENDLESS).fetchone()

    async with asyncio.timeout(20):
        for way in (reading.read, reading.count):
            with pytest.raises(Refusal, match="takes too long") as refused:
                await way(endless)
            assert (refused.value.name, refused.value.retry_after) == ("unavailable", 30)
        with pytest.raises(Refusal, match="takes too long"):
            async for _ in reading.each(lambda connection: (endless(connection) for once in "1")):
                pass


async def test_reports_wait_for_each_other_and_nobody_for_them(views: Views) -> None:
    reading, go, begun = Reading(views), threading.Event(), threading.Semaphore(0)
    running: list[int] = []
    most: list[int] = []

    def counting(_: sqlite3.Connection) -> int:
        running.append(1)
        most.append(len(running))
        begun.release()
        go.wait(20)
        running.pop()
        return 1

    try:
        reports = [asyncio.create_task(reading.count(counting)) for _ in range(10)]
        for _ in range(2):
            await asyncio.to_thread(begun.acquire, timeout=20)
        # Who goes away leaves a thread at work: the bound is on the work.
        reports[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await reports[0]
        assert await reading.read(lambda views: views.execute("SELECT 7").fetchone()[0]) == 7
        with pytest.raises(Refusal, match="too many") as refused:
            await reading.count(counting)
        assert (refused.value.name, refused.value.retry_after) == ("unavailable", 10)
    finally:
        go.set()
    assert set(await asyncio.gather(*reports[1:])) == {1}
    assert max(most) == 2


async def test_no_kind_of_work_keeps_another_waiting(views: Views) -> None:
    reading, go, begun = Reading(views), threading.Event(), threading.Semaphore(0)

    def hold(*_: object) -> int:
        begun.release()
        go.wait(20)
        return 1

    async def exported() -> int:
        return sum([part async for part in reading.each(lambda _: (hold() for _ in range(2)))])

    busy = {
        "pages": (lambda: reading.read(hold), 4, 132),
        "reports": (lambda: reading.count(hold), 2, 10),
        "answers": (lambda: reading.compute(hold), 2, 130),
        "exports": (exported, 2, 128),
    }
    free = {
        "pages": lambda: reading.read(lambda _: 2),
        "reports": lambda: reading.count(lambda _: 2),
        "answers": lambda: reading.compute(lambda: 2),
        "exports": lambda: reading.follow(lambda _: 2),
    }
    for name, (work, threads, most) in busy.items():
        tasks = [asyncio.ensure_future(work()) for _ in range(most)]
        try:
            for _ in range(threads):
                assert await asyncio.to_thread(begun.acquire, timeout=20)
            for other, small in free.items():
                if other != name:
                    async with asyncio.timeout(20):
                        assert await small() == 2
            with pytest.raises(Refusal, match=f"too many {name}") as refused:
                await free[name]()
            assert (refused.value.name, refused.value.retry_after) == ("unavailable", 10)
            assert told(translator("en"), refused.value) == Told("Too many ask at once: try again in 10 s.")
        finally:
            go.set()
        assert set(await asyncio.gather(*tasks)) <= {1, 2}
        async with asyncio.timeout(20):
            assert await free[name]() == 2
        go.clear()
        while begun.acquire(blocking=False):
            pass


@pytest.mark.parametrize(
    ("language", "said"), [("vi", "hãy chọn kỳ ngắn hơn"), ("en", "ask for a shorter period")]
)
async def test_a_page_that_takes_too_long_says_what_helps(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setattr(Reading, "_limit", lambda _, views, *__: views.set_progress_handler(lambda: 1, 99))
    monkeypatch.setattr("axis.console.units.branches", lambda views, *_: views.execute(ENDLESS).fetchone())
    cookie = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"axis_language={language}"}
    page = await desk.get("/units?period=all", Accept="text/html", **cookie)
    text = await page.text()
    assert (page.status, page.headers["Retry-After"]) == (503, "30")
    assert said in text
    assert "thử lại" not in text
    assert "try again" not in text


async def test_who_leaves_an_export_ends_its_query(views: Views) -> None:
    """And closes nothing that is still read through."""
    reading, begun, left = Reading(views, longest=1000), threading.Event(), threading.Event()

    def endless(connection: sqlite3.Connection) -> Iterator[Any]:
        begun.set()
        assert left.wait(20), "the query runs only after its reader has left"
        yield connection.execute(ENDLESS).fetchone()

    async def taken() -> None:
        async with aclosing(reading.each(endless)) as parts:
            await anext(parts)

    task = asyncio.create_task(taken())
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    await asyncio.wait((task,), timeout=0.1)  # it waits for the step, whose query is about to run
    assert not task.done()
    left.set()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await reading.follow(lambda _: 7) == 7


async def test_a_large_answer_is_made_beside_the_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_thread, dumped_in = threading.get_ident(), []
    dumps = json.JSONEncoder.encode

    def encode(self: json.JSONEncoder, value: object) -> str:
        if isinstance(value, list):
            assert len(value) <= 200, "one call holds the interpreter"
            dumped_in.append(threading.get_ident())
        return dumps(self, value)

    for number in range(250):
        await desk.history.register(f"H26.{number:03}", f"Đơn vị {number}")
    await desk.catch_up()
    monkeypatch.setattr(json.JSONEncoder, "encode", encode)
    answer = await desk.api("/api/v1/volumes")
    assert len(answer["rows"]) == 253
    assert len(dumped_in) == 2
    assert loop_thread not in dumped_in


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"rows": list(range(401)), "đ": None, "in": {"a": [{"x": 1.5}] * 200, "b": {}}},
        [["a"]] * 201,
        {1: "x"},
    ],
)
def test_in_pieces_it_is_the_same_json(value: object) -> None:
    assert json_answer(value).text == json.dumps(value, ensure_ascii=False)
