"""The audit: clean over sound files, and every kind of damage is found and named."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from axispb.v1 import journal_pb2

import axis
from axis.audit import AuditReport, audit
from axis.audit.tables import VIEWS_VERSION
from axis.audit.words import Words
from axis.blobs.rows import BlobRows
from axis.core.merkle import root_of
from axis.core.organisation import MAX_LEVELS
from axis.journal.sqlite import SqliteJournal
from axis.views.projection import SCHEMA_VERSION, Views
from bench.history import History, Signers

START = 1_795_000_000_000
DAY = 86_400_000
CONTENT = b"%PDF-1.7 a document"
MORE = b"one more"


@dataclass
class Files:
    """The files of one axis, made once and copied for each test."""

    folder: Path
    anchors: tuple[bytes, ...]
    head: str
    root_hash: str
    records: int
    signatures: int

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def views(self) -> Path:
        return self.folder / "views.sqlite"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    def audit(self, *, quick: bool = False) -> AuditReport:
        return audit(self.journal, self.views, self.blobs, anchors=self.anchors, quick=quick)


async def traffic(history: History, signers: Signers) -> None:
    """A bit of everything: a record of every kind."""
    await history.found(signers.authority.anchors, signers.authority.intermediates)
    for certificate in signers.certificates("axis"):
        await history.issue(certificate)
    await history.register("G22", "Văn phòng Chính phủ", old_codes=["000.00.00.G22", "000.00.01.G22"])
    await history.register("G14", "Bộ Tư pháp")
    await history.register("G14.01", "Cục Hộ tịch", parent="G14")
    await history.register("G22", "Văn phòng Chính phủ", old_codes=["000.00.00.G22"])
    for code in ("G22", "G14"):
        await history.enrol(code, *signers.certificates(code))
    history.hosts["G14.01"] = "G14"
    await history.move(1000)
    sent = await history.send("G22", ["G14", "G14.01"], subject="Quyết định", number="274", blobs=[CONTENT])
    await history.move(1000)
    await history.take(sent, "G14")
    await history.take(sent, "G14.01", reason="không đúng nơi nhận")
    await history.move(DAY)
    await history.notice(sent, "G14.01", 2, "again", host="G14")
    await history.notice(sent, "G14.01", 2, "closed by the operator")
    await history.notice(sent, "G14.01", 3, "again", host="G14")
    await history.move(1000)
    await history.take(sent, "G14.01", attempt=3)
    await history.take_late(sent, "G14.01", attempt=2)
    await history.report("G14", "G22", sent.document_id, "03", "đã tiếp nhận")
    await history.add(
        rejected=journal_pb2.Rejected(organisation="G14", code="id_reused", count=3, detail="x")
    )
    await history.add(suspended=journal_pb2.UnitSuspended(code="G14.01", reason="asked"), operator="an")
    await history.add(resumed=journal_pb2.UnitResumed(code="G14.01"), operator="an", remark="đã xong")
    await history.send("G22", ["G14"], blobs=[MORE], speaks_of=("recall", "274"))
    for _ in range(4):
        await history.send("G22", ["G14"], blobs=[MORE], subject="Việc rất dài " * 300)
    tls, _ = signers.certificates("G22")
    await history.add(
        revoked=journal_pb2.CertificateRevoked(
            serial=tls.serial, certificate_sha256=tls.sha256, reason="superseded", revoked_at=history.now
        )
    )
    await history.register("G22.01", "Vụ Hành chính", parent="G14")
    await history.register("G22.01", "Vụ Hành chính", parent="G22")
    await history.flush()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return asyncio.run(make(tmp_path_factory.mktemp("axis")))


async def make(folder: Path) -> Files:
    signers = Signers(folder / "pki", START)
    journal = SqliteJournal.open(folder / "journal.sqlite", journal_id="audited")
    history = History(journal, START, signers.axis_id, signers.sign)
    await traffic(history, signers)
    views = Views.open(folder / "views.sqlite")
    views.catch_up(journal)
    views.close()
    for content in (CONTENT, MORE):
        name = hashlib.sha256(content).hexdigest()
        (folder / "blobs" / name[:2]).mkdir(parents=True, exist_ok=True)
        (folder / "blobs" / name[:2] / name[2:]).write_bytes(content)
    records = [raw for frame in journal.frames(0) for raw in frame.records]
    head = str(journal.head())
    await journal.close()
    return Files(folder, signers.authority.anchors, head, root_of(records).hex(), len(records), 21)


@pytest.fixture
def files(made: Files, tmp_path: Path) -> Files:
    folder = tmp_path / "axis"
    shutil.copytree(made.folder, folder)
    return Files(folder, made.anchors, made.head, made.root_hash, made.records, made.signatures)


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """The file without the guards against changes."""
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        connection.commit()


def codes(report: AuditReport) -> set[str]:
    return {problem.code for problem in report.problems}


def test_sound_files_have_no_problems(files: Files) -> None:
    report = files.audit()
    assert report.problems == ()
    assert report.as_json() == {
        "head": files.head,
        "records": files.records,
        "root_hash": files.root_hash,
        "signatures_checked": files.signatures,
        "volumes_equal": True,
        "problems": [],
    }


def test_progress_is_told(files: Files) -> None:
    seen: list[tuple[str, int, int]] = []
    audit(files.journal, files.views, files.blobs, progress=lambda *step: seen.append(step))
    assert ("records", files.records, files.records) in seen
    assert seen[-1][0] == "attachments"


def frames(connection: sqlite3.Connection) -> list[tuple[int, int, int, bytes]]:
    return connection.execute("SELECT number, first_sequence, last_sequence, raw FROM frames").fetchall()


def flip(raw: bytes, offset: int) -> bytes:
    return raw[:offset] + bytes([raw[offset] ^ 1]) + raw[offset + 1 :]


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_one_changed_byte_of_a_frame_is_named(files: Files, number: int, share: float) -> None:
    with changing(files.journal) as connection:
        _, first, last, raw = frames(connection)[number - 1]
        connection.execute(
            "UPDATE frames SET raw = ? WHERE number = ?", (flip(raw, int(len(raw) * share)), number)
        )
    report = files.audit()
    assert any(problem.sequence == first and problem.code == "frame_changed" for problem in report.problems)
    assert not {"chain_broken"} & codes(report)
    assert f"records {first} to {last}" in next(
        p.detail for p in report.problems if p.code == "frame_changed"
    )


def test_a_changed_frame_with_its_hash_breaks_the_chain(files: Files) -> None:
    with changing(files.journal) as connection:
        *_, raw = frames(connection)[1]
        changed = flip(raw, len(raw) - 1)
        values = (changed, hashlib.sha256(changed).digest())
        connection.execute("UPDATE frames SET raw = ?, sha256 = ? WHERE number = 2", values)
        after = frames(connection)[2][1]
    report = files.audit()
    assert (after, "chain_broken") in {(p.sequence, p.code) for p in report.problems}
    assert "tree_mismatch" in codes(report)


def test_bytes_flipped_in_the_file_are_found(files: Files) -> None:
    data = bytearray(files.journal.read_bytes())
    place = data.index("không đúng nơi nhận".encode())
    data[place] ^= 1
    files.journal.write_bytes(data)
    assert "frame_changed" in codes(files.audit())


@pytest.mark.parametrize("number", range(1, 6))
def test_a_dropped_frame_is_named(files: Files, number: int) -> None:
    with changing(files.journal) as connection:
        stored = frames(connection)
        connection.execute("DELETE FROM frames WHERE number = ?", (number,))
    report = files.audit()
    found = {(problem.sequence, problem.code) for problem in report.problems}
    if number < len(stored):
        assert (stored[number - 1][1], "frame_missing") in found
    else:
        assert "head_mismatch" in codes(report)


VIEW_CHANGES = {
    "units": "UPDATE units SET name = 'other' WHERE code = 'G14'",
    "aliases": "UPDATE aliases SET unit = 'G14' WHERE code = 'G22'",
    "certificates": "UPDATE certificates SET not_after = not_after + 1 WHERE usage = 'sign'",
    "documents": "UPDATE documents SET subject = 'other' WHERE subject = 'Quyết định'",
    "deliveries": "UPDATE deliveries SET state = 'in_flight' WHERE unit = 'G14.01' AND attempt = 3",
    "events": "UPDATE events SET reason = 'other' WHERE event = 'refused'",
    "daily": "UPDATE daily SET received = received + 1 WHERE unit = 'G14.01'",
    "monthly": "UPDATE monthly SET in_flight = in_flight + 1 WHERE unit = 'G14.01'",
    "days": "UPDATE days SET sent = sent + 1",
    "rejections": "UPDATE rejections SET refused = 4",
    "durations": "UPDATE durations SET milliseconds = milliseconds - 1",
    "position": "UPDATE position SET at = at + 1",
}
VIEW_ADDITIONS = {
    "units": "INSERT INTO units VALUES ('X', 'x', '', '[]', 0, 0, 1, 0)",
    "aliases": "INSERT INTO aliases VALUES ('X', 'G22')",
    "certificates": "INSERT INTO certificates"
    " SELECT x'00', organisation, usage, serial, hierarchy, 0, 0, 1, 0, 0, '' FROM certificates LIMIT 1",
    "documents": "INSERT INTO documents"
    " VALUES (99, 'x', 'document', 'G22', 'G22', '', '', '', '', '', '', '', '', 1, 0)",
    "originals": "INSERT INTO originals VALUES (99, 'x')",
    "moves": "INSERT INTO moves VALUES ('G14', 'G22')",
    "words": "INSERT INTO words VALUES ('secret')",
    "deliveries": "INSERT INTO deliveries"
    " SELECT document, unit, 4, 0, host, 'in_flight', 1, 1, 0, 0, 0, '' FROM deliveries WHERE attempt = 3",
    "events": "INSERT INTO events"
    " SELECT 999, at, event, document, party, '', '', '', '', 1, '', '' FROM events LIMIT 1",
    "daily": "INSERT INTO daily VALUES ('G22', 0, '2020-01-01', 'document', 1, 0, 0, 0, 0, 0, 0, 0, 0)",
    "monthly": "INSERT INTO monthly VALUES ('G22', 1, 'document', '2020-01', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    "rejections": "INSERT INTO rejections VALUES ('rate_limited', 1)",
    "durations": "INSERT INTO durations VALUES (0.1, 1, 1)",
}


@pytest.mark.parametrize("table", VIEW_CHANGES)
def test_a_changed_row_of_the_views_is_named(files: Files, table: str) -> None:
    with changing(files.views) as connection:
        assert connection.execute(VIEW_CHANGES[table]).rowcount >= 1
    report = files.audit()
    assert codes(report) == {"view_row_changed"}
    assert all(problem.detail.startswith(f"{table}: ") for problem in report.problems)
    assert report.volumes_equal == (table not in {"daily", "monthly", "days"})


@pytest.mark.parametrize("table", VIEW_ADDITIONS)
def test_an_added_row_of_the_views_is_named(files: Files, table: str) -> None:
    with changing(files.views) as connection:
        assert connection.execute(VIEW_ADDITIONS[table]).rowcount == 1
    report = files.audit()
    assert codes(report) == {"view_row_added"}
    assert all(problem.detail.startswith(f"{table}: ") for problem in report.problems)


@pytest.mark.parametrize("table", VIEW_ADDITIONS)
def test_a_removed_row_of_the_views_is_named(files: Files, table: str) -> None:
    with changing(files.views) as connection:
        newest = f"sequence = (SELECT max(sequence) FROM {table})"
        connection.execute(
            f"DELETE FROM {table} WHERE {newest if table in ('documents', 'events') else 'TRUE'}"
        )
        assert connection.total_changes >= 1
    report = files.audit()
    assert codes(report) == {"view_row_missing"}
    assert all(problem.detail.startswith(f"{table}: ") for problem in report.problems)


def test_the_search_index_is_compared(files: Files) -> None:
    with changing(files.views) as connection:
        connection.execute("INSERT INTO search (rowid, terms) VALUES (15, 'secret')")
    report = files.audit()
    assert [(p.code, p.detail) for p in report.problems] == [
        ("view_row_changed", "search: the word 'secret' was added")
    ]
    with changing(files.views) as connection:
        connection.execute("DELETE FROM search_data WHERE id > 10")
    assert codes(files.audit()) <= {"view_row_changed", "views_unreadable"}
    assert files.audit().problems


INDEX_CHANGES = {
    "a key": "UPDATE keys SET sequence = 1 WHERE key LIKE 'accepted/%'",
    "a key less": "DELETE FROM keys WHERE key LIKE 'outcome/%'",
    "a key more": "INSERT INTO keys VALUES ('accepted/x', 1)",
    "a fact": "UPDATE facts SET value = x'00' WHERE key LIKE 'delivery/%'",
    "a fact's place": "UPDATE facts SET sequence = 1 WHERE key = 'unit/G14'",
    "a fact less": "DELETE FROM facts WHERE key LIKE 'blob/%'",
    "a fact more": "INSERT INTO facts VALUES ('unit/X', x'00', 1)",
    "a feed row less": "DELETE FROM feed WHERE organisation = 'G14' AND sequence > 20",
    "a feed row more": "INSERT INTO feed VALUES ('X', 0, 1)",
}


@pytest.mark.parametrize("change", INDEX_CHANGES)
def test_a_changed_index_is_named(files: Files, change: str) -> None:
    with changing(files.journal) as connection:
        assert connection.execute(INDEX_CHANGES[change]).rowcount >= 1
    expected = {"less": "index_row_missing", "more": "index_row_added"}
    assert codes(files.audit()) == {expected.get(change.split()[-1], "index_row_changed")}


def test_peaks_and_head_are_compared(files: Files) -> None:
    with changing(files.journal) as connection:
        connection.execute("UPDATE head SET peaks = zeroblob(length(peaks))")
    assert codes(files.audit()) == {"tree_mismatch"}
    with changing(files.journal) as connection:
        connection.execute("UPDATE head SET sha256 = zeroblob(32)")
    assert codes(files.audit()) == {"head_mismatch"}


def columns(schema: Path) -> list[tuple[str, str]]:
    """(table, column) of everything that a file is made of."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.read_text("utf-8"))
        return connection.execute(
            "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table' AND t.name NOT LIKE 'search%' ORDER BY 1, 2"
        ).fetchall()


