"""Deciding about the register: the journal's founding, units, suspensions; and the note of a refusal.

No unit ever stands deeper than `MAX_LEVELS`: what reads the tree (hosts, volumes of branches, feeds) goes no
further. Units have no list of those below them, and whoever decides must not walk through 100,000 of them;
so each registration says to everything above how many levels are below it (`axis.core.effects`, at most
`MAX_LEVELS` facts), and a unit that is moved brings the levels that ever were below it. That is never less
than what stands there, and more only where what stood deepest has left.

Everything here may be asked twice: what is so already brings no record.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from axispb.v1 import facts_pb2, journal_pb2

from axis.core.commands import Decision, Done, Found, NoteRejected, Register, Resume, Suspend
from axis.core.document import MAX_TEXT
from axis.core.errors import Refusal
from axis.core.facts import Facts
from axis.core.lookup import founded, levels_below, resolve, unit
from axis.core.organisation import MAX_LEVELS, check_code, parents_by_form
from axis.core.registrars import MAX_OWN_LEVELS, check_own, check_register, check_resume

__all__ = ["done", "found", "note_rejected", "register", "registered_unit", "resume", "suspend"]

_Sign = Callable[[bytes], bytes]

#: Decree 30/2020, annex VI: OrganName.
_MAX_UNIT_NAME: Final = 200
_MAX_MAIL: Final = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_MAX_NUMBER: Final = 40
#: Control characters, surrogates, separators of lines and paragraphs.
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")


def found(command: Found, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `founded` record, the journal's first."""
    origin = founded(facts)
    if origin is None:
        body = journal_pb2.Founded(
            axis_id=command.axis_id, anchors=command.anchors, intermediates=command.intermediates
        )
        return done(command.axis_id, journal_pb2.Record(founded=body))
    if origin.axis_id != command.axis_id:
        raise Refusal("axis_mismatch", f"this journal belongs to axis {origin.axis_id}")
    return done(command.axis_id)


