"""What a document, a status and the evidence about them must look like: ids, limits and field checks.

Everything here judges one message by itself. Who may send it, and whether its recipients exist, is
decided against the state (`axis.core.decide`); signatures are checked in `axis.core.verify`.

The edXML fields are kept as sent: QCVN 102:2016 and Decree 30/2020 (annex VI) set lengths, and real
senders exceed them, so a length is refused only where routing, storage or display would suffer: unit codes
(OrganId), attachment names, notes and reasons. All other text is bounded by the 256 KiB of the envelope.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Final

from axispb.v1 import document_pb2, evidence_pb2

from axis.core.envelope import Kind
from axis.core.errors import Refusal
from axis.core.organisation import check_code

__all__ = [
    "DELIVERY_LIFE_MS",
    "MAX_AGE_MS",
    "MAX_ATTACHMENTS",
    "MAX_ATTACHMENT_BYTES",
    "MAX_FUTURE_MS",
    "MAX_NAME",
    "MAX_RECIPIENTS",
    "MAX_STATUS_PACKET",
    "MAX_TEXT",
    "STATUS_CODES",
    "check_acceptance",
    "check_created",
    "check_document",
    "check_document_id",
    "check_notice",
    "check_receipt",
    "check_status",
    "check_text",
    "is_urgent",
    "new_document_id",
]

_MINUTE: Final = 60_000
_DAY: Final = 24 * 60 * _MINUTE

MAX_RECIPIENTS: Final = 1_000
MAX_ATTACHMENTS: Final = 200
MAX_ATTACHMENT_BYTES: Final = 2 * 1024**3
#: A clock may be this far ahead of the axis's.
MAX_FUTURE_MS: Final = 5 * _MINUTE
#: A document's node may have been offline this long.
MAX_AGE_MS: Final = 30 * _DAY
#: An attempt that nobody took in this time is dead.
DELIVERY_LIFE_MS: Final = 30 * _DAY
#: Characters of an attachment's name and media type.
MAX_NAME: Final = 255
#: Characters of a note or a reason.
MAX_TEXT: Final = 500
#: Bytes of an edXML status message.
MAX_STATUS_PACKET: Final = 64 * 1024
#: OrganId, Decision 20/2020: the one edXML length that is refused.
_MAX_ORGAN_ID: Final = 35
#: 9999-12-31T23:59:59.999Z: what RFC 3339 can show.
_MAX_TIME: Final = 253_402_300_799_999

#: QCVN 102: arrived, refused, accepted, assigned, in progress, done, taken back, agreed, not agreed.
STATUS_CODES: Final = frozenset({"01", "02", "03", "04", "05", "06", "13", "15", "16"})

_DOCUMENT_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)


def new_document_id(now_ms: int, random: bytes) -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) from the time and at least 10 random bytes.

    ValueError for fewer bytes or a time outside 48 bits.
    """
    if len(random) < 10 or not 0 <= now_ms < 1 << 48:
        raise ValueError("a UUIDv7 needs 10 random bytes and a time of 48 bits")
    bits = int.from_bytes(random[:10], "big")
    high = now_ms << 16 | 0x7000 | bits >> 68
    low = 1 << 63 | bits & (1 << 62) - 1
    return str(uuid.UUID(int=high << 64 | low))


def check_document_id(text: str, field: str = "document_id") -> str:
    """Return `text` if it is a UUIDv7 in canonical lower-case text; Refusal `field_invalid` otherwise.

    One spelling only: the id is a key, and two spellings of one id would be two documents.
    """
    if not _DOCUMENT_ID.fullmatch(text):
        raise _invalid(field, f"{text[:60]!r} is not a UUIDv7 in canonical lower-case text")
    return text


def is_urgent(fields: document_pb2.Fields) -> bool:
    """Whether a document travels in the urgent lane: Khẩn, Thượng khẩn, Hỏa tốc, Hỏa tốc hẹn giờ."""
    return 1 <= fields.other.priority <= 4