_ROOT = Path(axis.__file__).parent
JOURNAL_COLUMNS = columns(_ROOT / "journal" / "schema.sql")
VIEW_COLUMNS = columns(_ROOT / "views" / "schema.sql")


def damage(path: Path, table: str, column: str) -> None:
    """Another value of the same type in one row, past every guard."""
    with changing(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        information = connection.execute(
            "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY pk", (table,)
        ).fetchall()
        kind = {name: kind for name, kind, _ in information}[column]
        other = {
            "TEXT": f"{column} || 'x'",
            "BLOB": f"CAST({column} || 'x' AS BLOB)",
        }.get(kind, f"coalesce({column}, 0) + 1000")
        key = ", ".join(name for name, _, place in information if place)
        done = connection.execute(
            f"UPDATE {table} SET {column} = {other} WHERE ({key}) = (SELECT {key} FROM {table} LIMIT 1)"
        )
        assert done.rowcount == 1


@pytest.mark.parametrize(("table", "column"), JOURNAL_COLUMNS)
def test_no_column_of_the_journal_is_silent(files: Files, table: str, column: str) -> None:
    damage(files.journal, table, column)
    assert files.audit().problems


@pytest.mark.parametrize(("table", "column"), VIEW_COLUMNS)
def test_no_column_of_the_views_is_silent(files: Files, table: str, column: str) -> None:
    damage(files.views, table, column)
    assert files.audit().problems


@pytest.mark.parametrize("table", ["journal", "head"])
def test_a_single_row_that_is_gone_is_named(files: Files, table: str) -> None:
    with changing(files.journal) as connection:
        connection.execute(f"DELETE FROM {table}")
    assert files.audit().problems


def test_the_audit_knows_this_version_of_the_views() -> None:
    assert VIEWS_VERSION == SCHEMA_VERSION


@pytest.mark.parametrize("column", ["segid", "term", "pgno"])
def test_a_search_that_goes_astray_is_named(tmp_path: Path, column: str) -> None:
    """Nothing is wrong with the words themselves, only with the way to them."""
    words, path = Words(), tmp_path / "views.sqlite"
    with closing(sqlite3.connect(path)) as views:
        schema = (_ROOT / "views" / "schema.sql").read_text("utf-8")
        views.execute(schema[schema.index("CREATE VIRTUAL") :])
        for sequence in range(1, 1500):
            text = f"x{sequence * 7919 % 100_003:06} y{sequence}"
            words.add(sequence, text)
            views.execute("INSERT INTO search (rowid, terms) VALUES (?, ?)", (sequence, text))
        views.commit()
    with closing(sqlite3.connect(path)) as views:
        assert list(words.differences(views)) == []
    wrong = {"segid": "segid + 9", "term": "CAST('1zz' || term AS BLOB)", "pgno": "pgno + 2"}[column]
    with closing(sqlite3.connect(path)) as views:
        assert views.execute(f"UPDATE search_idx SET {column} = {wrong} WHERE term != x''").rowcount > 1
        views.commit()
    with closing(sqlite3.connect(path)) as views:
        assert any("asking for the word" in detail for _, detail in words.differences(views))
    words.close()


@pytest.mark.parametrize(
    ("name", "index", "code"),
    [
        ("journal.sqlite", "facts_changed", "journal_damaged"),
        ("views.sqlite", "units_parent", "views_damaged"),
    ],
)
def test_an_index_that_misses_rows_is_named(files: Files, name: str, index: str, code: str) -> None:
    """All tables are whole, and what is asked for is not found."""
    with changing(files.folder / name) as connection:
        statement = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).fetchone()[0]
        connection.execute(f"DROP INDEX {index}")
        connection.execute(
            f"{statement} WHERE sequence < 3" if name[0] == "j" else f"{statement} WHERE FALSE"
        )
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (statement, index))
    assert codes(files.audit()) == {code}


