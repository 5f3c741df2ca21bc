"""The arithmetic of the scale benchmark: connections counted once, idle shares taken off, files as kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench.costs import Reading, costs
from bench.measure import file_bytes
from bench.wire import Connection, Wire, read_connections

AXIS, NATS = 8443, 4222


def line(port: int, peer: int, acked: int | None, received: int | None) -> str:
    """A connection as `ss` shows it; the kernel leaves out counts that are 0."""
    counts = "" if acked is None else f" bytes_sent:{acked + 9} bytes_acked:{acked}"
    counts += "" if received is None else f" bytes_received:{received}"
    ends = f"127.0.0.1:{port} [::ffff:127.0.0.1]:{peer}"
    return f"0      0      {ends} cubic wscale:10,10 rto:200{counts} segs_out:3\n"


def test_each_line_is_one_end_of_a_connection() -> None:
    text = line(AXIS, 50_000, 700, 30) + line(NATS, 50_001, None, 5)
    assert list(read_connections(text)) == [
        Connection(AXIS, 50_000, 700, 30),
        Connection(NATS, 50_001, 0, 5),
    ]
    with pytest.raises(ValueError, match="not a line of ss"):
        list(read_connections("no line\n"))


def test_a_connection_counts_once_also_after_its_end() -> None:
    wire = Wire({AXIS: "axis", NATS: "nats"})
    wire.take(line(AXIS, 50_000, 700, 30) + line(50_000, AXIS, 30, 700) + line(22, 50_002, 9, 9))
    assert wire.totals == {"axis": 730, "nats": 0}
    wire.take(line(NATS, 50_001, 1, 4))
    assert wire.totals == {"axis": 730, "nats": 5}
    assert wire.connections == {"nats": 1}
    wire.take(
        line(AXIS, 50_000, 60, 40) + line(NATS, 50_001, 2, 4)
    )  # the same ports again: another connection
    assert wire.totals == {"axis": 830, "nats": 6}


def reading(at: float, cpu: float, count: int, loopback: int | None = None) -> Reading:
    stored = {"axis": {"journal.sqlite": count, "keys": 7}}
    return Reading(
        at, {"axis": cpu}, {"axis": count}, stored, {"axis-nats": count}, loopback, count, 2 * count
    )


def test_what_runs_anyway_is_not_a_documents() -> None:
    idle = reading(0, 1.0, 0), reading(10, 1.1, 100)
    found = costs(idle, (reading(20, 2.0, 1000, 500), reading(40, 3.2, 2200, 2000)), 100)
    assert found["processes"] == {
        "axis": {
            "cpu_ms_per_document": 10.0,  # 1.2 s less 20 s at 10 ms a second
            "idle_cpu_ms_per_second": 10.0,
            "written_bytes_per_document": 10,
            "idle_written_bytes_per_second": 10,
            "stored_bytes_per_document": {"journal.sqlite": 12},
            "idle_stored_bytes": {"journal.sqlite": 100},
        }
    }
    assert found["wire"] == {"axis-nats": {"bytes_per_document": 10, "idle_bytes_per_second": 10}}
    assert found["documents_per_second"] == 5.0
    assert (found["frames_per_document"], found["records_per_document"]) == (12.0, 24.0)
    assert found["counted_of_loopback"] == 0.8
    assert "counted_of_loopback" not in costs(idle, idle, 1)


def test_a_sqlite_file_is_as_large_as_its_pages_in_use(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("CREATE TABLE t (x BLOB)")
        file.execute("INSERT INTO t VALUES (zeroblob(100000))")
        beside = file_bytes(path)
        assert beside > 100_000 > path.stat().st_size
        assert file_bytes(tmp_path / "journal.sqlite-wal") == 0
        file.execute("INSERT INTO t VALUES (zeroblob(100000))")
        file.execute("DELETE FROM t WHERE rowid = 2")
        assert file_bytes(path) == pytest.approx(beside, abs=2 * 4096)
    (tmp_path / "1.blk").write_bytes(b"123")
    assert file_bytes(tmp_path / "1.blk") == 3
    assert file_bytes(tmp_path) == file_bytes(tmp_path / "gone") == 0