def check_created(created_at: int, now: int) -> None:
    """Judge the sender's time once, at acceptance. Refusal `created_in_future` or `created_too_old`."""
    if created_at > now + MAX_FUTURE_MS:
        raise Refusal("created_in_future", f"created_at is {(created_at - now) // 1000} s ahead of the axis")
    if created_at < now - MAX_AGE_MS:
        raise Refusal("created_too_old", f"created_at is {(now - created_at) // _DAY} days ago")


def check_document(document: document_pb2.Document) -> None:
    """Refusal `field_invalid` naming the first field that is missing, malformed or over its limit."""
    _check_header(document)
    if not 1 <= len(document.recipients) <= MAX_RECIPIENTS:
        raise _invalid("recipients", f"1 to {MAX_RECIPIENTS} are possible, not {len(document.recipients)}")
    if len(document.attachments) > MAX_ATTACHMENTS:
        raise _invalid(
            "attachments", f"{len(document.attachments)} attachments, the limit is {MAX_ATTACHMENTS}"
        )
    for number, attachment in enumerate(document.attachments):
        _check_attachment(attachment, f"attachments[{number}]")
    if document.packet > len(document.attachments):
        raise _invalid("packet", f"there is no attachment {document.packet}")
    for field, organ_id in _organ_ids(document.fields):
        if len(organ_id) > _MAX_ORGAN_ID:
            raise _invalid(field, f"{len(organ_id)} characters, the limit is {_MAX_ORGAN_ID}")


def check_status(status: document_pb2.Status) -> None:
    """Refusal `field_invalid` naming the first field that is missing, malformed or over its limit."""
    _check_header(status)
    if len(status.recipients) != 1:
        raise _invalid("recipients", f"a status has exactly one, not {len(status.recipients)}")
    if status.about_document_id or not status.packet:
        check_document_id(status.about_document_id, "about_document_id")
    if len(status.packet) > MAX_STATUS_PACKET:
        raise _invalid("packet", f"{len(status.packet)} bytes, the limit is {MAX_STATUS_PACKET}")
    if status.code not in STATUS_CODES:
        raise _invalid("code", f"{status.code[:60]!r} is not one of {', '.join(sorted(STATUS_CODES))}")
    check_text(status.note, "note")


def check_receipt(receipt: evidence_pb2.Receipt) -> None:
    """Refusal `field_invalid` naming the first field that is missing, malformed or over its limit."""
    check_document_id(receipt.document_id)
    _check_hash(receipt.signed_sha256, "signed_sha256")
    _check_hash(receipt.signature_sha256, "signature_sha256")
    _check_hash(receipt.acceptance_sha256, "acceptance_sha256")
    check_code(receipt.recipient_unit, "recipient_unit")
    check_code(receipt.acting_organisation, "acting_organisation")
    _check_attempt(receipt.attempt)
    if receipt.outcome not in (evidence_pb2.OUTCOME_RECEIVED, evidence_pb2.OUTCOME_REFUSED):
        raise _invalid("outcome", f"{receipt.outcome} is neither received nor refused")
    check_text(receipt.reason, "reason")
    _check_time(receipt.stored_at, "stored_at")


def check_acceptance(acceptance: evidence_pb2.Acceptance) -> None:
    """Refusal `field_invalid` naming the first field that is missing, malformed or over its limit."""
    check_document_id(acceptance.document_id)
    if acceptance.kind not in (Kind.DOCUMENT, Kind.STATUS):
        raise _invalid("kind", f"{acceptance.kind[:60]!r} is neither document nor status")
    _check_hash(acceptance.signed_sha256, "signed_sha256")
    _check_hash(acceptance.signature_sha256, "signature_sha256")
    if not 1 <= len(acceptance.deliveries) <= MAX_RECIPIENTS:
        raise _invalid("deliveries", f"1 to {MAX_RECIPIENTS} are possible, not {len(acceptance.deliveries)}")
    for number, destination in enumerate(acceptance.deliveries):
        check_code(destination.unit, f"deliveries[{number}].unit")
        check_code(destination.host, f"deliveries[{number}].host")
    _check_time(acceptance.accepted_at, "accepted_at")


