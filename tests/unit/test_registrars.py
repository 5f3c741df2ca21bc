"""What an organisation may change of the register by itself."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core import decide_register, effects, lookup, registrars
from axis.core.commands import Register, Resume, Suspend
from axis.core.errors import Refusal
from axis.core.lookup import host_of, levels_below, registered_by, resolve, unit
from axis.core.organisation import MAX_LEVELS
from axis.core.registrars import MAX_OWN_LEVELS
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


def chain(world: World, name: str, parent: str, levels: int, by: str = "") -> list[str]:
    """Units, each below the one before, the first below a parent."""
    codes = [f"{name}.{level}" for level in range(1, levels + 1)]
    for above, code in zip([parent, *codes], codes, strict=False):
        world.do(Register(code, "x", above, by=by))
    return codes


def test_a_tree_has_an_end(world: World) -> None:
    """Neither does anything come below the last level, nor is it moved there with what it stands below."""
    deep = chain(world, "a", "G22", MAX_LEVELS - 1)
    assert refused(world, Register("a.more", "x", deep[-1])) == "field_invalid"
    other = chain(world, "b", "G22", 40)
    # Where it would reach the last level it may stand, one deeper not.
    assert refused(world, Register("b.1", "x", deep[23])) == "field_invalid"
    assert world.do(Register("b.1", "x", deep[22])).changed
    assert host_of(world.overlay, other[-1]) == "G22"
    assert refused(world, Register("G22", "x", "H41")) == "field_invalid"
    # On its level, or higher up, what reaches the last one may be moved.
    assert world.do(Register("a.1", "x", "H41")).changed
    assert host_of(world.overlay, other[-1]) == "H41"
    # What it says of itself changes wherever it stands.
    assert world.do(Register(deep[-1], "y", deep[-2])).changed
    assert world.do(Register(deep[-1], "z")).changed


def test_what_once_stood_below_a_unit_counts(world: World) -> None:
    """Nobody knows what else does."""
    chain(world, "a", "G22", MAX_LEVELS - 1)
    world.do(Register("a.1", "x"))
    world.do(Register("a.2", "x", "H41"))
    assert refused(world, Register("a.1", "x", "H41.05")) == "field_invalid"


def test_an_organisation_leaves_the_registrar_room(world: World) -> None:
    own = chain(world, "a", "G22", MAX_OWN_LEVELS - 1, by="G22")
    assert refused(world, Register("a.more", "x", own[-1], by="G22")) == "field_invalid"
    assert refused(world, Register("a.5", "x", own[4], by="G22")) == "field_invalid"
    assert world.do(Register("a.more", "x", own[-1])).changed
    # What the registrar put there, the organisation changes where it stands.
    assert world.do(Register("a.more", "y", by="G22")).changed
    assert world.do(Register("a.more", "z", own[-1], by="G22")).changed
    assert world.do(Register("G22", "x", "H41.05")).changed


def depth(world: World, code: str) -> int:
    """The level that a unit stands on, from 1, however deep."""
    fact = unit(world.overlay, code)
    return 1 + depth(world, fact.parent) if fact is not None and fact.parent else 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 9), st.booleans()), max_size=60))
def test_no_order_of_registrations_makes_a_tree_too_deep(moves: list[tuple[int, int, bool]]) -> None:
    """Chains are put below each other's links in any order; the tree's end holds, and is known beforehand."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (effects, decide_register, lookup):
            patched.setattr(module, "MAX_LEVELS", 5)
        patched.setattr(decide_register, "MAX_OWN_LEVELS", 4)
        world = country()
        codes = [f"t.{number}" for number in range(10)]
        for number, parent, own in moves:
            above = codes[parent] if parent >= 0 else "G22"
            with suppress(Refusal):
                world.do(Register(codes[number], "x", above, by="G22" if own else ""))
            known = [code for code in codes if unit(world.overlay, code) is not None]
            depths = {code: depth(world, code) for code in known}
            assert all(level <= 5 for level in depths.values())
            for code in known:
                fact = unit(world.overlay, code)
                assert fact is not None
                if fact.parent in depths:
                    assert levels_below(world.overlay, fact.parent) > levels_below(world.overlay, code)


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
