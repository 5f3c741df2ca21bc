"""Judging the register's records: founding, units, tokens, enrolments, certificates, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from axispb.v1 import facts_pb2, journal_pb2

from axis.audit.books import Unit
from axis.audit.line import Line
from axis.core.errors import Refusal
from axis.core.trust import read_certificate

if TYPE_CHECKING:
    from axis.audit.judge import Judge

__all__ = ["JUDGES"]


def _founded(judge: Judge, body: journal_pb2.Founded) -> Line:
    judge.require(judge.sequence == 1, "founded_twice", "only the first record founds a journal")
    judge.books.founded = (body, judge.sequence)
    judge.trust(body)
    return Line("founded", party="axis")


def _registered(judge: Judge, body: journal_pb2.UnitRegistered) -> Line:
    books, sequence = judge.books, judge.sequence
    old_codes = tuple(body.old_codes)
    for code in (body.code, *old_codes):
        holder = books.primary(code)
        judge.require(holder in {"", body.code}, "code_taken", f"{code} is a code of {holder}")
    known = books.units.get(body.code)
    if body.by:
        _entitled(judge, body.by, body.parent if known is None else body.code, "registered")
        judge.require(books.host(body.parent) == body.by, "not_host_of_unit", f"{body.code}: its parent")
    if known is None and body.by:
        books.registered_by[body.by] = (books.registered_by.get(body.by, (0, 0))[0] + 1, sequence)
    if known is not None and known.parent != body.parent:
        for above in [*books.above(body.code)] or [""]:
            books.moves.setdefault((above, body.code), sequence)
    if known is None or known.parent != body.parent:
        _deepen(judge, body.code, body.parent)
    if known is None:
        has_node = body.code in books.early
        books.units[body.code] = Unit(
            body.name, body.parent, old_codes, sequence, sequence, enrolled=has_node
        )
    else:
        for gone in set(known.old_codes) - set(old_codes):
            books.aliases[gone] = ("", sequence)
        known.name, known.parent, known.old_codes = body.name, body.parent, old_codes
        known.changed = sequence
    books.units[body.code].contacts = (body.mail, body.mobile, body.fax)
    for code in (body.code, *old_codes):
        books.aliases[code] = (body.code, sequence)
    judge.require(not body.parent or body.parent in books.units, "parent_unknown", body.parent)
    return Line("registered", party=body.code, reason=f"(by {body.by})" if body.by else "")


def _deepen(judge: Judge, code: str, parent: str) -> None:
    """A unit comes below a parent with all that ever was below it; before it is entered there."""
    levels = judge.books.levels
    depth = levels.get(code, (0, 0))[0]
    for above in (parent, *judge.books.above(parent)):
        depth += 1
        if above in judge.books.units and levels.get(above, (0, 0))[0] < depth:
            levels[above] = (depth, judge.sequence)


def _suspended(judge: Judge, body: journal_pb2.UnitSuspended) -> Line:
    if body.by:
        _entitled(judge, body.by, body.code, "suspended")
    _change(judge, body.code, suspended=True, suspended_by=body.by)
    asked = f"(by {body.by})" if body.by else ""
    return Line(
        "suspended", party=body.code, reason=f"{body.reason} {asked}".strip() if asked else body.reason
    )


def _resumed(judge: Judge, body: journal_pb2.UnitResumed) -> Line:
    if body.by:
        unit = judge.books.units.get(body.code)
        _entitled(judge, body.by, body.code, "resumed")
        own = unit is None or unit.suspended_by == body.by
        judge.require(own, "sender_suspended", f"{body.code}: {body.by} resumed what somebody else suspended")
    _change(judge, body.code, suspended=False, suspended_by="")
    return Line("resumed", party=body.code, reason=f"(by {body.by})" if body.by else "")


def _entitled(judge: Judge, by: str, code: str, event: str) -> None:
    """An active organisation changes units that its node serves, never its own."""
    books = judge.books
    unit = books.units.get(by)
    judge.require(unit is not None and not unit.suspended, "sender_suspended", f"{by} {event} {code}")
    judge.require(books.host(code) == by, "not_host_of_unit", f"{by} {event} {code}")


def _change(judge: Judge, code: str, **values: bool | str) -> None:
    unit = judge.books.units.get(code)
    judge.require(unit is not None, "unit_unknown", f"{code} is not registered")
    if unit is not None:
        for name, value in values.items():
            setattr(unit, name, value)
        unit.changed = judge.sequence


def _token_issued(judge: Judge, body: journal_pb2.TokenIssued) -> Line:
    judge.require(body.code in judge.books.units, "unit_unknown", f"{body.code} is not registered")
    judge.books.tokens[body.secret_sha256] = (body, judge.sequence)
    return Line("token_issued", party=body.code)


def _enrolled(judge: Judge, body: journal_pb2.Enrolled) -> Line:
    books = judge.books
    token = books.tokens.get(body.secret_sha256)
    issued = token is not None and token[0].code == body.code
    judge.require(issued, "token_invalid", f"{body.code} enrolled with a token that it was not given")
    judge.require(body.secret_sha256 not in books.enrolments, "token_used", f"{body.code}: a second time")
    for serial, usage in ((body.tls_serial, "tls"), (body.sign_serial, "sign")):
        fact = books.certificate(books.serials.get(serial, (b"", 0))[0])
        fits = fact is not None and (fact.organisation, fact.usage) == (body.code, usage)
        judge.require(fits, "certificate_unknown", f"{usage} certificate {serial} of {body.code}")
    books.enrolments[body.secret_sha256] = (body, judge.sequence)
    _change(judge, body.code, enrolled=True)
    return Line("enrolled", party=body.code)


def _issued(judge: Judge, body: journal_pb2.CertificateIssued) -> Line:
    books = judge.books
    sha256 = hashlib.sha256(body.certificate).digest()
    try:
        info = read_certificate(body.certificate)
        says = (info.organisation, info.usage, info.serial)
        judge.require(
            says == (body.organisation, body.usage, body.serial),
            "certificate_mismatch",
            f"the record says {body.organisation} {body.usage} {body.serial}, the certificate {says}",
        )
        if judge.anchors is not None:
            judge.anchors.path(body.certificate, info.not_before)
    except Refusal as refusal:
        judge.problem(refusal.name, f"certificate {body.serial} of {body.organisation}: {refusal.detail}")
    judge.require(body.serial not in books.serials, "serial_taken", f"serial {body.serial}: a second time")
    fact = facts_pb2.CertificateFact(
        organisation=body.organisation,
        usage=body.usage,
        serial=body.serial,
        certificate=body.certificate,
        hierarchy=body.hierarchy,
        issued_sequence=judge.sequence,
    )
    books.serials[body.serial] = (sha256, judge.sequence)
    books.certificates[sha256] = (fact, judge.sequence)
    if body.organisation != "axis":
        unit = books.units.get(body.organisation)
        if unit is None:  # perhaps registered later
            books.early.setdefault(body.organisation, judge.sequence)
        else:
            unit.enrolled, unit.changed = True, judge.sequence
        books.into_feeds(judge.sequence, False, body.organisation)
    return Line("issued", party=body.organisation)


def _revoked(judge: Judge, body: journal_pb2.CertificateRevoked) -> Line:
    fact = judge.books.certificate(body.certificate_sha256)
    fits = fact is not None and fact.serial == body.serial
    judge.require(fits, "certificate_unknown", f"revoked, but never issued: {body.serial}")
    if fact is None:
        return Line("revoked", reason=body.reason)
    judge.require(not fact.revoked_sequence, "revoked_twice", f"certificate {body.serial}")
    fact.revoked_sequence, fact.revoked_at = judge.sequence, body.revoked_at
    fact.revocation_reason = body.reason
    judge.books.certificates[body.certificate_sha256] = (fact, judge.sequence)
    return Line("revoked", party=fact.organisation, reason=body.reason)


def _rejected(judge: Judge, body: journal_pb2.Rejected) -> Line:
    repeats = body.count or 1
    judge.books.rejections[body.code] += repeats
    return Line(
        "rejected",
        party=body.organisation,
        document_id=body.document_id,
        code=body.code,
        reason=body.detail,
        repeats=repeats,
    )


#: By the record's body.
JUDGES: Final[dict[str, Callable[[Judge, Any], Line]]] = {
    "founded": _founded,
    "registered": _registered,
    "suspended": _suspended,
    "resumed": _resumed,
    "token_issued": _token_issued,
    "enrolled": _enrolled,
    "issued": _issued,
    "revoked": _revoked,
    "rejected": _rejected,
}
