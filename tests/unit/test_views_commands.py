"""The looking commands: the same beside a stopped and a running node, clean JSON, right exit codes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path

import openpyxl
import pytest

from axis.app.home import init_home
from axis.app.node import open_home
from axis.commands.query import show
from axis.commands.running import table
from axis.commands.views import follow_log
from axis.core.commands import Register
from axis.views.traffic import Filter
from bench.history import History, Sent
from tests.support.commands import answer, axis

COLUMNS = (
    "code,name,parent,sent,addressed,received,refused,dead,requeued,in_flight_before,in_flight,late,"
    "bytes_sent,bytes_received"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home") / "axis"
    init_home(home, "127.0.0.1:0", "127.0.0.1:0")

    async def fill() -> None:
        async with open_home(home) as node:
            await node.sequencer.submit(Register("G22", "Văn phòng Chính phủ", "", ("000.00.00.G22",)))
            await node.sequencer.submit(Register("G14", "Bộ Tư pháp", "", ()))
            await node.sequencer.submit(Register("G15", "=1+1;@x", "", ()))

    asyncio.run(fill())
    return home


@contextmanager
def running(home: Path) -> Iterator[str]:
    """A node that serves; the console's link."""
    command = [sys.executable, "-m", "axis.cli", "serve", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as node:
        try:
            assert node.stdout is not None
            ready = node.stdout.readline()
            assert ready.startswith("axis ready")
            yield next(word for word in ready.split() if "?token=" in word)
        finally:
            node.terminate()
            assert node.wait(30) == 0


def check_answers(home: Path) -> None:
    volumes = answer("volumes", "--home", home)
    assert [row["code"] for row in volumes["rows"]] == ["G14", "G15", "G22"]
    assert set(volumes) == {"generated_at", "head", "rows", "total"}
    events = [json.loads(line) for line in axis("log", "--home", home, "--json").stdout.splitlines()]
    assert [line["event"] for line in events if line["event"] == "registered"] == ["registered"] * 3
    assert int(volumes["head"].split(":")[1]) == len(events)
    report = answer("audit", "--home", home)
    assert (report["problems"], report["volumes_equal"], report["head"]) == ([], True, volumes["head"])
    assert set(report) == {"head", "records", "root_hash", "signatures_checked", "volumes_equal", "problems"}
    rebuilt = answer("views", "rebuild", "--home", home)
    assert rebuilt["head"] == volumes["head"]
    assert answer("volumes", "--home", home)["rows"] == volumes["rows"]
    assert answer("doctor", "--home", home)["ok"] is True


def check_report(home: Path, link: str) -> None:
    """The workbook's totals are what the command says."""
    address, _, token = link.partition("/?token=")
    asked = urllib.request.Request(
        f"{address}/reports/volumes.xlsx?period=all", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=30) as response:
        sheet = openpyxl.load_workbook(io.BytesIO(response.read())).active
    assert sheet is not None
    *rows, total = sheet.iter_rows(min_row=2, values_only=True)
    volumes = answer("volumes", "--home", home)
    names = COLUMNS.split(",")
    names.insert(names.index("bytes_sent"), "on_time")
    assert [dict(zip(names, row, strict=True))["code"] for row in rows] == [
        row["code"] for row in volumes["rows"]
    ]
    found = dict(zip(names, total, strict=True))
    assert {name: found[name] for name in volumes["total"]} == volumes["total"]


def test_beside_a_stopped_node(home: Path) -> None:
    check_answers(home)


def test_beside_a_running_node(home: Path) -> None:
    with running(home) as link:
        check_answers(home)
        check_report(home, link)
        added = axis("org", "add", "H26", "--name", "Hà Giang", "--home", home, "--json")
        assert added.returncode == 0
        assert "H26" in {row["code"] for row in answer("volumes", "--home", home)["rows"]}
    with sqlite3.connect(home / "views.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM units WHERE code = 'H26'").fetchone() == (1,)
    connection.close()


def test_csv_and_filters(home: Path) -> None:
    done = axis("volumes", "--home", home, "--csv")
    assert done.stdout.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {"G14", "G22"} <= {row["code"] for row in rows}
    assert [row["name"] for row in rows if row["code"] == "G15"] == ["'=1+1;'@x"], "no spreadsheet's formula"
    assert axis("volumes", "--home", home, "--csv", "--by", "month").stdout.startswith("period,sent,")
    for period in (
        ["--quarter", "2020-Q1"],
        ["--year", "2020"],
        ["--from", "2020-01-01", "--until", "2020-01-02"],
    ):
        assert answer("volumes", "--home", home, *period)["total"]["sent"] == 0
    wrong = axis("volumes", "--home", home, "--month", "2020-01", "--year", "2020")
    assert (wrong.returncode, "field_invalid" in wrong.stderr) == (1, True)
    done = axis("log", "--home", home, "--from", "000.00.00.G22", "--event", "registered", "--json")
    assert [json.loads(line)["from"] for line in done.stdout.splitlines()] == ["G22"]
    assert "G22" in axis("log", "--home", home).stdout


@pytest.mark.parametrize(
    ("options", "units"),
    [
        (("--unit", "000.00.00.G22"), ["G22"]),
        (("--unit", "G22", "--direction", "to"), []),
        (("--subtree", "G14", "--event", "registered"), ["G14"]),
        (("--kind", "status"), []),
        (("--number", "274/QĐ"), []),
        (("--outcome", "dead"), []),
        (("--unit", "G22", "--reason", "nobody's"), []),
    ],
)
def test_the_log_of_a_unit_a_kind_a_number(home: Path, options: tuple[str, ...], units: list[str]) -> None:
    done = axis("log", "--home", home, "--json", *options)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["from"] for line in done.stdout.splitlines()] == units