def test_other_anchors_are_named(files: Files) -> None:
    report = audit(files.journal, files.views, anchors=[b"other"])
    assert codes(report) == {"anchor_mismatch"}


def test_missing_and_wrong_blobs_are_named(files: Files) -> None:
    name = hashlib.sha256(CONTENT).hexdigest()
    path = files.blobs / name[:2] / name[2:]
    path.write_bytes(flip(CONTENT, 3))
    assert files.audit(quick=True).problems == ()
    assert codes(files.audit()) == {"blob_mismatch"}
    path.write_bytes(b"short")
    assert codes(files.audit()) == {"blob_mismatch"}
    path.unlink()
    assert codes(files.audit()) == {"blob_missing"}
    path.symlink_to(path.name)
    assert codes(files.audit()) == {"blob_unreadable"}


def test_missing_and_wrong_small_blobs_are_named(files: Files) -> None:
    name = hashlib.sha256(CONTENT)
    (files.blobs / name.hexdigest()[:2] / name.hexdigest()[2:]).unlink()
    path = files.blobs / "blobs.sqlite"
    rows = BlobRows(path)
    rows.store({name.digest(): CONTENT}, "G22", 0)
    rows.close()
    assert files.audit().problems == ()
    with changing(path) as connection:
        connection.execute("UPDATE contents SET content = ?", (flip(CONTENT, 3),))
    assert files.audit(quick=True).problems == ()
    assert codes(files.audit()) == {"blob_mismatch"}
    with changing(path) as connection:
        connection.execute("UPDATE contents SET content = ?", (b"short",))
    assert codes(files.audit(quick=True)) == {"blob_mismatch"}
    with changing(path) as connection:
        connection.execute("DROP TABLE contents")
    assert codes(files.audit()) == {"blob_unreadable"}
    path.unlink()
    assert codes(files.audit()) == {"blob_missing"}


