"""Writing a packet: strict, in one fixed order, the same bytes for the same document.

For documents that were made here and not handed in as a packet. A packet that was handed in is never written
anew: its own bytes travel (a signature within it would break).

A packet is written in pieces, so that attachments never have to be in memory: `document_start`, then for each
attachment `attachment_start`, its bytes through a `ContentWriter`, `ATTACHMENT_END`; then `DOCUMENT_END`.
"""

from __future__ import annotations

import base64
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Final, cast
from xml.sax.saxutils import escape

from axispb.v1 import document_pb2

from agencies.edxml.content import ZIP_MARK
from agencies.edxml.headers import CONTACT, DATES, STAFF, TEXTS
from agencies.edxml.packet import Attachment
from agencies.edxml.tree import NAMESPACE
from axis.core.errors import Refusal

__all__ = [
    "ATTACHMENT_END",
    "DOCUMENT_END",
    "ContentWriter",
    "attachment_start",
    "document_start",
    "status_message",
]

ATTACHMENT_END: Final = b"</ContentTransferEncoded></Attachment>\n"
DOCUMENT_END: Final = b"</AttachmentEncoded>\n</edXML>\n"

_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
#: Characters that XML 1.0 (2.2) has no way to write.
_IMPOSSIBLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: Elements of MessageHeader whose children stand in one parent.
_PARENTS: Final = ("Code", "PromulgationInfo", "DocumentType", "SignerInfo")
_CID: Final = "cid:"
_VIETNAM: Final = timezone(timedelta(hours=7))


class ContentWriter:
    """Encodes one attachment's bytes, that come in pieces, as `ContentTransferEncoded` holds them.

    A file that begins like a ZIP is put into a ZIP of its own, stored: readers take a ZIP with one entry for
    a wrapping, and would otherwise hand out what is inside of it instead of the file.
    """

    def __init__(self) -> None:
        self._begun = b""
        self._rest = b""
        self._wrapping: _Wrapping | None = None
        self._decided = False

    def feed(self, data: bytes) -> bytes:
        """What can be written now."""
        if not self._decided:
            self._begun += data
            if len(self._begun) < len(ZIP_MARK):
                return b""
            data = self._decide()
        return self._encoded(self._wrapping.feed(data) if self._wrapping else data)

    def finish(self) -> bytes:
        """The rest."""
        data = b"" if self._decided else self._decide()
        if self._wrapping is not None:
            data = self._wrapping.finish()
        return self._encoded(data) + base64.b64encode(self._rest)

    def _decide(self) -> bytes:
        self._decided = True
        if self._begun.startswith(ZIP_MARK):
            self._wrapping = _Wrapping()
        return self._begun

    def _encoded(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) - len(data) % 3
        self._rest = data[whole:]
        return base64.b64encode(data[:whole])


class _Wrapping:
    """A ZIP of one stored entry, written as a stream: the same bytes for the same content."""

    def __init__(self) -> None:
        self._out = _Out()
        self._archive = zipfile.ZipFile(cast(IO[bytes], self._out), "w", zipfile.ZIP_STORED)
        # The format's own epoch: a packet does not depend on when it is written.
        self._entry = self._archive.open(zipfile.ZipInfo("content"), "w", force_zip64=True)

    def feed(self, data: bytes) -> bytes:
        self._entry.write(data)
        return self._out.taken()

    def finish(self) -> bytes:
        self._entry.close()
        self._archive.close()
        return self._out.taken()


class _Out:
    """Where the archive writes; it cannot be sought in, so nothing that was written changes."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def document_start(
    fields: document_pb2.Fields,
    sender: str,
    recipients: Sequence[str],
    attachments: Sequence[Attachment],
    names: Mapping[str, str],
) -> bytes:
    """Everything up to the first attachment. `names`: of units, by code, where the header has none.

    Refusal `field_invalid` for text that XML cannot hold.
    """
    from_ = getattr(fields, "from")
    header = [_contact("From", from_, sender, names)]
    to = {contact.organ_id: contact for contact in fields.to}
    header += [_contact("To", to.get(code), code, names) for code in recipients]
    header.append(_element("DocumentId", fields.issuer_document_id))
    header += [_parent(fields, name) for name in _PARENTS]
    header.insert(-1, _element("Subject", fields.subject) + _element("Content", fields.content))
    header.append(_element("DueDate", _date(fields.due_date)))
    header.append(_parent_of("ToPlaces", [_element("Place", place) for place in fields.to_places]))
    header.append(_other(fields))
    header += [_response_for(one) for one in fields.response_for]
    header.append(_element("SteeringType", str(fields.steering_type)))
    body = "".join(_reference(number, one) for number, one in enumerate(attachments, 1))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{NAMESPACE}">\n'
        "<edXMLEnvelope>\n<edXMLHeader>\n"
        f"<MessageHeader>\n{''.join(header)}</MessageHeader>\n{_trace(fields)}</edXMLHeader>\n"
        f'<edXMLBody><edXMLManifest version="1.0">\n{body}</edXMLManifest></edXMLBody>\n</edXMLEnvelope>\n'
        "<AttachmentEncoded>\n"
    ).encode()


def attachment_start(number: int, attachment: Attachment) -> bytes:
    """Everything up to an attachment's content; `number` from 1."""
    return (
        "<Attachment>"
        + _element("ContentId", attachment.content_id or f"{_CID}{number}")
        + _element("AttachmentName", attachment.name)
        + _element("Description", attachment.description)
        + _element("ContentType", attachment.media_type)
        + "<ContentTransferEncoded>"
    ).encode()


