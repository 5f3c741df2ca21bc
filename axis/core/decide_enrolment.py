"""Deciding about enrolment and certificates.

A token is bound to the first two keys that use it, so that an interrupted enrolment can be repeated and
nobody else can use the same token. A certificate counts only once its issuance is journalled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from axispb.v1 import facts_pb2, journal_pb2

from axis.core.commands import Decision, Enrol, EnrolAnswer, IssueToken, RecordCertificate, Revoke
from axis.core.decide_register import done, registered_unit
from axis.core.errors import Refusal
from axis.core.facts import Facts
from axis.core.lookup import certificate, certificate_by_serial, enrolled, token
from axis.core.organisation import AXIS, check_code

if TYPE_CHECKING:
    from axis.core.trust import CertificateInfo

__all__ = ["REVOCATION_REASONS", "check_token", "enrol", "issue_token", "record_certificate", "revoke"]

_Sign = Callable[[bytes], bytes]

#: RFC 5280, section 5.3.1, without those that could be taken back.
REVOCATION_REASONS: Final = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "aACompromise",
)
_REASONS: Final = {name.lower(): name for name in REVOCATION_REASONS}


def issue_token(command: IssueToken, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `token_issued` record. A secret stands for one unit and one time, for ever."""
    fact = registered_unit(command.code, facts)
    if len(command.secret_sha256) != 32:
        raise Refusal("field_invalid", "secret_sha256: a SHA-256 has 32 bytes")
    known = token(facts, command.secret_sha256)
    if known is not None:
        if (known.code, known.expires_at) != (fact.code, command.expires_at):
            raise Refusal("field_invalid", "secret_sha256: this secret has been issued before")
        return done(fact.code)
    body = journal_pb2.TokenIssued(
        code=fact.code, secret_sha256=command.secret_sha256, expires_at=command.expires_at
    )
    return done(fact.code, journal_pb2.Record(token_issued=body))


def check_token(
    secret_sha256: bytes, tls_key_sha256: bytes, sign_key_sha256: bytes, facts: Facts, now: int
) -> tuple[str, facts_pb2.EnrolledFact | None]:
    """The unit that a secret and two keys may enrol, and what they have enrolled already.

    A token is bound to the keys it was first used with: they get the same certificates again, even after
    its expiry; others are refused. Refusals `token_used`, `token_invalid`, `sender_suspended`.
    """
    used = enrolled(facts, secret_sha256)
    if used is not None:
        if (used.tls_key_sha256, used.sign_key_sha256) != (tls_key_sha256, sign_key_sha256):
            raise Refusal("token_used")
        return used.code, used
    known = token(facts, secret_sha256)
    if known is None:
        raise Refusal("token_invalid", "no such token has been issued here")
    if known.expires_at < now:
        raise Refusal("token_invalid", f"the token for {known.code} has expired")
    if registered_unit(known.code, facts).suspended:
        raise Refusal("sender_suspended", f"{known.code} is suspended")
    return known.code, None


def enrol(command: Enrol, facts: Facts, now: int, _sign: _Sign) -> Decision:
    """Both `issued` records, as far as they are new, and the `enrolled` record that binds the token."""
    tls, sign = command.tls_certificate, command.sign_certificate
    keys = tls.public_key_sha256, sign.public_key_sha256
    code, used = check_token(command.secret_sha256, *keys, facts, now)
    if command.code != code:
        raise Refusal("token_invalid", f"the token is for {code}, not for {command.code}")
    if used is not None:
        return Decision((), EnrolAnswer(code, used.tls_serial, used.sign_serial, repeated=True))
    if keys[0] == keys[1]:
        raise Refusal("field_invalid", "sign_request: TLS and signing need a key each")
    records: list[journal_pb2.Record] = []
    for info, usage in ((tls, "tls"), (sign, "sign")):
        if info.organisation != code:
            detail = f"the {usage} certificate names {info.organisation}, the token {code}"
            raise Refusal("organisation_mismatch", detail)
        if info.usage != usage:
            raise Refusal("certificate_wrong_usage", f"certificate {info.serial} is not for {usage}")
        records += _issued(info, command.hierarchy, facts)
    body = journal_pb2.Enrolled(
        code=code,
        secret_sha256=command.secret_sha256,
        tls_key_sha256=keys[0],
        sign_key_sha256=keys[1],
        tls_serial=tls.serial,
        sign_serial=sign.serial,
    )
    records.append(journal_pb2.Record(enrolled=body))
    return Decision(tuple(records), EnrolAnswer(code, tls.serial, sign.serial, repeated=False))


def _issued(info: CertificateInfo, hierarchy: str, facts: Facts) -> list[journal_pb2.Record]:
    """The record of one certificate, none if it is journalled; a revoked one is not handed out again."""
    known = certificate(facts, info.sha256)
    if known is not None:
        if known.revoked_sequence:
            raise Refusal("certificate_revoked", f"certificate {info.serial} is revoked: make new keys")
        return []
    if certificate_by_serial(facts, info.serial) is not None:
        raise Refusal("field_invalid", f"serial: {info.serial} belongs to another certificate")
    body = journal_pb2.CertificateIssued(
        organisation=info.organisation,
        usage=info.usage,
        serial=info.serial,
        certificate=info.der,
        hierarchy=hierarchy,
    )
    return [journal_pb2.Record(issued=body)]


def record_certificate(command: RecordCertificate, facts: Facts, _now: int, _sign: _Sign) -> Decision:
    """One `issued` record, if the certificate is not journalled. Its unit need not be registered (yet)."""
    info = command.info
    if info.organisation != AXIS:
        check_code(info.organisation, "organisation")
    known = certificate(facts, info.sha256)
    records = _issued(info, command.hierarchy, facts) if known is None else []
    return done(info.serial, *records)


def revoke(command: Revoke, facts: Facts, now: int, _sign: _Sign) -> Decision:
    """One `revoked` record, if the certificate is not revoked."""
    reason = _REASONS.get(re.sub(r"[-_ ]", "", command.reason).lower())
    if reason is None:
        names = ", ".join(_REASONS.values())
        raise Refusal("field_invalid", f"reason: {command.reason[:60]!r} is none of {names}")
    serial = command.serial.lower()
    known = certificate_by_serial(facts, serial)
    if known is None:
        raise Refusal("certificate_unknown", f"no certificate {serial[:60]} is in the journal")
    if known.revoked_sequence:
        return done(serial)
    body = journal_pb2.CertificateRevoked(
        serial=serial,
        certificate_sha256=hashlib.sha256(known.certificate).digest(),
        reason=reason,
        revoked_at=now if command.revoked_at is None else command.revoked_at,
    )
    return done(serial, journal_pb2.Record(revoked=body))