def test_missing_foreign_and_unreadable_views(files: Files) -> None:
    with changing(files.views) as connection:
        connection.execute("UPDATE position SET frame = frame + 1")
    assert codes(files.audit()) == {"views_elsewhere"}
    files.views.write_bytes(b"not a database, and long enough to be read as one" * 100)
    assert codes(files.audit()) == {"views_unreadable"}
    files.views.unlink()
    report = files.audit()
    assert codes(report) == {"views_missing"}
    assert not report.volumes_equal


def test_no_journal_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        audit(tmp_path / "journal.sqlite", None)


async def forged(
    tmp_path: Path, spoil: Callable[[History, Signers], object], accept: bool = False
) -> set[str]:
    """A journal whose records are not what they should be, though the file itself is in order."""
    signers = Signers(tmp_path / "pki", START)
    journal = SqliteJournal.open(tmp_path / "journal.sqlite", journal_id="forged")
    history = History(journal, START, signers.axis_id, signers.sign)
    await traffic(history, signers)
    await spoil(history, signers)  # type: ignore[misc]
    await history.flush()
    views = Views.open(tmp_path / "views.sqlite")
    views.catch_up(journal)
    views.close()
    await journal.close()
    return codes(audit(tmp_path / "journal.sqlite", tmp_path / "views.sqlite"))


