"""The audit of records that are not what they should be, in files that are in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from axispb.v1 import journal_pb2

from axis.audit import audit
from axis.core.organisation import MAX_LEVELS
from axis.journal.sqlite import SqliteJournal
from axis.views.projection import Views
from bench.history import History, Signers
from tests.support.audited import START, changing, codes, traffic


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
