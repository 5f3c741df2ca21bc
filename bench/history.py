"""Histories of an axis, made record by record: for tests of what replays a journal, and for measuring it.

Nothing is decided here; the caller says what happens, and the records are laid into frames. Signatures are
whatever `sign` makes: real ones for an audit, a few bytes where nobody looks at them.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from axispb.v1 import document_pb2, envelope_pb2, evidence_pb2, journal_pb2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message

from axis.core import cms
from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.frame import MAX_FRAME_BYTES, MAX_RECORDS, encode
from axis.core.state import reduce
from axis.core.trust import CertificateInfo, read_certificate
from axis.ports import Journal
from certs.authority import Authority

__all__ = ["AXIS_ID", "History", "Sent", "Sign", "Signers"]

AXIS_ID: Final = "a1" * 32

#: Signs as an organisation ("axis" for the axis) at a time: (signed bytes, organisation, ms) → CMS.
Sign = Callable[[bytes, str, int], bytes]


def _unsigned(signed: bytes, organisation: str, at: int) -> bytes:
    return hashlib.sha256(signed + organisation.encode() + at.to_bytes(8)).digest()


class Signers:
    """Real keys and certificates of an axis and its organisations, in a development authority's `home`."""

    def __init__(self, home: Path, now: int) -> None:
        self.authority = Authority.create(home, now)
        self.axis_id = hashlib.sha256(self.authority.anchors[0]).hexdigest()
        self._now = now
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._certificates: dict[str, tuple[CertificateInfo, CertificateInfo]] = {}

    def certificates(self, organisation: str) -> tuple[CertificateInfo, CertificateInfo]:
        """For TLS and for signing; made at the first call."""
        if organisation not in self._certificates:
            keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
            requests = [
                x509.CertificateSigningRequestBuilder()
                .subject_name(x509.Name([]))
                .sign(key, hashes.SHA256())
                .public_bytes(serialization.Encoding.DER)
                for key in keys
            ]
            if organisation == "axis":
                pair = self.authority.issue_axis(requests[0], requests[1], ["localhost"], self._now)
            else:
                pair = self.authority.issue_organisation(organisation, requests[0], requests[1], self._now)
            self._keys[organisation] = keys[1]
            self._certificates[organisation] = (read_certificate(pair[0]), read_certificate(pair[1]))
        return self._certificates[organisation]

    def sign(self, signed: bytes, organisation: str, at: int) -> bytes:
        """See `Sign`."""
        _, certificate = self.certificates(organisation)
        return cms.sign(signed, self._keys[organisation], certificate.der, self.authority.intermediates, at)


@dataclass
class Sent:
    """A document or status that was accepted."""

    document_id: str
    envelope: Envelope
    acceptance: Envelope
    sequence: int