async def by_another_key(history: History, signers: Signers) -> None:
    history.sign = lambda signed, who, at: signers.sign(signed, "G14" if who == "G22" else who, at)
    await history.send("G22", ["G14"])


async def over_other_bytes(history: History, signers: Signers) -> None:
    history.sign = lambda signed, who, at: signers.sign(signed + b" ", who, at)
    await history.report("G14", "G22", next(iter(history.sent)))


async def after_revocation(history: History, signers: Signers) -> None:
    _, certificate = signers.certificates("G14")
    await history.add(
        revoked=journal_pb2.CertificateRevoked(
            serial=certificate.serial, certificate_sha256=certificate.sha256, reason="keyCompromise"
        )
    )
    await history.take(list(history.sent.values())[-1], "G14")


async def to_a_suspended_unit(history: History, signers: Signers) -> None:
    await history.add(suspended=journal_pb2.UnitSuspended(code="G14"))
    await history.send("G22", ["G14"])


async def by_a_receipt_of_another_document(history: History, signers: Signers) -> None:
    one, other = list(history.sent.values())[-2:]
    receipt = history.receipt(one, "G14")
    bent = journal_pb2.Receipted(receipt=receipt)
    await history.add(receipted=bent)
    history.sent[one.document_id] = other
    mixed = type(other)(other.document_id, one.envelope, one.acceptance, other.sequence)
    await history.take(mixed, "G14")


