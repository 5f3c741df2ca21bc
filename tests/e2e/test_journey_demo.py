"""`axis demo` as a user runs it, then everything that its home is asked afterwards.

One run of 200 documents serves the whole module; tests that damage something work on a copy.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import envelope_pb2, journal_pb2

from axis.core.envelope import Envelope, Kind

pytestmark = pytest.mark.e2e

DOCUMENTS = 200


def run(module: str, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def answer(module: str, *arguments: str) -> Any:
    done = run(module, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("demo") / "axis"
    done = run(
        "axis.cli",
        *("demo", "--home", str(home), "--documents", str(DOCUMENTS), "--exit", "--json"),
        *("--console", "127.0.0.1:0"),
    )
    assert done.returncode == 0, done.stderr
    assert "first document received by all" in done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_everything_sent_is_receipted(demo: dict[str, Any]) -> None:
    assert demo["documents_sent"] == DOCUMENTS
    assert demo["receipts"] == demo["deliveries"] > DOCUMENTS
    assert (demo["lost"], demo["dead"], demo["refused"]) == (0, 0, 0)
    assert len(demo["document_ids"]) == 100
    assert demo["units"][0]["code"] == "G22"
    assert len(demo["units"]) == len(demo["agencies"]) == 6
    assert sum(unit["sent"] for unit in demo["units"]) == DOCUMENTS
    assert sum(unit["received"] for unit in demo["units"]) == demo["deliveries"]


def test_the_axis_counts_the_same_and_its_identity_holds(demo: dict[str, Any]) -> None:
    volumes = answer("axis.cli", "volumes", "--home", demo["home"])
    assert volumes["total"]["sent"] == DOCUMENTS
    assert volumes["total"]["received"] == demo["deliveries"]
    by_code = {row["code"]: row for row in volumes["rows"]}
    for unit in demo["units"]:
        row = by_code[unit["code"]]
        assert (row["sent"], row["received"]) == (unit["sent"], unit["received"])
    for row in [*volumes["rows"], volumes["total"]]:
        into = row["in_flight_before"] + row["addressed"] + row["requeued"]
        assert into == row["received"] + row["refused"] + row["dead"] + row["in_flight"]


def test_each_agency_counts_the_same_by_itself(demo: dict[str, Any]) -> None:
    axis_rows = {row["code"]: row for row in answer("axis.cli", "volumes", "--home", demo["home"])["rows"]}
    counts = ("sent", "addressed", "received", "refused", "dead", "in_flight", "bytes_sent", "bytes_received")
    for agency in demo["agencies"]:
        rows = answer("agencies.cli", "volumes", "--home", agency["home"])["rows"]
        own = next(row for row in rows if row["code"] == agency["code"])
        assert {c: own[c] for c in counts} == {c: axis_rows[agency["code"]][c] for c in counts}


def test_the_audit_is_clean_and_rebuilt_views_say_the_same(demo: dict[str, Any]) -> None:
    audit = answer("axis.cli", "audit", "--home", demo["home"])
    assert audit["problems"] == []
    assert audit["volumes_equal"] is True
    # A document and its acceptance, and each receipt.
    assert audit["signatures_checked"] >= 2 * DOCUMENTS + demo["deliveries"]
    before = answer("axis.cli", "volumes", "--home", demo["home"])
    assert run("axis.cli", "views", "rebuild", "--home", demo["home"]).returncode == 0
    after = answer("axis.cli", "volumes", "--home", demo["home"])
    assert (after["rows"], after["total"]) == (before["rows"], before["total"])


def test_the_log_and_show_tell_a_document_s_life(demo: dict[str, Any]) -> None:
    document_id = demo["document_ids"][0]
    shown = answer("axis.cli", "show", document_id, "--home", demo["home"])
    assert shown["from"] == "G22"
    assert {delivery["state"] for delivery in shown["deliveries"]} == {"received"}
    done = run("axis.cli", "log", "--home", demo["home"], "--document", document_id, "--json")
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert sorted(events) == ["accepted", *["received"] * 5]


def test_a_second_demo_goes_on_with_the_home_although_its_ports_are_taken(tmp_path: Path) -> None:
    home = tmp_path / "axis"
    arguments = ("demo", "--home", str(home), "--documents", "3", "--exit", "--agencies")
    first = answer("axis.cli", *arguments, "2")
    listen = tomllib.loads((home / "axis.toml").read_text())["listen"]
    with contextlib.ExitStack() as held:
        for address in (listen, first["agencies"][1]["api_url"]):
            port = int(address.rpartition(":")[2])
            held.enter_context(socket.create_server(("127.0.0.1", port)))
        second = answer("axis.cli", *arguments, "3")
    assert first["documents_sent"] == second["documents_sent"] == 3
    assert second["lost"] == 0
    assert not set(first["document_ids"]) & set(second["document_ids"])
    assert len({agency["api_url"] for agency in second["agencies"]}) == 3
    assert answer("axis.cli", "volumes", "--home", str(home))["total"]["sent"] == 6


# --- what was damaged is named ------------------------------------------------------------------


@pytest.fixture
def copy(demo: dict[str, Any], tmp_path: Path) -> Path:
    home = tmp_path / "axis"
    shutil.copytree(demo["home"], home, ignore=shutil.ignore_patterns("agencies", "*.sock", "blobs"))
    shutil.copytree(Path(demo["home"]) / "blobs", home / "blobs")
    return home


def audit_problems(home: Path) -> list[dict[str, Any]]:
    done = run("axis.cli", "audit", "--home", str(home), "--json")
    assert done.returncode == 1, done.stderr
    problems: list[dict[str, Any]] = json.loads(done.stdout)["problems"]
    return problems


def damage(home: Path, file: str, *statements: str) -> None:
    """Change the file as somebody with access to the disk would, triggers or not."""
    database = sqlite3.connect(home / file)
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def accepted_frame(home: Path) -> int:
    database = sqlite3.connect(home / "journal.sqlite")
    numbers: list[tuple[int]] = database.execute("SELECT number FROM frames ORDER BY number").fetchall()
    database.close()
    return numbers[len(numbers) // 2][0]


def test_one_changed_byte_in_a_record_is_named(copy: Path) -> None:
    number = accepted_frame(copy)
    database = sqlite3.connect(copy / "journal.sqlite")
    (raw,) = database.execute("SELECT raw FROM frames WHERE number = ?", (number,)).fetchone()
    database.close()
    changed = bytearray(raw)
    changed[-1] ^= 1  # the last byte of a frame is in its last record
    damage(copy, "journal.sqlite", f"UPDATE frames SET raw = x'{changed.hex()}' WHERE number = {number}")
    problems = audit_problems(copy)
    assert any(f"frame {number}" in each["detail"] for each in problems), problems


def test_a_dropped_frame_is_named(copy: Path) -> None:
    number = accepted_frame(copy)
    damage(copy, "journal.sqlite", f"DELETE FROM frames WHERE number = {number}")
    problems = audit_problems(copy)
    assert any(f"frame {number}" in each["detail"] for each in problems), problems


def test_one_changed_row_of_the_views_is_named(copy: Path, demo: dict[str, Any]) -> None:
    document_id = demo["document_ids"][7]
    damage(
        copy,
        "views.sqlite",
        "UPDATE deliveries SET state = 'refused'"
        f" WHERE document = (SELECT sequence FROM documents WHERE document_id = '{document_id}')",
    )
    problems = audit_problems(copy)
    assert {each["code"] for each in problems} == {"view_row_changed"}
    assert all("state is 'refused'" in each["detail"] for each in problems), problems


# --- signatures without our software ------------------------------------------------------------


def stored_signatures(home: Path) -> dict[str, Envelope]:
    """One envelope of each kind, straight from the journal's file."""
    found: dict[str, Envelope] = {}
    database = sqlite3.connect(home / "journal.sqlite")
    for (raw,) in database.execute("SELECT raw FROM frames ORDER BY number"):
        for record_bytes in journal_pb2.Frame.FromString(raw).records:
            record = journal_pb2.Record.FromString(record_bytes)
            parts: list[envelope_pb2.Envelope] = []
            if record.HasField("accepted"):
                parts = [record.accepted.envelope, record.accepted.acceptance]
            elif record.HasField("receipted"):
                parts = [record.receipted.receipt]
            for part in parts:
                envelope = Envelope.from_message(part)
                found.setdefault(envelope.kind().value, envelope)
    database.close()
    return found


@pytest.mark.parametrize("kind", [Kind.DOCUMENT, Kind.ACCEPTANCE, Kind.RECEIPT])
def test_openssl_accepts_the_signatures_in_the_store(
    kind: Kind, demo: dict[str, Any], tmp_path: Path
) -> None:
    envelope = stored_signatures(Path(demo["home"]))[kind.value]
    (tmp_path / "signature").write_bytes(envelope.signature)
    (tmp_path / "signed").write_bytes(envelope.signed)

    def verify(content: Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                *("openssl", "cms", "-verify", "-binary", "-inform", "DER"),
                *("-in", str(tmp_path / "signature"), "-content", str(content)),
                *("-CAfile", str(Path(demo["home"]) / "keys" / "anchors.pem")),
                *("-purpose", "any", "-out", "/dev/null"),
            ],
            capture_output=True,
            check=False,
        )

    assert verify(tmp_path / "signed").returncode == 0
    (tmp_path / "other").write_bytes(envelope.signed + b"\x00")
    assert verify(tmp_path / "other").returncode != 0