@dataclass
class History:
    """A journal being filled. Units host themselves unless `hosts` says otherwise."""

    journal: Journal
    now: int = 1_767_225_600_000  # 2026-01-01T00:00:00Z
    axis_id: str = AXIS_ID
    sign: Sign = _unsigned
    hosts: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    _waiting: list[bytes] = field(default_factory=list)
    _made: int = 0

    async def add(self, trace_id: str = "", *, operator: str = "", remark: str = "", **body: Message) -> int:
        """Add one record, e.g. `resumed=UnitResumed(code="G22")`; answers its sequence."""
        record = journal_pb2.Record(trace_id=trace_id, operator=operator, remark=remark, **body)  # type: ignore[arg-type]
        raw = record.SerializeToString(deterministic=True)
        size = sum(map(len, self._waiting)) + len(raw) + 8 * len(self._waiting)
        if len(self._waiting) == MAX_RECORDS or size > MAX_FRAME_BYTES - 4096:
            await self.flush()
        self._waiting.append(raw)
        return self.journal.head().sequence + len(self._waiting)

    async def flush(self) -> None:
        """Append what is waiting as one frame."""
        if self._waiting:
            head = self.journal.head()
            frame = encode(head, self.now, self._waiting)
            await self.journal.append(head, frame, reduce(frame, self.journal))
            self._waiting.clear()

    async def move(self, milliseconds: int) -> None:
        """Let time pass."""
        await self.flush()
        self.now += milliseconds

    async def found(self, anchors: Sequence[bytes] = (), intermediates: Sequence[bytes] = ()) -> None:
        """The first record."""
        await self.add(
            founded=journal_pb2.Founded(axis_id=self.axis_id, anchors=anchors, intermediates=intermediates)
        )

    async def register(
        self, code: str, name: str = "", parent: str = "", old_codes: Sequence[str] = ()
    ) -> None:
        """Register a unit."""
        await self.add(
            registered=journal_pb2.UnitRegistered(
                code=code, name=name or f"Cơ quan {code}", parent=parent, old_codes=old_codes
            )
        )

    async def issue(self, info: CertificateInfo) -> None:
        """A certificate counts from here on."""
        await self.add(
            issued=journal_pb2.CertificateIssued(
                organisation=info.organisation,
                usage=info.usage,
                serial=info.serial,
                certificate=info.der,
                hierarchy="development",
            )
        )

    async def enrol(self, code: str, tls: CertificateInfo, sign: CertificateInfo) -> None:
        """A unit gets a token and uses it."""
        secret = hashlib.sha256(code.encode()).digest()
        expires = self.now + 86_400_000
        await self.add(
            token_issued=journal_pb2.TokenIssued(code=code, secret_sha256=secret, expires_at=expires)
        )
        await self.issue(tls)
        await self.issue(sign)
        await self.add(
            enrolled=journal_pb2.Enrolled(
                code=code,
                secret_sha256=secret,
                tls_key_sha256=tls.public_key_sha256,
                sign_key_sha256=sign.public_key_sha256,
                tls_serial=tls.serial,
                sign_serial=sign.serial,
            )
        )

    async def send(
        self,
        sender: str,
        recipients: Sequence[str],
        sizes: Sequence[int] = (),
        subject: str = "Về việc đường sắt",
        number: str = "",
        host: str = "",
        blobs: Sequence[bytes] = (),
        priority: int = 0,
        speaks_of: tuple[str, str] = ("", ""),
        notation: str = "QĐ-TTg",
        names: Sequence[str] = (),
    ) -> Sent:
        """A document is accepted. `recipients` are primary codes; `speaks_of`: relation, original's name;
        `names` are those of the first attachments.
        """
        document_id = self._new_id()
        fields = document_pb2.Fields(subject=subject, code_number=number, issuer_document_id=number)
        fields.other.priority = priority
        relation, named = speaks_of
        if relation == "recall":
            fields.business.doc_type = 1
            fields.response_for.add(document_id=named)
        elif relation == "update":
            fields.business.doc_type, fields.business.document_id = 2, named
        elif relation == "replacement":
            fields.business.doc_type = 3
            fields.business.replacements.add(document_id=named)
        if number:
            fields.code_notation = notation
        shas = [hashlib.sha256(blob).digest() for blob in blobs] or [
            hashlib.sha256(f"{document_id}/{n}".encode()).digest() for n in range(len(sizes))
        ]
        message = document_pb2.Document(
            axis_id=self.axis_id,
            document_id=document_id,
            sender_unit=sender,
            acting_organisation=host or self._host(sender),
            recipients=recipients,
            created_at=self.now,
            fields=fields,
            attachments=[
                document_pb2.Attachment(name=name, media_type="application/pdf", size=size, sha256=sha)
                for name, size, sha in zip(
                    [*names, *(f"{n}.pdf" for n in range(len(names), len(shas)))],
                    sizes or [len(blob) for blob in blobs],
                    shas,
                    strict=True,
                )
            ],
        )
        return await self._accept(Kind.DOCUMENT, message, recipients)

    async def report(self, sender: str, recipient: str, about: str, code: str = "03", note: str = "") -> Sent:
        """A status about a document is accepted."""
        message = document_pb2.Status(
            axis_id=self.axis_id,
            document_id=self._new_id(),
            sender_unit=sender,
            acting_organisation=self._host(sender),
            recipients=[recipient],
            created_at=self.now,
            about_document_id=about,
            code=code,
            note=note,
        )
        return await self._accept(Kind.STATUS, message, [recipient])

    def receipt(
        self,
        sent: Sent,
        unit: str,
        attempt: int = 1,
        reason: str = "",
        host: str = "",
        stored_at: int | None = None,
        refused: bool = False,
    ) -> envelope_pb2.Envelope:
        """A signed receipt: refused if so said or with a reason, else received; stored now unless said."""
        acting = host or self._host(unit)
        refused = refused or bool(reason)
        outcome = evidence_pb2.OUTCOME_REFUSED if refused else evidence_pb2.OUTCOME_RECEIVED
        message = evidence_pb2.Receipt(
            axis_id=self.axis_id,
            document_id=sent.document_id,
            signed_sha256=sent.envelope.signed_sha256,
            signature_sha256=sent.envelope.signature_sha256,
            acceptance_sha256=sent.acceptance.signed_sha256,
            recipient_unit=unit,
            acting_organisation=acting,
            attempt=attempt,
            outcome=outcome,
            reason=reason,
            stored_at=self.now if stored_at is None else stored_at,
        )
        return self._sealed(Kind.RECEIPT, message, acting).to_message()

    async def take(
        self,
        sent: Sent,
        unit: str,
        attempt: int = 1,
        reason: str = "",
        host: str = "",
        *,
        refused: bool = False,
    ) -> None:
        """A delivery is receipted."""
        receipt = self.receipt(sent, unit, attempt, reason, host, refused=refused)
        await self.add(receipted=journal_pb2.Receipted(receipt=receipt))

    async def take_late(
        self, sent: Sent, unit: str, attempt: int = 1, reason: str = "", host: str = ""
    ) -> None:
        """A receipt comes for an attempt that is closed."""
        receipt = self.receipt(sent, unit, attempt, reason, host)
        await self.add(late_receipt=journal_pb2.LateReceipt(receipt=receipt, code="delivery_closed"))

    async def notice(self, sent: Sent, unit: str, attempt: int, reason: str, host: str = "") -> None:
        """An attempt is dead or, with a `host`, the next one (`attempt`) is opened there."""
        kind = evidence_pb2.NOTICE_KIND_REQUEUED if host else evidence_pb2.NOTICE_KIND_DEAD
        message = evidence_pb2.Notice(
            axis_id=self.axis_id,
            document_id=sent.document_id,
            acceptance_sha256=sent.acceptance.signed_sha256,
            recipient_unit=unit,
            attempt=attempt,
            kind=kind,
            host=host,
            reason=reason,
            issued_at=self.now,
        )
        notice = self._sealed(Kind.NOTICE, message, "axis").to_message()
        await self.add(noticed=journal_pb2.Noticed(notice=notice))

    async def _accept(
        self, kind: Kind, message: document_pb2.Document | document_pb2.Status, recipients: Sequence[str]
    ) -> Sent:
        envelope = self._sealed(kind, message, message.acting_organisation)
        acceptance = evidence_pb2.Acceptance(
            axis_id=self.axis_id,
            document_id=message.document_id,
            kind=str(kind),
            signed_sha256=envelope.signed_sha256,
            signature_sha256=envelope.signature_sha256,
            deliveries=[evidence_pb2.Destination(unit=unit, host=self._host(unit)) for unit in recipients],
            accepted_at=self.now,
        )
        accepted = self._sealed(Kind.ACCEPTANCE, acceptance, "axis")
        sequence = await self.add(
            trace_id=uuid.UUID(message.document_id).hex,
            accepted=journal_pb2.Accepted(
                kind=str(kind), envelope=envelope.to_message(), acceptance=accepted.to_message()
            ),
        )
        sent = Sent(message.document_id, envelope, accepted, sequence)
        self.sent[sent.document_id] = sent
        return sent

    def _sealed(self, kind: Kind, message: Message, organisation: str) -> Envelope:
        signed = signed_bytes(kind, message)
        return Envelope(signed, self.sign(signed, organisation, self.now))

    def _host(self, unit: str) -> str:
        return self.hosts.get(unit, unit)

    def _new_id(self) -> str:
        self._made += 1
        return new_document_id(self.now, hashlib.sha256(self._made.to_bytes(8)).digest())
