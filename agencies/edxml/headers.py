"""The header's elements and the fields of our messages: one table for both directions.

A date in the form yyyy/MM/dd becomes yyyy-MM-dd; any other text is kept as it was sent. Numbers that are none
are left out with a warning. Lengths over Decree 30/2020, annex VI are kept with a warning, but for OrganId.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from axispb.v1 import document_pb2

from agencies.edxml.refusal import refused
from agencies.edxml.tree import Node

__all__ = ["CONTACT", "DATES", "STAFF", "TEXTS", "Warnings", "fields_of", "organ_id", "response_for", "staff"]

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


def fields_of(header: Node, trace: Node | None, warnings: Warnings) -> document_pb2.Fields:
    """The fields of `MessageHeader` and `TraceHeaderList`."""
    fields = document_pb2.Fields()
    for path, name in TEXTS.items():
        text = header.get(path)
        if len(text) > _LIMITS.get(path, len(text)):
            warnings.append(f"{path}: {len(text)} characters, Decree 30/2020 allows {_LIMITS[path]}")
        if text:
            _set(fields, name, text)
    for path, name in DATES.items():
        _set(fields, name, _date(header.get(path)))
    fields.to_places.extend(place.text for place in _all(header, "ToPlaces", "Place") if place.text)
    fields.other.appendixes.extend(
        one.text for one in _all(header, "OtherInfo/Appendixes", "Appendix") if one.text
    )
    fields.other.priority = _number(header, "OtherInfo/Priority", 5, warnings)
    fields.steering_type = _number(header, "SteeringType", 2, warnings)
    sender = header.find("From")
    if sender is not None:
        _contact(sender, getattr(fields, "from"))
    for recipient in header.all("To"):
        _contact(recipient, fields.to.add())
    for original in header.all("ResponseFor"):
        fields.response_for.append(response_for(original))
    if trace is not None:
        for each in trace.all("TraceHeader"):
            # Relays write `null` or nothing for who they are: kept as sent.
            fields.trace_headers.add(organ_id=each.get("OrganId"), timestamp=each.get("Timestamp"))
        business = trace.find("Bussiness")
        if business is not None:
            _business(business, fields.business, warnings)
    if fields.other == document_pb2.OtherInfo():
        fields.ClearField("other")
    return fields


def _business(node: Node, business: document_pb2.Business, warnings: Warnings) -> None:
    business.document_id = node.get("DocumentId")
    business.doc_type = _number(node, "BussinessDocType", 3, warnings)
    business.reason = node.get("BussinessDocReason")
    business.paper = node.get("Paper") == "1"
    business.document_info = node.get("BussinessDocumentInfo/DocumentInfo") == "1"
    business.document_receiver = node.get("BussinessDocumentInfo/DocumentReceiver") == "1"
    for receiver in _all(node, "BussinessDocumentInfo/ReceiverList", "Receiver"):
        business.receivers.add(organ_id=organ_id(receiver), receiver_type=receiver.get("ReceiverType"))
    for replaced in _all(node, "ReplacementInfoList", "ReplacementInfo"):
        organs = [one.text for one in _all(replaced, "OrganIdList", "OrganId") if one.text]
        business.replacements.add(document_id=replaced.get("DocumentId"), organ_ids=organs)
    found = node.find("StaffInfo")
    if found is not None:
        business.staff.CopyFrom(staff(found))


def staff(node: Node) -> document_pb2.Staff:
    """StaffInfo."""
    return document_pb2.Staff(**{field: node.get(name) for name, field in STAFF.items()})


def response_for(node: Node) -> document_pb2.ResponseFor:
    """ResponseFor: the document that is meant."""
    return document_pb2.ResponseFor(
        organ_id=organ_id(node) if node.get("OrganId") else "",
        code=node.get("Code"),
        promulgation_date=_date(node.get("PromulgationDate")),
        document_id=node.get("DocumentId"),
    )


def organ_id(parent: Node) -> str:
    """The code of a unit; Refusal (22) for one that is missing, malformed or over 35 characters."""
    found = parent.find("OrganId")
    text = found.text if found is not None else ""
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


def _contact(node: Node, contact: document_pb2.Contact) -> None:
    for name, field in CONTACT.items():
        setattr(contact, field, node.get(name))


def _all(parent: Node, path: str, name: str) -> Iterator[Node]:
    found = parent.find(path)
    return iter(found.all(name) if found is not None else ())


def _number(parent: Node, path: str, most: int, warnings: Warnings) -> int:
    text = parent.get(path)
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= most:
        if path == "OtherInfo/Priority" and int(text) > 3:
            warnings.append(f"{path}: {text} is used by one vendor only")
        return int(text)
    warnings.append(f"{path}: {text[:60]!r} is not a number from 0 to {most}")
    return 0


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    return "-".join(match.groups()) if match else text


def _set(message: Any, path: str, value: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, value)
