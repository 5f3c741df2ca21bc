"""What an organisation may change of the register by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core import registrars
from axis.core.commands import Register, Resume, Suspend
from axis.core.errors import Refusal
from axis.core.lookup import host_of, registered_by, resolve, unit
from axis.core.organisation import MAX_LEVELS
from tests.world import World

#: H41.05 has a node of its own below H41.
NODES = ("G22", "H41", "H41.05")


@pytest.fixture
def world() -> World:
    return country()


def country() -> World:
    made = World()
    for code in NODES:
        made.do(
            Register(code, f"Unit {code}", old_codes=(f"000.00.00.{code[:3]}",) if len(code) == 3 else ())
        )
        made.enrol(code)
    made.do(Register("G22.12", "Cục", "G22", mail="a@b.example", by="G22"))
    return made


def refused(world: World, command: Register | Suspend | Resume) -> str:
    before = world.head.sequence
    with pytest.raises(Refusal) as caught:
        world.do(command)
    assert world.head.sequence == before
    return caught.value.name


def test_a_unit_below_is_registered_and_changed(world: World) -> None:
    assert host_of(world.overlay, "G22.12") == "G22"
    world.do(Register("G22.12", "Cục mới", mobile="09", by="G22"))
    fact = unit(world.overlay, "G22.12")
    assert fact is not None
    assert (fact.name, fact.parent, fact.mail, fact.mobile) == ("Cục mới", "G22", "a@b.example", "09")
    assert not world.do(Register("G22.12", "Cục mới", by="G22")).changed
    assert world.do(Register("vxp.saas.03", "Thử", "G22.12", by="G22")).changed


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Register("G22.13", "x", by="G22"), ""),  # the parent by form is its own
        (Register("X1", "x", by="G22"), "field_invalid"),
        (Register("X1", "x", "H41", by="G22"), "not_host_of_unit"),
        (Register("X1", "x", "H41.05", by="H41"), "not_host_of_unit"),
        (Register("H41.07", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("H41.05.1", "x", "H41", by="H41"), "not_host_of_unit"),
        (Register("000.00.07.H41", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("X1", "x", "G22", old_codes=("000.01.07.H41",), by="G22"), "not_host_of_unit"),
        (Register("X1", "x", "G22", old_codes=("H41",), by="G22"), "field_invalid"),
        (Register("000.00.07.G22", "x", "G22", by="G22"), ""),
        (Register("G22", "x", "G22.12", by="G22"), "field_invalid"),
        (Register("G22.12", "x", "H41", by="G22"), "not_host_of_unit"),
        (Register("G22.12", "x", by="H41"), "not_host_of_unit"),
        (Register("H41.05", "x", by="H41"), "not_host_of_unit"),
        (Register("H41", "x", by="H41"), "field_invalid"),
        (Register("G22.14", "x", "G22", mail="nobody", by="G22"), "field_invalid"),
        (Register("G22.14", "x", "G22", mail="a@" + "b" * 260 + ".vn", by="G22"), "field_invalid"),
        (Register("G22.14", "x", "G22", fax="0" * 41, by="G22"), "field_invalid"),
        (Register("G22.14", "x", "G22", mobile="0\n9", by="G22"), "field_invalid"),
        (Register("X1", "x", "G22", by="X9"), "sender_not_registered"),
        # A code of the national lists is the registrar's to give, also as an old code and in small letters.
        (Register("H42", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("h42", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("X1", "x", "G22", old_codes=("000.00.00.H42",), by="G22"), "not_host_of_unit"),
        (Register("h41.09", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("h41.05", "x", "G22", by="G22"), "not_host_of_unit"),
        (Register("g22.16", "x", "G22", by="G22"), ""),
        # What it is called is one line of text.
        (Register("G22.14", "  ", "G22", by="G22"), "field_invalid"),
        (Register("G22.14", "x\x1b[2J", "G22", by="G22"), "field_invalid"),
        (Register("G22.14", "x\u2028y", "G22", by="G22"), "field_invalid"),
        (Register("G22.14", "x\N{NO-BREAK SPACE}y", "G22", by="G22"), ""),
        (Register("G22.14", "x", "G22", mail="a\x1b@b.example", by="G22"), "field_invalid"),
        (Suspend("H41", by="G22"), "not_host_of_unit"),
        (Suspend("G22", by="G22"), "not_host_of_unit"),
        (Suspend("X1", by="G22"), "field_invalid"),
        (Resume("H41", by="G22"), "not_host_of_unit"),
    ],
)
def test_everything_else_is_the_registrars(
    world: World, command: Register | Suspend | Resume, code: str
) -> None:
    if code:
        assert refused(world, command) == code
    else:
        assert world.do(command).changed


def test_a_suspension_is_ended_by_who_made_it(world: World) -> None:
    assert world.do(Suspend("G22.12", by="G22")).changed
    assert not world.do(Suspend("G22.12", by="G22")).changed
    assert world.do(Resume("G22.12", by="G22")).changed
    assert not world.do(Resume("G22.12", by="G22")).changed
    world.do(Suspend("G22.12", by="G22"))
    registered = world.do(Register("G22.12", "Cục", by="G22"))  # comes back with it
    assert registered.changed
    fact = unit(world.overlay, "G22.12")
    assert fact is not None
    assert not fact.suspended
    # The registrar's stands over the organisation's.
    world.do(Suspend("G22.12", by="G22"))
    assert world.do(Suspend("G22.12")).changed
    assert not world.do(Suspend("G22.12", by="G22")).changed
    assert refused(world, Resume("G22.12", by="G22")) == "sender_suspended"
    assert refused(world, Register("G22.12", "Cục", by="G22")) == "sender_suspended"
    assert world.do(Resume("G22.12")).changed


def test_a_code_that_a_unit_has_stays_whatever_its_form(world: World) -> None:
    world.do(Register("H41.07", "Moved here", "G22", old_codes=("000.00.07.H41",)))
    assert world.do(Register("H41.07", "Moved here", mail="a@b.example", by="G22")).changed
    assert world.do(Register("H41.07", "x", old_codes=("000.00.07.H41", "X7"), by="G22")).changed
    assert resolve(world.overlay, "X7") == "H41.07"
    more = ("000.00.07.H41", "000.00.08.H41")
    assert refused(world, Register("H41.07", "x", old_codes=more, by="G22")) == "not_host_of_unit"
    # A unit that was registered before the one that its form names can be asked for again.
    world.do(Register("H43.01", "x", "G22", by="G22"))
    world.do(Register("H43", "UBND"))
    world.enrol("H43")
    assert not world.do(Register("H43.01", "x", "G22", by="G22")).changed


def test_a_tree_has_an_end(world: World) -> None:
    """However units are moved, a look-up of a host takes MAX_LEVELS steps at most."""
    chains = []
    for name in ("a", "b"):
        parent = "G22"
        for level in range(1, MAX_LEVELS):
            world.do(Register(f"{name}.{level}", "x", parent, by="G22"))
            parent = f"{name}.{level}"
        chains.append(parent)
    assert [host_of(world.overlay, code) for code in chains] == ["G22", "G22"]
    assert refused(world, Register("a.more", "x", chains[0], by="G22")) == "field_invalid"
    assert refused(world, Register("a.more", "x", chains[0])) == "field_invalid"
    # Moved below another chain, what stands too deep is served by nobody, until it is moved up again.
    world.do(Register("a.1", "x", "b.40", by="G22"))
    assert host_of(world.overlay, "a.23") == "G22"
    assert host_of(world.overlay, "a.24") == "a.24"
    assert refused(world, Register("a.24", "y", by="G22")) == "not_host_of_unit"
    assert refused(world, Suspend("a.24", by="G22")) == "not_host_of_unit"
    world.do(Register("a.1", "x", "G22", by="G22"))
    assert host_of(world.overlay, chains[0]) == "G22"


def test_an_organisation_registers_so_many_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrars, "MAX_UNITS", 3)
    assert registered_by(world.overlay, "G22") == 1
    world.do(Register("G22.13", "x", "G22", by="G22"))
    world.do(Register("G22.13", "y", "G22", by="G22"))  # a change is no new unit
    world.do(Register("G22.14", "x", "G22", by="G22"))
    assert refused(world, Register("G22.15", "x", "G22", by="G22")) == "unit_limit"
    world.do(Register("G22.15", "x", "G22"))  # the registrar's do not count
    world.do(Register("G22.14", "z", "G22", by="G22"))
    assert registered_by(world.overlay, "G22") == 3
    assert registered_by(world.overlay, "H41") == 0


def test_a_suspended_organisation_changes_nothing(world: World) -> None:
    world.do(Suspend("G22"))
    for command in (Register("G22.15", "x", "G22", by="G22"), Suspend("G22.12", by="G22")):
        assert refused(world, command) == "sender_suspended"


codes = st.sampled_from(
    ["G22", "G22.12", "G22.12.1", "G22.9", "H41", "H41.05", "H41.05.1", "H41.7", "X1", "X1.2"]
)
commands = st.one_of(
    st.builds(Register, codes, st.just("x"), st.one_of(st.just(""), codes), by=st.sampled_from(["", *NODES])),
    st.builds(Suspend, codes, by=st.sampled_from(["", *NODES])),
    st.builds(Resume, codes, by=st.sampled_from(["", *NODES])),
)


@given(st.lists(commands, max_size=12))
def test_nobody_moves_what_another_hosts(asked: list[Register | Suspend | Resume]) -> None:
    """Whatever an organisation asks for, the units that others host stay as they are."""
    world = country()
    for command in asked:
        facts = {code: unit(world.overlay, code) for code in (*NODES, "G22.12", "X1", "G22.9", "H41.7")}
        hosts = {code: host_of(world.overlay, code) for code, fact in facts.items() if fact is not None}
        try:
            world.do(command)
        except Refusal:
            continue
        for code, host in hosts.items():
            if command.by and (host != command.by or code in NODES):
                assert unit(world.overlay, code) == facts[code]
                assert host_of(world.overlay, code) == host