def check_notice(notice: evidence_pb2.Notice) -> None:
    """Refusal `field_invalid` naming the first field that is missing, malformed or over its limit."""
    check_document_id(notice.document_id)
    _check_hash(notice.acceptance_sha256, "acceptance_sha256")
    check_code(notice.recipient_unit, "recipient_unit")
    _check_attempt(notice.attempt)
    if notice.kind == evidence_pb2.NOTICE_KIND_REQUEUED:
        check_code(notice.host, "host")
    elif notice.kind != evidence_pb2.NOTICE_KIND_DEAD:
        raise _invalid("kind", f"{notice.kind} is neither dead nor requeued")
    check_text(notice.reason, "reason")
    _check_time(notice.issued_at, "issued_at")


def _invalid(field: str, what: str) -> Refusal:
    return Refusal("field_invalid", f"{field}: {what}")


def _check_header(message: document_pb2.Document | document_pb2.Status) -> None:
    check_document_id(message.document_id)
    check_code(message.sender_unit, "sender_unit")
    check_code(message.acting_organisation, "acting_organisation")
    for number, recipient in enumerate(message.recipients):
        check_code(recipient, f"recipients[{number}]")
    _check_time(message.created_at, "created_at")


def _check_attachment(attachment: document_pb2.Attachment, field: str) -> None:
    if not 1 <= len(attachment.name) <= MAX_NAME:
        raise _invalid(
            f"{field}.name", f"1 to {MAX_NAME} characters are possible, not {len(attachment.name)}"
        )
    # The media type becomes an HTTP header at the receiver, where a line break would forge another.
    if len(attachment.media_type) > MAX_NAME or not _PRINTABLE.fullmatch(attachment.media_type):
        raise _invalid(f"{field}.media_type", f"at most {MAX_NAME} printable ASCII characters are possible")
    if attachment.size > MAX_ATTACHMENT_BYTES:
        raise _invalid(f"{field}.size", f"{attachment.size} bytes, the limit is {MAX_ATTACHMENT_BYTES}")
    _check_hash(attachment.sha256, f"{field}.sha256")


def _check_hash(value: bytes, field: str) -> None:
    if len(value) != 32:
        raise _invalid(field, f"a SHA-256 has 32 bytes, not {len(value)}")


def _check_attempt(attempt: int) -> None:
    if attempt < 1:
        raise _invalid("attempt", "the first attempt is number 1")


def check_text(text: str, field: str) -> None:
    """A text that people write: at most `MAX_TEXT` characters, all of them whole. Refusal `field_invalid`."""
    if len(text) > MAX_TEXT:
        raise _invalid(field, f"{len(text)} characters, the limit is {MAX_TEXT}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid(field, "half of a character is none") from None


def _check_time(value: int, field: str) -> None:
    if not 0 < value <= _MAX_TIME:
        raise _invalid(field, f"{value} is not a time in milliseconds since 1970")


def _organ_ids(fields: document_pb2.Fields) -> Iterator[tuple[str, str]]:
    """Every OrganId of the header with where it stands."""
    yield "fields.from.organ_id", getattr(fields, "from").organ_id
    for number, contact in enumerate(fields.to):
        yield f"fields.to[{number}].organ_id", contact.organ_id
    for number, original in enumerate(fields.response_for):
        yield f"fields.response_for[{number}].organ_id", original.organ_id
    for number, trace in enumerate(fields.trace_headers):
        yield f"fields.trace_headers[{number}].organ_id", trace.organ_id
    for number, receiver in enumerate(fields.business.receivers):
        yield f"fields.business.receivers[{number}].organ_id", receiver.organ_id
    for number, replacement in enumerate(fields.business.replacements):
        for organ_id in replacement.organ_ids:
            yield f"fields.business.replacements[{number}].organ_ids", organ_id
