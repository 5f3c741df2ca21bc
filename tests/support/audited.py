"""The files of an axis to which everything happened once, for audits: sound ones, and ones to damage."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from axispb.v1 import journal_pb2

from axis.audit import AuditReport, audit
from axis.core.merkle import root_of
from axis.journal.sqlite import SqliteJournal
from axis.views.projection import Views
from bench.history import History, Signers

__all__ = ["CONTENT", "DAY", "MORE", "START", "Files", "changing", "codes", "files", "made", "traffic"]

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
