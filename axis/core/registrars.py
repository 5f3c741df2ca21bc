"""What an organisation may change of the register by itself: units below it that its own node serves.

Everything else is the registrar's alone: the organisation's own unit, units that have a node of their own,
and codes that by their form stand below somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from axispb.v1 import facts_pb2

from axis.core.errors import Refusal
from axis.core.facts import Facts
from axis.core.lookup import host_of, registered_by, resolve, unit
from axis.core.organisation import MAX_LEVELS, is_top_code, parents_by_form

__all__ = ["MAX_OWN_LEVELS", "MAX_UNITS", "check_own", "check_register", "check_resume"]

#: Every node keeps every unit: no organisation makes the directory grow without the registrar beyond this.
#: A province has some thousands of units on all levels.
MAX_UNITS: Final = 10_000
#: Nor does it fill the levels that a tree may have: the registrar can still put what is above it deeper.
MAX_OWN_LEVELS: Final = MAX_LEVELS // 2


def check_own(by: str, code: str, facts: Facts) -> None:
    """Raise Refusal unless a registered unit is one that `by` may change.

    `sender_not_registered`, `sender_suspended` (the organisation itself), `not_host_of_unit`.
    """
    _check_active(by, facts)
    if code == by:
        raise Refusal("not_host_of_unit", f"code: {code} is the organisation itself: ask the registrar")
    host = host_of(facts, code)
    if host != by:
        raise Refusal("not_host_of_unit", f"code: {code} is hosted by {host}")


def check_register(by: str, code: str, parent: str, names: Iterable[str], facts: Facts) -> None:
    """Raise Refusal unless `by` may register a unit, or change it, under this parent.

    `names`: codes that the unit does not have yet; one that the registrar gave it stays, whatever its form.
    As above; `field_invalid` without a parent.
    """
    _check_active(by, facts)
    if not parent:
        raise Refusal("field_invalid", "parent: an organisation names the unit above a new one")
    host = host_of(facts, parent)
    if host != by:
        raise Refusal("not_host_of_unit", f"parent: {parent} is hosted by {host}")
    if unit(facts, code) is not None:
        check_own(by, code, facts)
    elif registered_by(facts, by) >= MAX_UNITS:
        raise Refusal("unit_limit", f"{by} has registered {MAX_UNITS} units by itself")
    for name in names:
        _check_form(by, name, facts)


def _check_form(by: str, name: str, facts: Facts) -> None:
    """A new code must not look like somebody else's, in small letters either: people would write to it."""
    for form in dict.fromkeys((name, name.upper())):
        if is_top_code(form):
            raise Refusal("not_host_of_unit", f"code: {name} is of the national lists: ask the registrar")
        candidates = (resolve(facts, each) for each in (form, *parents_by_form(form)))
        above = next(filter(None, candidates), by)
        host = host_of(facts, above)
        if host != by:
            raise Refusal("not_host_of_unit", f"code: {name} stands by its form at {above}, of {host}")


def check_resume(by: str, fact: facts_pb2.UnitFact) -> None:
    """Raise Refusal `sender_suspended` where somebody else has suspended the unit."""
    if fact.suspended_by != by:
        who = fact.suspended_by or "the registrar"
        raise Refusal("sender_suspended", f"code: {fact.code} was suspended by {who}, who may resume it")


def _check_active(by: str, facts: Facts) -> None:
    fact = unit(facts, by)
    if fact is None:
        raise Refusal("sender_not_registered", f"{by} is not registered")
    if fact.suspended:
        raise Refusal("sender_suspended", f"{by} is suspended")
