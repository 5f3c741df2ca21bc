"""Who signed a record's envelopes, as its signatures themselves name them.

A CMS signature carries its signer's certificate. It was verified before the record was written, and
`axis audit` verifies it again; here it is only read, to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from axispb.v1 import envelope_pb2, journal_pb2

from axis.core import cms
from axis.core.errors import Refusal
from axis.core.trust import read_certificate
from axis.ports import StoredRecord

__all__ = ["Signer", "signers"]


@dataclass(frozen=True, slots=True)
class Signer:
    """One signature of a record."""

    what: str  # document, status, acceptance, receipt, notice
    organisation: str
    serial: str
    not_after: int


def signers(stored: StoredRecord | None, kind: str) -> list[Signer]:
    """The signatures of a record, in their order; those that cannot be read are left out (the audit names
    them). `kind`: document or status, which an accepted record holds.
    """
    if stored is None:
        return []
    record = journal_pb2.Record.FromString(stored.raw)
    read = (_signer(what, envelope) for what, envelope in _envelopes(record, kind))
    return [signer for signer in read if signer is not None]


def _envelopes(record: journal_pb2.Record, kind: str) -> Iterator[tuple[str, envelope_pb2.Envelope]]:
    body = record.WhichOneof("body")
    if body == "accepted":
        yield kind, record.accepted.envelope
        yield "acceptance", record.accepted.acceptance
    elif body == "receipted":
        yield "receipt", record.receipted.receipt
    elif body == "late_receipt":
        yield "receipt", record.late_receipt.receipt
    elif body == "noticed":
        yield "notice", record.noticed.notice


def _signer(what: str, envelope: envelope_pb2.Envelope) -> Signer | None:
    try:
        info = read_certificate(cms.read(envelope.signature).certificate_der)
    except Refusal:
        return None
    return Signer(what, info.organisation, info.serial, info.not_after)