async def by_the_wrong_host(history: History, signers: Signers) -> None:
    await history.take(list(history.sent.values())[-1], "G14", host="G22")


async def a_unit_of_another_host(history: History, signers: Signers) -> None:
    await history.add(registered=journal_pb2.UnitRegistered(code="X1", name="x", parent="G14", by="G22"))


async def a_unit_that_is_taken_over(history: History, signers: Signers) -> None:
    await history.add(registered=journal_pb2.UnitRegistered(code="X1", name="x", parent="G14", by="G14"))
    await history.add(registered=journal_pb2.UnitRegistered(code="X1", name="x", parent="G22", by="G22"))


async def a_suspension_by_a_stranger(history: History, signers: Signers) -> None:
    await history.add(suspended=journal_pb2.UnitSuspended(code="G14", by="G22"))


async def a_suspension_that_is_not_its_own_ended(history: History, signers: Signers) -> None:
    await history.add(registered=journal_pb2.UnitRegistered(code="X1", name="x", parent="G22", by="G22"))
    await history.add(suspended=journal_pb2.UnitSuspended(code="X1"))
    await history.add(resumed=journal_pb2.UnitResumed(code="X1", by="G22"))


async def a_change_by_who_is_suspended(history: History, signers: Signers) -> None:
    await history.add(suspended=journal_pb2.UnitSuspended(code="G22"))
    await history.add(registered=journal_pb2.UnitRegistered(code="X1", name="x", parent="G22", by="G22"))


async def by_a_late_receipt_for_an_open_attempt(history: History, signers: Signers) -> None:
    sent = list(history.sent.values())[-1]
    await history.take(sent, "G14")
    await history.flush()
    receipt = history.receipt(sent, "G14", reason="changed my mind")
    await history.add(late_receipt=journal_pb2.LateReceipt(receipt=receipt, code="delivery_closed"))


