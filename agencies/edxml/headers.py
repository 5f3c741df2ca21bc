"""The header's elements and the fields of our messages: one table for both directions.

A date in the form yyyy/MM/dd becomes yyyy-MM-dd; any other text is kept as it was sent, without the blanks
around it unless its element has xml:space="preserve". Numbers that are none are left out with a warning.
Lengths over Decree 30/2020, annex VI are kept with a warning, but for OrganId: where it routes the document
(From, To, a status's ResponseFor) it must be one, elsewhere what is none is kept, up to 35 characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from axispb.v1 import document_pb2

from agencies.edxml.code_lists import (
    BUSINESS_DOC_TYPES,
    PRIORITIES,
    STEERING_TYPES,
    priority_warning,
    type_warning,
)
from agencies.edxml.refusal import refused
from agencies.edxml.tree import Node

__all__ = [
    "CONTACT",
    "DATES",
    "STAFF",
    "TEXTS",
    "Warnings",
    "check_description",
    "fields_of",
    "organ_id",
    "recipients",
    "response_for",
    "staff",
]

Warnings = list[str]

_DATE: Final = re.compile(r"(\d{4})/(\d{2})/(\d{2})", re.ASCII)
_ORGAN_ID: Final = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*", re.ASCII)
_MOST_ORGAN_ID: Final = 35

CONTACT: Final = {
    "OrganId": "organ_id",
    "OrganizationInCharge": "organization_in_charge",
    "OrganName": "organ_name",
    "OrganAdd": "organ_add",
    "Email": "email",
    "Telephone": "telephone",
    "Fax": "fax",
    "Website": "website",
}
STAFF: Final = {"Department": "department", "Staff": "staff", "Email": "email", "Mobile": "mobile"}
#: Path in MessageHeader → field of Fields.
TEXTS: Final = {
    "DocumentId": "issuer_document_id",
    "Code/CodeNumber": "code_number",
    "Code/CodeNotation": "code_notation",
    "PromulgationInfo/Place": "promulgation_place",
    "DocumentType/Type": "type.group",
    "DocumentType/TypeDetail": "type.detail",
    "DocumentType/TypeName": "type.name",
    "Subject": "subject",
    "Content": "content",
    "SignerInfo/Competence": "signer.competence",
    "SignerInfo/Position": "signer.position",
    "SignerInfo/FullName": "signer.full_name",
    "OtherInfo/SphereOfPromulgation": "other.sphere_of_promulgation",
    "OtherInfo/TyperNotation": "other.typer_notation",
    "OtherInfo/PromulgationAmount": "other.promulgation_amount",
    "OtherInfo/PageAmount": "other.page_amount",
    "OtherInfo/Direction": "other.direction",
}
DATES: Final = {"PromulgationInfo/PromulgationDate": "promulgation_date", "DueDate": "due_date"}
#: Decree 30/2020, annex VI, in characters.
_LIMITS: Final = {
    "DocumentType/TypeName": 100,
    "Code/CodeNumber": 11,
    "Code/CodeNotation": 30,
    "Subject": 500,
    "SignerInfo/Position": 100,
    "SignerInfo/FullName": 50,
    "OtherInfo/PromulgationAmount": 3,
    "OtherInfo/PageAmount": 3,
}
_MOST_ORGAN_NAME: Final = 200
_MOST_DESCRIPTION: Final = 500
#: Of all places together.
_MOST_TO_PLACES: Final = 1000


def fields_of(header: Node, trace: Node | None, warnings: Warnings) -> document_pb2.Fields:
    """The fields of `MessageHeader` and `TraceHeaderList`."""
    fields = document_pb2.Fields()
    for path, name in TEXTS.items():
        text = header.get(path)
        check_length(path, len(text), _LIMITS.get(path, len(text)), warnings)
        if text:
            _set(fields, name, text)
    for path, name in DATES.items():
        _set(fields, name, _date(header.get(path)))
    fields.to_places.extend(place.text for place in _all(header, "ToPlaces", "Place") if place.text)
    check_length("ToPlaces", sum(map(len, fields.to_places)), _MOST_TO_PLACES, warnings)
    fields.other.appendixes.extend(
        one.text for one in _all(header, "OtherInfo/Appendixes", "Appendix") if one.text
    )
    fields.other.priority = _number(header, "OtherInfo/Priority", PRIORITIES, warnings)
    fields.steering_type = _number(header, "SteeringType", STEERING_TYPES, warnings)
    _parties(header, fields, warnings)
    odd = type_warning(fields.type.group, fields.type.detail, fields.type.name)
    warnings.extend([f"DocumentType: {odd}"] if odd else [])
    if trace is not None:
        for each in trace.all("TraceHeader"):
            # Relays write `null` or nothing for who they are: kept as sent.
            fields.trace_headers.add(organ_id=_noted(each, warnings), timestamp=each.get("Timestamp"))
        business = trace.find("Bussiness")
        if business is not None:
            _business(business, fields.business, warnings)
    if fields.other == document_pb2.OtherInfo():
        fields.ClearField("other")
    return fields


def _parties(header: Node, fields: document_pb2.Fields, warnings: Warnings) -> None:
    """Who sends, who receives, and what is answered."""
    sender = header.find("From")
    if sender is not None:
        _contact(sender, getattr(fields, "from"), warnings)
    for recipient in recipients(header):
        _contact(recipient, fields.to.add(), warnings)
    for original in header.all("ResponseFor"):
        fields.response_for.append(response_for(original, warnings))


def _business(node: Node, business: document_pb2.Business, warnings: Warnings) -> None:
    business.document_id = node.get("DocumentId")
    business.doc_type = _number(node, "BussinessDocType", BUSINESS_DOC_TYPES, warnings)
    business.reason = node.get("BussinessDocReason")
    business.paper = node.get("Paper").strip() == "1"
    business.document_info = node.get("BussinessDocumentInfo/DocumentInfo").strip() == "1"
    business.document_receiver = node.get("BussinessDocumentInfo/DocumentReceiver").strip() == "1"
    for receiver in _all(node, "BussinessDocumentInfo/ReceiverList", "Receiver"):
        if not receiver.get("OrganId"):
            warnings.append(f"Receiver, line {receiver.line}: it names nobody and is left out")
            continue
        code = _judged(receiver, _noted(receiver, warnings), warnings)
        business.receivers.add(organ_id=code, receiver_type=receiver.get("ReceiverType"))
    for replaced in _all(node, "ReplacementInfoList", "ReplacementInfo"):
        organs = [_short(one, one.text, warnings) for one in _all(replaced, "OrganIdList", "OrganId")]
        business.replacements.add(document_id=replaced.get("DocumentId"), organ_ids=filter(None, organs))
    found = node.find("StaffInfo")
    if found is not None:
        business.staff.CopyFrom(staff(found))


def staff(node: Node) -> document_pb2.Staff:
    """StaffInfo."""
    return document_pb2.Staff(**{field: node.get(name) for name, field in STAFF.items()})


def recipients(header: Node) -> list[Node]:
    """The `To` that name somebody."""
    return [to for to in header.all("To") if to.get("OrganId").strip()]


def response_for(node: Node, warnings: Warnings) -> document_pb2.ResponseFor:
    """ResponseFor: the document that is meant. Whose it is helps to find it, and routes nothing."""
    return document_pb2.ResponseFor(
        organ_id=_judged(node, _noted(node, warnings), warnings),
        code=node.get("Code"),
        promulgation_date=_date(node.get("PromulgationDate")),
        document_id=node.get("DocumentId"),
    )


def organ_id(parent: Node) -> str:
    """The code of a unit; Refusal (22) for one that is missing, malformed or over 35 characters."""
    found = parent.find("OrganId")
    text = found.text.strip() if found is not None else ""
    line = found.line if found is not None else parent.line
    if not text:
        raise refused(f"{parent.name}/OrganId", line, "the unit's code is missing", "thiếu mã đơn vị")
    if len(text) > _MOST_ORGAN_ID or not _ORGAN_ID.fullmatch(text):
        raise refused(
            f"{parent.name}/OrganId",
            line,
            f"{text[:60]!r} is no code of a unit",
            "mã đơn vị không hợp lệ (QĐ 20/2020)",
        )
    return text


def check_length(what: str, length: int, most: int, warnings: Warnings) -> None:
    """Warn of a text over its limit, in characters; it is kept."""
    if length > most:
        warnings.append(f"{what}: {length} characters, Decree 30/2020 allows {most}")


def check_description(what: str, text: str, warnings: Warnings) -> None:
    """The same of a description."""
    check_length(what, len(text), _MOST_DESCRIPTION, warnings)


def _noted(parent: Node, warnings: Warnings) -> str:
    """A code that routes nothing, as it was sent."""
    return _short(parent, parent.get("OrganId"), warnings)


def _short(node: Node, text: str, warnings: Warnings) -> str:
    """None that is longer than a code may be anywhere."""
    if len(text) <= _MOST_ORGAN_ID:
        return text
    warnings.append(f"{node.name}, line {node.line}: a code of {len(text)} characters is left out")
    return ""


def _judged(parent: Node, text: str, warnings: Warnings) -> str:
    """The same text; with a warning where it is no code."""
    if text and not _ORGAN_ID.fullmatch(text):
        warnings.append(f"{parent.name}/OrganId, line {parent.line}: {text!r} is no code of a unit")
    return text


def _contact(node: Node, contact: document_pb2.Contact, warnings: Warnings) -> None:
    for name, field in CONTACT.items():
        setattr(contact, field, node.get(name))
    contact.organ_id = contact.organ_id.strip()
    check_length(f"{node.name}/OrganName", len(contact.organ_name), _MOST_ORGAN_NAME, warnings)


def _all(parent: Node, path: str, name: str) -> Iterator[Node]:
    found = parent.find(path)
    return iter(found.all(name) if found is not None else ())


def _number(parent: Node, path: str, listed: Collection[int], warnings: Warnings) -> int:
    text = parent.get(path).strip()
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) in listed:
        odd = priority_warning(int(text)) if path == "OtherInfo/Priority" else ""
        warnings.extend([f"{path}: {odd}"] if odd else [])
        return int(text)
    warnings.append(f"{path}: {text[:60]!r} is not a number from 0 to {max(listed)}")
    return 0


def _date(text: str) -> str:
    match = _DATE.fullmatch(text.strip())
    return "-".join(match.groups()) if match else text


def _set(message: Any, path: str, value: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, value)
