"""Runs of audits as a serving node keeps them."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from axis.app.audits import Audits
from axis.app.home import init_home
from axis.app.node import open_home
from axis.core.errors import Refusal
from axis.durable import write_whole
from tests.support.flow import HandClock


async def test_one_at_a_time_and_what_was_cut_short_is_seen_to_be(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def sync() -> None:
        going.set()
        await asyncio.Event().wait()

    audits = Audits(tmp_path, HandClock(), sync)
    begun = await audits.start("rin", quick=True)
    await asyncio.wait_for(going.wait(), 10)
    with pytest.raises(Refusal, match="under way"):
        await audits.start("oanh", quick=False)
    assert [(run["id"], run["state"], run["by"]) for run in audits.all()] == [(begun["id"], "running", "rin")]
    # A power cut now leaves the file as it stands: another node's start sees that it never ended.
    assert [run["state"] for run in Audits(tmp_path, HandClock(), sync).all()] == ["interrupted"]
    await audits.close()
    assert [run["state"] for run in audits.all()] == ["interrupted"]


async def test_what_cannot_be_run_says_why_and_the_oldest_go(tmp_path: Path) -> None:
    (tmp_path / "audits").mkdir()
    for n in range(60):
        (tmp_path / "audits" / f"{n:015d}.json").write_text(json.dumps({"id": f"{n:015d}", "state": "done"}))

    async def sync() -> None:
        raise OSError("no space left on device")

    audits = Audits(tmp_path, HandClock(), sync)
    begun = await audits.start("rin", quick=False)
    async with asyncio.timeout(10):
        while audits.all()[0]["state"] == "running":
            await asyncio.sleep(0)
    newest = audits.all()[0]
    assert (newest["id"], newest["state"], newest["report"]) == (begun["id"], "failed", None)
    assert "no space left" in newest["detail"]
    assert len(audits.all()) == 50
    assert audits.all()[-1]["id"] == f"{11:015d}"


async def test_an_end_is_shown_when_it_is_kept_and_the_loop_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_thread, writing, go = threading.get_ident(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(path: Path, data: bytes, mode: int | None = None) -> None:
        assert threading.get_ident() != loop_thread
        if json.loads(data)["state"] != "running":
            loop.call_soon_threadsafe(writing.set)
            assert go.wait(20)
        write_whole(path, data, mode)

    async def sync() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("axis.app.audits.write_whole", slow)
    audits = Audits(tmp_path, HandClock(), sync)
    try:
        await audits.start("rin", quick=True)
        async with asyncio.timeout(10):
            await writing.wait()
        assert audits.all()[0]["state"] == "running"
        with pytest.raises(Refusal, match="under way"):
            await audits.start("oanh", quick=False)
    finally:
        go.set()
    async with asyncio.timeout(10):
        while (state := audits.all()[0]["state"]) == "running":
            await asyncio.sleep(0.01)
    assert state == "failed"


async def test_its_process_imports_nothing_of_the_working_directory_and_knows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, beside, path = (tmp_path / name for name in ("home", "beside", "path"))
    (beside / "axis").mkdir(parents=True)
    (beside / "axis" / "__init__.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    path.mkdir()
    (path / "sitecustomize.py").write_text(
        "import json, os, pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'told')!r}).write_text(json.dumps([sys.orig_argv, dict(os.environ)]))"
    )
    home.mkdir()
    monkeypatch.chdir(beside)
    monkeypatch.setenv("A_SECRET", "of the node")
    monkeypatch.setenv("PYTHONPATH", str(path))

    async def sync() -> None:
        pass

    audits = Audits(Path("../home"), HandClock(), sync)
    await audits.start("rin", quick=True)
    async with asyncio.timeout(30):
        while audits.all()[0]["state"] == "running":
            await asyncio.sleep(0.01)
    assert "process ended" in audits.all()[0]["detail"], "the home holds nothing"
    arguments, environment = json.loads((tmp_path / "told").read_text())
    assert str(home) in arguments
    assert "A_SECRET" not in environment
    assert not (beside / "imported").exists()


async def test_views_that_are_stuck_are_a_problem_and_no_end(tmp_path: Path) -> None:
    home = tmp_path / "axis"
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")
    async with open_home(home):
        pass  # its first start founds the journal

    async def sync() -> None:
        raise Refusal("unavailable", "the views do not move")

    audits = Audits(home, HandClock(), sync)
    await audits.start("rin", quick=True)
    async with asyncio.timeout(60):
        while (newest := audits.all()[0])["state"] == "running":
            await asyncio.sleep(0.05)
    first = newest["report"]["problems"][0]
    assert (newest["state"], first["sequence"], first["code"]) == ("done", 0, "views_behind")
    assert "the views do not move" in first["detail"]
    assert (newest["report"]["records"] > 0, newest["report"]["incomplete"]) == (True, False)