def register(command: Register, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `registered` record, if anything is new."""
    code = check_code(command.code)
    _check_name(command.name)
    known = unit(facts, code)
    before = known if known is not None else facts_pb2.UnitFact()
    body = journal_pb2.UnitRegistered(
        code=code,
        name=command.name,
        parent=_parent(command, known, facts),
        old_codes=_old_codes(code, command.old_codes or before.old_codes),
        mail=_mail(command.mail) or before.mail,
        mobile=_number("mobile", command.mobile) or before.mobile,
        fax=_number("fax", command.fax) or before.fax,
        by=command.by,
    )
    if known is None or known.parent != body.parent:
        _check_levels(body, facts)
    names = (code, *body.old_codes)
    for name in names:
        holder = resolve(facts, name)
        if holder not in (None, code):
            raise Refusal("field_invalid", f"code: {name} is a code of {holder}")
    records = []
    if command.by:
        held = {before.code, *before.old_codes}
        check_register(command.by, code, body.parent, [name for name in names if name not in held], facts)
        if before.suspended:
            check_resume(command.by, before)
            records.append(journal_pb2.Record(resumed=journal_pb2.UnitResumed(code=code, by=command.by)))
    if known is None or not _same(known, body):
        records.insert(0, journal_pb2.Record(registered=body))
    return done(code, *records)


def _check_name(text: str) -> None:
    """Not blank, and one line: what an organisation chooses is shown on the operator's terminal."""
    if not 1 <= len(text) <= _MAX_UNIT_NAME:
        raise Refusal("field_invalid", f"name: 1 to {_MAX_UNIT_NAME} characters are possible")
    if not text.strip() or any(unicodedata.category(char) in _CONTROLS for char in text):
        raise Refusal("field_invalid", "name: it is blank, or has control characters")


def _mail(text: str) -> str:
    if text and (len(text) > _MAX_MAIL or not text.isprintable() or not _MAIL.fullmatch(text)):
        raise Refusal("field_invalid", f"mail: {text[:60]!r} is no address")
    return text


def _number(field: str, text: str) -> str:
    if len(text) > _MAX_NUMBER or not text.isprintable():
        raise Refusal("field_invalid", f"{field}: at most {_MAX_NUMBER} characters are possible")
    return text


def _parent(command: Register, known: facts_pb2.UnitFact | None, facts: Facts) -> str:
    """The parent given, else the one registered, else the nearest registered by the form of the code."""
    if not command.parent:
        if known is not None and known.parent:
            return known.parent
        above = (resolve(facts, candidate) for candidate in parents_by_form(command.code))
        # A code that is by form above may be an old code of this unit, or of one below it: no parent then.
        return next((p for p in above if p is not None and command.code not in _ancestry(p, facts)), "")
    parent = resolve(facts, command.parent)
    if parent is None:
        raise Refusal("field_invalid", f"parent: {command.parent[:60]!r} is not registered")
    if known is not None and known.parent == parent:
        return parent
    if command.code in _ancestry(parent, facts):
        raise Refusal("field_invalid", f"parent: {parent} is {command.code} or stands below it")
    return parent


def _check_levels(body: journal_pb2.UnitRegistered, facts: Facts) -> None:
    """Raise Refusal `field_invalid` where a unit, with all that it has below it, would reach too deep."""
    most = MAX_OWN_LEVELS if body.by else MAX_LEVELS
    place, below = len(_ancestry(body.parent, facts)) + 1, levels_below(facts, body.code)
    if place + below > most:
        brings = f", and has {below} levels below it" if below else ""
        raise Refusal(
            "field_invalid", f"parent: {body.code} would stand on level {place}{brings}; the limit is {most}"
        )


def _ancestry(code: str, facts: Facts) -> list[str]:
    """A unit and everything above it; registration keeps it free of cycles.

    Refusal `field_invalid` where nothing can stand below it any more.
    """
    line: list[str] = []
    while code:
        line.append(code)
        if len(line) == MAX_LEVELS:
            raise Refusal("field_invalid", f"parent: {line[0]} stands {MAX_LEVELS} levels deep, the limit")
        fact = unit(facts, code)
        code = fact.parent if fact is not None else ""
    return line


def _old_codes(code: str, given: Sequence[str]) -> list[str]:
    checked = [check_code(old, "old_code") for old in given]
    return [old for old in dict.fromkeys(checked) if old != code]


def _same(known: facts_pb2.UnitFact, body: journal_pb2.UnitRegistered) -> bool:
    names = ("name", "parent", "old_codes", "mail", "mobile", "fax")
    return all(getattr(known, name) == getattr(body, name) for name in names)


def suspend(command: Suspend, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `suspended` record, if the unit is not suspended. The registrar's stands over an organisation's."""
    fact = registered_unit(command.code, facts)
    if command.by:
        check_own(command.by, fact.code, facts)
    if fact.suspended and (command.by or not fact.suspended_by):
        return done(fact.code)
    body = journal_pb2.UnitSuspended(code=fact.code, reason=_short(command.reason), by=command.by)
    return done(fact.code, journal_pb2.Record(suspended=body))


def resume(command: Resume, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `resumed` record, if the unit is suspended."""
    fact = registered_unit(command.code, facts)
    if command.by:
        check_own(command.by, fact.code, facts)
    if not fact.suspended:
        return done(fact.code)
    if command.by:
        check_resume(command.by, fact)
    body = journal_pb2.UnitResumed(code=fact.code, by=command.by)
    return done(fact.code, journal_pb2.Record(resumed=body))


def note_rejected(command: NoteRejected, _facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `rejected` record; how many are worth keeping is the caller's business."""
    body = journal_pb2.Rejected(
        organisation=command.organisation,
        code=command.code,
        bytes_sha256=command.bytes_sha256,
        document_id=command.document_id,
        detail=_short(command.detail),
        count=command.count,
    )
    return done(command.code, journal_pb2.Record(rejected=body))


def registered_unit(any_code: str, facts: Facts) -> facts_pb2.UnitFact:
    """A unit by any of its codes; Refusal `field_invalid`."""
    primary = resolve(facts, any_code)
    fact = unit(facts, primary) if primary is not None else None
    if fact is None:
        raise Refusal("field_invalid", f"code: {any_code[:60]} is not registered")
    return fact


def _short(text: str) -> str:
    return text[:MAX_TEXT]


def done(subject: str, *records: journal_pb2.Record) -> Decision:
    """What is asked for is so, with or without records."""
    return Decision(records, Done(subject, changed=bool(records)))