def test_following_misses_nothing(home: Path) -> None:
    following = follow_log(home, Filter(event="registered", limit=1), True)
    (before,) = next(following)
    for code in ("K01", "K02"):
        assert axis("org", "add", code, "--name", "Mới", "--home", home, "--json").returncode == 0
    assert [line["from"] for line in next(following)] == ["K01", "K02"]
    assert before["from"] != "K01"
    following.close()


class Terminal(io.StringIO):
    """What a terminal is given."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdout", [Terminal(), io.StringIO()])
def test_what_others_wrote_is_shown_as_text(stdout: io.StringIO) -> None:
    text = "[/red]<b>\x1b[2J\tx\n\u202e"
    with redirect_stdout(stdout):
        table([{"what": text}], ("what",), style=lambda _: "red")
    shown = stdout.getvalue()
    assert "[/red]<b>" in shown
    assert not any(odd in shown for odd in ("\x1b[2J", "\tx", "x\n ", "\u202e"))


def test_a_document_s_texts_are_shown_as_text(tmp_path: Path) -> None:
    home = tmp_path / "axis"
    init_home(home, "127.0.0.1:0", "127.0.0.1:0")

    async def fill() -> Sent:
        async with open_home(home) as node:
            history = History(node.journal, node.clock.now())
            await history.register("G22")
            odd = await history.send("G22", ["G22"], [1], "a\nstate: \x1b[2J", names=["b\x1b]0;c\x07.pdf"])
            await history.report("G22", "G22", odd.document_id, note="d\x1b[2J")
            await history.flush()
            return odd

    sent = asyncio.run(fill())
    with redirect_stdout(Terminal()) as stdout:
        show(sent.document_id, home)
    shown = stdout.getvalue()
    assert "\nsubject: a state:  [2J\n" in shown
    assert "\nattachment: b ]0;c .pdf (" in shown
    assert "d [2J\n" in shown
    assert not any(odd in shown for odd in ("\x1b[2J", "\x1b]0", "\x07"))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("show", "no-such-document"), 1, "refused [document_unknown]"),
        (("log", "--from", "X99"), 1, "refused [field_invalid]"),
        (("volumes", "--month", "2026-13"), 1, "refused [field_invalid]"),
        (("log", "--since", "yesterday"), 2, "yesterday"),
        (("volumes", "--by", "year"), 2, "year"),
        (("log", "--kind", "letter"), 2, "letter"),
        (("log", "--event", "recieved"), 2, "token_issued"),
        (("log", "--subtree", "X99"), 1, "refused [field_invalid]"),
    ],
)
def test_what_cannot_be_answered(home: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    done = axis(*arguments, "--home", home, "--json")
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr


@pytest.mark.parametrize("command", ["volumes", "log", "audit", "doctor"])
def test_no_home_cannot_run(tmp_path: Path, command: str) -> None:
    done = axis(command, "--home", tmp_path)
    assert done.returncode == 2
    assert "no axis home" in done.stderr


def change(path: Path, statement: str) -> None:
    """One change, past the guards against changes."""
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement).rowcount == 1
        connection.commit()


@pytest.mark.parametrize(
    ("file", "statement", "code"),
    [
        (
            "journal.sqlite",
            "UPDATE frames SET raw = substr(raw, 1, length(raw) - 1) WHERE number = 2",
            "frame_changed",
        ),
        ("journal.sqlite", "DELETE FROM frames WHERE number = 2", "frame_missing"),
        (
            "journal.sqlite",
            "DELETE FROM frames WHERE number = (SELECT max(number) FROM frames)",
            "head_mismatch",
        ),
        ("views.sqlite", "UPDATE units SET name = 'x' WHERE code = 'G14'", "view_row_changed"),
        ("views.sqlite", "DELETE FROM units WHERE code = 'G14'", "view_row_missing"),
        ("views.sqlite", "UPDATE position SET sha256 = zeroblob(32)", "view_row_changed"),
        ("views.sqlite", "UPDATE position SET version = version + 1", "view_row_changed"),
        ("views.sqlite", "UPDATE position SET journal_id = 'x'", "view_row_changed"),
        ("journal.sqlite", "UPDATE head SET at = at + 1", "head_mismatch"),
        ("journal.sqlite", "UPDATE head SET at = at + 1", "journal_broken"),
        ("journal.sqlite", "DELETE FROM journal", "journal_invalid"),
    ],
)
def test_the_audit_names_damage(home: Path, tmp_path: Path, file: str, statement: str, code: str) -> None:
    answer("volumes", "--home", home)
    copy = tmp_path / "axis"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("control.sock"))
    change(copy / file, statement)
    done = axis("audit", "--home", copy, "--json")
    assert done.returncode == 1, done.stderr
    assert code in {problem["code"] for problem in json.loads(done.stdout)["problems"]}
    done = axis("audit", "--home", copy)
    assert (done.returncode, f"[{code}]" in done.stdout) == (1, True)


def test_a_quick_audit_says_what_it_leaves_out(home: Path) -> None:
    answer("volumes", "--home", home)
    assert "attachments not read" not in axis("audit", "--home", home).stderr
    for more in ([], ["--json"]):
        assert "attachments not read" in axis("audit", "--home", home, "--quick", *more).stderr


def test_the_doctor_says_what_to_do(home: Path) -> None:
    key = home / "keys" / "sign.key"
    key.chmod(0o644)
    try:
        done = axis("doctor", "--home", home)
        assert done.returncode == 1
        assert f"chmod go-rwx {key}" in done.stdout
    finally:
        key.chmod(0o600)
