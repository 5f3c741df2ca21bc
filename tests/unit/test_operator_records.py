"""Who did it at the axis: kept in the record of every act, shown in the log, and nowhere an agency looks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from axispb.v1 import journal_pb2

from axis.core.commands import Close, Command, IssueToken, Register, Requeue, Resume, Revoke, Suspend
from axis.core.errors import Refusal
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.traffic import Filter, traffic
from bench.history import History
from tests.world import DAY, World, certificate, sha256


@pytest.fixture
def world() -> World:
    world = World()
    world.unit("G22", node=True)
    world.unit("G14", node=True)
    return world


def _acts(world: World) -> list[Command]:
    document_id = world.send("G22", ["G14"])
    by = {"operator": "an", "remark": "theo công văn số 5"}
    return [
        Register("G15", "Bộ mới", **by),
        Suspend("G15", "chờ", **by),
        Resume("G15", **by),
        IssueToken("G15", sha256("secret"), world.now + DAY, **by),
        Revoke(certificate("G14").serial, "superseded", **by),
        Close(document_id, "G14", "đã giải thể", **by),
        Requeue(document_id, "G14", "lập lại", **by),
    ]


def test_every_act_s_record_names_who_did_it_and_why(world: World) -> None:
    for act in _acts(world):
        world.do(act)
        record = world.record(world.head.sequence)
        assert (record.operator, record.remark) == ("an", "theo công văn số 5"), act


def test_what_nobody_at_the_axis_did_names_nobody(world: World) -> None:
    world.send("G22", ["G14"])
    assert {record.operator for _, record in world.records()} == {""}
    # Its bytes are what they were before operators were kept, and so is every hash over them.
    old = journal_pb2.Record(resumed=journal_pb2.UnitResumed(code="G22")).SerializeToString(
        deterministic=True
    )
    assert old == bytes.fromhex("6a05 0a03 473232")


@pytest.mark.parametrize("operator", ["a" * 65, "an\nbinh", "an\x1b[2J", "an\u202e"])
def test_a_name_is_one_short_line(world: World, operator: str) -> None:
    before = world.head
    with pytest.raises(Refusal, match="operator") as refused:
        world.do(Suspend("G14", operator=operator))
    assert (refused.value.name, world.head) == ("field_invalid", before)


def test_a_remark_has_a_limit(world: World) -> None:
    with pytest.raises(Refusal, match="remark"):
        world.do(Suspend("G14", operator="an", remark="x" * 501))
    with pytest.raises(Refusal, match="remark"):
        world.do(Suspend("G14", operator="an", remark="\ud800"))


async def test_the_log_shows_and_finds_them(tmp_path: Path) -> None:
    history = History(MemoryJournal("j", reduce))
    await history.found()
    await history.register("G22")
    await history.add(suspended=journal_pb2.UnitSuspended(code="G22", reason="mất khóa"), operator="an")
    await history.add(resumed=journal_pb2.UnitResumed(code="G22"), operator="binh", remark="khóa mới")
    revoked = journal_pb2.CertificateRevoked(
        serial="1", certificate_sha256=hashlib.sha256(b"").digest(), reason="keyCompromise"
    )
    await history.add(revoked=revoked, operator="an", remark="máy bị mất")
    await history.flush()
    views = Views.open(tmp_path / "views.sqlite")
    views.catch_up(history.journal)
    connection = views.reader()
    try:

        def found(operator: str | None) -> list[tuple[object, ...]]:
            lines = traffic(connection, Filter(operator=operator))
            return [(line["event"], line["operator"], line["reason"]) for line in lines]

        by_an = [("suspended", "an", "mất khóa"), ("revoked", "an", "keyCompromise: máy bị mất")]
        by_binh = ("resumed", "binh", "khóa mới")
        assert found("an") == by_an
        assert found("*") == [by_an[0], by_binh, by_an[1]]
        assert found("nobody") == found("") == []
        assert found(None)[:2] == [("founded", None, None), ("registered", None, None)]
    finally:
        connection.close()
        views.close()