async def an_operator_who_rejects(history: History, signers: Signers) -> None:
    body = journal_pb2.Rejected(organisation="G14", code="id_reused")
    await history.add(rejected=body, operator="an")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (by_another_key, "organisation_mismatch"),
        (over_other_bytes, "signature_invalid"),
        (after_revocation, "certificate_revoked"),
        (to_a_suspended_unit, "acceptance_mismatch"),
        (by_a_receipt_of_another_document, "receipt_mismatch"),
        (by_the_wrong_host, "receipt_mismatch"),
        (by_a_late_receipt_for_an_open_attempt, "late_receipt_mismatch"),
        (a_unit_of_another_host, "not_host_of_unit"),
        (a_unit_that_is_taken_over, "not_host_of_unit"),
        (a_suspension_by_a_stranger, "not_host_of_unit"),
        (a_suspension_that_is_not_its_own_ended, "sender_suspended"),
        (a_change_by_who_is_suspended, "sender_suspended"),
        (an_operator_who_rejects, "record_malformed"),
    ],
)
async def test_forged_records_are_named(
    tmp_path: Path, spoil: Callable[[History, Signers], object], code: str
) -> None:
    assert await forged(tmp_path, spoil) == {code}


async def with_certificates_before_the_registration(history: History, signers: Signers) -> None:
    """As after a restore: the issuer's list comes first, the unit is registered again later."""
    for certificate in signers.certificates("H26"):
        await history.issue(certificate)
    await history.flush()
    await history.register("H26", "Hà Tĩnh")
    await history.register("H26.01", "Sở Tư pháp", parent="H26")
    history.hosts["H26.01"] = "H26"
    await history.send("G22", ["H26.01"])


async def test_a_unit_that_is_registered_again_has_its_node(tmp_path: Path) -> None:
    assert await forged(tmp_path, with_certificates_before_the_registration) == set()
    with closing(sqlite3.connect(tmp_path / "views.sqlite")) as views:
        rows = views.execute(
            "SELECT code, enrolled FROM units WHERE code LIKE 'H26%' ORDER BY code"
        ).fetchall()
    assert rows == [("H26", 1), ("H26.01", 0)]


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ("DELETE FROM facts WHERE key LIKE 'levels-below/%'", set()),  # noted since a later version
        ("UPDATE facts SET value = '1' WHERE key = 'levels-below/G22'", set()),
        ("UPDATE facts SET value = '3' WHERE key = 'levels-below/G22'", {"index_row_changed"}),
        ("UPDATE facts SET sequence = 1 WHERE key = 'levels-below/G22'", {"index_row_changed"}),
        ("UPDATE facts SET key = 'levels-below/X' WHERE key = 'levels-below/G22'", {"index_row_added"}),
    ],
)
async def test_no_unit_has_more_levels_below_it_than_were_registered(
    tmp_path: Path, change: str, problems: set[str]
) -> None:
    async def deeper(history: History, _: Signers) -> None:
        for code, parent in (("X1", "G14"), ("X2", "X1"), ("X1", "G22"), ("X2", "G14")):
            await history.register(code, "x", parent=parent)

    assert await forged(tmp_path, deeper) == set()
    journal = tmp_path / "journal.sqlite"
    with changing(journal) as connection:
        levels = dict(connection.execute("SELECT key, value FROM facts WHERE key LIKE 'levels-below/%'"))
        assert levels == {"levels-below/G14": b"2", "levels-below/G22": b"2", "levels-below/X1": b"1"}
        connection.execute(change.replace("'1' ", "x'31' ").replace("'3' ", "x'33' "))
    assert codes(audit(journal, tmp_path / "views.sqlite")) == problems


async def test_a_tree_that_is_too_deep_already_is_still_read(tmp_path: Path) -> None:
    """No registration makes one any more; earlier versions could. What does not add up there is named."""

    async def deep(history: History, signers: Signers) -> None:
        parent = "G14"
        for level in range(2, MAX_LEVELS + 8):
            await history.register(f"X{level}", "x", parent=parent)
            parent = f"X{level}"
        await history.register("X2", "y", parent="G22")

    assert await forged(tmp_path, deep) == {"view_row_changed"}
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        levels = dict(journal.execute("SELECT key, value FROM facts WHERE key LIKE 'levels-below/%'"))
    assert levels["levels-below/X2"] == levels["levels-below/G14"] == str(MAX_LEVELS).encode()