def status_message(
    status: document_pb2.Status, about: document_pb2.ResponseFor, names: Mapping[str, str]
) -> bytes:
    """A whole status message; `names` of units by code. Refusal `field_invalid` as above."""
    at = datetime.fromtimestamp(status.created_at / 1000, _VIETNAM).strftime("%Y/%m/%d %H:%M:%S")
    header = [
        _contact("From", None, status.sender_unit, names),
        _response_for(about),
        _staff(status.staff),
        _element("StatusCode", status.code),
        _element("Description", status.note),
        _element("Timestamp", at),
    ]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{NAMESPACE}">\n'
        f"<edXMLEnvelope>\n<edXMLHeader>\n<MessageHeader>\n{''.join(header)}</MessageHeader>\n"
        "</edXMLHeader>\n</edXMLEnvelope>\n</edXML>\n"
    ).encode()


def _reference(number: int, attachment: Attachment) -> str:
    return (
        "<Reference>"
        + _element("ContentId", attachment.content_id or f"{_CID}{number}")
        + _element("ContentType", attachment.media_type)
        + _element("AttachmentName", attachment.name)
        + _element("Description", attachment.description)
        + "</Reference>\n"
    )


def _contact(name: str, contact: Any, code: str, names: Mapping[str, str]) -> str:
    known = contact if contact is not None else document_pb2.Contact()
    values = {element: getattr(known, field) for element, field in CONTACT.items()}
    values["OrganId"] = values["OrganId"] or code
    values["OrganName"] = values["OrganName"] or names.get(code, "")
    return _parent_of(name, [_element(element, value) for element, value in values.items()])


def _parent(fields: document_pb2.Fields, name: str) -> str:
    """One of MessageHeader's groups, out of the tables that the reader uses."""
    prefix = f"{name}/"
    parts = []
    for path, field in (TEXTS | DATES).items():
        if path.startswith(prefix):
            value = _get(fields, field)
            parts.append(_element(path.removeprefix(prefix), _date(value) if path in DATES else value))
    return _parent_of(name, parts)


def _other(fields: document_pb2.Fields) -> str:
    other = fields.other
    return _parent_of(
        "OtherInfo",
        [
            _element("Priority", str(other.priority)),
            *(
                _element(path.removeprefix("OtherInfo/"), _get(fields, field))
                for path, field in TEXTS.items()
                if path.startswith("OtherInfo/")
            ),
            _parent_of("Appendixes", [_element("Appendix", one) for one in other.appendixes]),
        ],
    )


def _response_for(one: document_pb2.ResponseFor) -> str:
    return _parent_of(
        "ResponseFor",
        [
            _element("OrganId", one.organ_id),
            _element("Code", one.code),
            _element("PromulgationDate", _date(one.promulgation_date)),
            _element("DocumentId", one.document_id),
        ],
    )


def _trace(fields: document_pb2.Fields) -> str:
    business = fields.business
    info = [
        _element("DocumentInfo", str(int(business.document_info))),
        _element("DocumentReceiver", str(int(business.document_receiver))),
        _parent_of(
            "ReceiverList",
            [
                _parent_of(
                    "Receiver",
                    [_element("OrganId", one.organ_id), _element("ReceiverType", one.receiver_type)],
                )
                for one in business.receivers
            ],
        ),
    ]
    replaced = [
        _parent_of(
            "ReplacementInfo",
            [
                _element("DocumentId", one.document_id),
                _parent_of("OrganIdList", [_element("OrganId", code) for code in one.organ_ids]),
            ],
        )
        for one in business.replacements
    ]
    wanted = business.document_info or business.document_receiver or business.receivers
    parts = [
        _element("DocumentId", business.document_id),
        _element("BussinessDocType", str(business.doc_type)),
        _element("BussinessDocReason", business.reason),
        _element("Paper", str(int(business.paper))),
        _parent_of("BussinessDocumentInfo", info) if wanted else "",
        _parent_of("ReplacementInfoList", replaced) if replaced else "",
        _staff(business.staff) if business.HasField("staff") else "",
    ]
    traces = [
        _parent_of("TraceHeader", [_element("OrganId", one.organ_id), _element("Timestamp", one.timestamp)])
        for one in fields.trace_headers
    ]
    return _parent_of("TraceHeaderList", [*traces, _parent_of("Bussiness", parts)])


def _staff(staff: document_pb2.Staff) -> str:
    return _parent_of("StaffInfo", [_element(name, getattr(staff, field)) for name, field in STAFF.items()])


def _parent_of(name: str, parts: Iterable[str]) -> str:
    return f"<{name}>{''.join(parts)}</{name}>\n"


def _element(name: str, text: str) -> str:
    if _IMPOSSIBLE.search(text):
        raise Refusal("field_invalid", f"{name}: it holds a character that XML cannot write")
    # Readers take blanks around a text for layout, unless they are told that these count (XML 1.0, 2.10).
    mark = ' xml:space="preserve"' if text != text.strip() else ""
    return f"<{name}{mark}>{escape(text, {chr(13): '&#13;'})}</{name}>"


def _get(message: Any, path: str) -> str:
    for name in path.split("."):
        message = getattr(message, name)
    return str(message)


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    return "/".join(match.groups()) if match else text
