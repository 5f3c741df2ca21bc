"""Commands: what the axis can be asked to do, and what it answers. `axis.core.decide` decides them.

A command holds everything the decision needs of the world: verified envelopes, the TLS peer, hashes. Codes
of units may be any of their codes. Answers of commands that had nothing to do any more say so
(`changed=False`, `repeated=True`) and bring no records: every command may be sent twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from axispb.v1 import journal_pb2

from axis.core.envelope import Envelope
from axis.core.errors import Refusal

if TYPE_CHECKING:
    from axispb.v1 import document_pb2, evidence_pb2

    from axis.core.trust import CertificateInfo
    from axis.core.verify import Verified

__all__ = [
    "Accept",
    "AcceptanceAnswer",
    "Act",
    "Close",
    "Command",
    "Decision",
    "DeliveryAnswer",
    "Done",
    "Enrol",
    "EnrolAnswer",
    "Expire",
    "Found",
    "IssueToken",
    "NoteRejected",
    "ReceiptAnswer",
    "RecordCertificate",
    "Register",
    "Requeue",
    "Resume",
    "Revoke",
    "Suspend",
    "TakeReceipt",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person at the axis may ask for. Its records name the `operator`; `remark` says why, in words.

    Both are empty where nobody at the axis asked. Refusal `field_invalid` where one is too long, or the
    operator's name is not one line.
    """

    operator: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Begin the journal. Answers `Done`; `axis_mismatch` if it belongs to another axis."""

    axis_id: str
    anchors: tuple[bytes, ...]  # DER
    intermediates: tuple[bytes, ...]  # DER


@dataclass(frozen=True, slots=True)
class Register(Act):
    """Put a unit into the register, or change it. Answers `Done` with the primary code.

    Without a parent a new unit gets the nearest registered one by the form of its code. For a registered
    unit an empty parent or no old codes leave what is registered; old codes that are given replace it.
    Likewise an empty mail, mobile or fax. `code` is the primary code. `by`: the organisation that asks, whose
    unit it is (`axis.core.registrars`); empty for the registrar. Refusal `field_invalid`, for an organisation
    also `not_host_of_unit`, `sender_suspended`.
    """

    code: str
    name: str
    parent: str = ""
    old_codes: tuple[str, ...] = ()
    mail: str = ""
    mobile: str = ""
    fax: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Suspend(Act):
    """Let a unit neither send nor be sent to, nor act as an organisation. Answers `Done`."""

    code: str
    reason: str = ""
    by: str = ""  # as for Register


@dataclass(frozen=True, slots=True)
class Resume(Act):
    """End a suspension; an organisation ends its own only. Answers `Done`."""

    code: str
    by: str = ""  # as for Register


@dataclass(frozen=True, slots=True)
class IssueToken(Act):
    """Let whoever holds the secret enrol a unit's node once. Answers `Done` with the primary code."""

    code: str
    secret_sha256: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class Enrol:
    """Journal two certificates that were issued for a token. Answers `EnrolAnswer`.

    Check the token (`axis.core.decide.check_token`) before the certificates are made.
    Refusals `token_invalid`, `token_used`, `sender_suspended`, `certificate_revoked`, `field_invalid`.
    """

    code: str
    secret_sha256: bytes
    tls_certificate: CertificateInfo
    sign_certificate: CertificateInfo
    hierarchy: str = "development"


@dataclass(frozen=True, slots=True)
class RecordCertificate:
    """Journal one certificate: the axis's own, or one that only the issuer's list has. Answers `Done`."""

    info: CertificateInfo
    hierarchy: str = "development"


@dataclass(frozen=True, slots=True)
class Revoke(Act):
    """Journal a revocation. Answers `Done` with the serial.

    `reason` is an RFC 5280 name in any spelling (`keyCompromise`, `key-compromise`); `revoked_at` is the
    issuer's time, or none for now. Refusals `certificate_unknown`, `field_invalid`.
    """

    serial: str
    reason: str
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept a verified document or status from a TLS peer. Answers `AcceptanceAnswer`."""

    verified: Verified[document_pb2.Document] | Verified[document_pb2.Status]
    peer: str
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class TakeReceipt:
    """Take a verified receipt from a TLS peer. Answers `ReceiptAnswer`."""

    verified: Verified[evidence_pb2.Receipt]
    peer: str
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Requeue(Act):
    """The operator opens the next attempt of a dead or refused delivery. Answers `DeliveryAnswer`."""

    document_id: str
    unit: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Close(Act):
    """The operator ends an attempt that is in flight. Answers `DeliveryAnswer`."""

    document_id: str
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """End an attempt that nobody took in 30 days. Answers `DeliveryAnswer`."""

    document_id: str
    unit: str


@dataclass(frozen=True, slots=True)
class NoteRejected:
    """Journal the refusal of an authenticated organisation. Answers `Done`."""

    organisation: str
    code: str
    bytes_sha256: bytes
    document_id: str = ""
    detail: str = ""
    count: int = 1


Command = (
    Found
    | Register
    | Suspend
    | Resume
    | IssueToken
    | Enrol
    | RecordCertificate
    | Revoke
    | Accept
    | TakeReceipt
    | Requeue
    | Close
    | Expire
    | NoteRejected
)


@dataclass(frozen=True, slots=True)
class Done:
    """`subject` (a primary code, a serial, an axis id) is as asked; `changed` if it was not before."""

    subject: str
    changed: bool


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """The serials of the two certificates that belong to this token and these keys."""

    code: str
    tls_serial: str
    sign_serial: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class AcceptanceAnswer:
    """The acceptance. A repeat names the sequence of the record that holds it; a new one holds it itself."""

    acceptance: Envelope | None
    sequence: int | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class ReceiptAnswer:
    """The outcome is taken: now (the sequence is that of the new record), or before, at `sequence`."""

    sequence: int | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class DeliveryAnswer:
    """The attempt that was opened or ended, and its host."""

    document_id: str
    unit: str
    attempt: int
    host: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to append, all of it in one frame or nothing, and what to answer once it has landed.

    A Refusal can come with records: a late receipt is kept and refused.
    """

    records: tuple[journal_pb2.Record, ...]
    answer: object | Refusal
