"""The local API's JSON shapes: what comes in is checked by these, and OpenAPI is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from axispb.v1 import document_pb2
from pydantic import BaseModel, ConfigDict, Field

from agencies.texts import Date, Line, Text, Whole

__all__ = [
    "DocumentInput",
    "InboxEntry",
    "InboxList",
    "Queued",
    "QueuedPacket",
    "QueuedStatuses",
    "ReceiptInput",
    "SentDocument",
    "SentList",
    "StatusInput",
    "UnitList",
]


class _Input(BaseModel):
    #: Strict: what is of another type is refused rather than guessed at.
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True, strict=True)


class SignerInput(_Input):
    """Who signed the document itself."""

    competence: Line = ""
    position: Line = ""
    full_name: Line = ""


class ResponseForInput(_Input):
    """A document that this one answers."""

    organ_id: Line = ""
    code: Annotated[Line, Field(description="number/notation")] = ""
    promulgation_date: Date = ""
    document_id: Line = ""


class ReceiverInput(_Input):
    """A receiver as edXML lists it."""

    organ_id: Line = ""
    receiver_type: Line = ""


class ReplacementInput(_Input):
    """A document that this one replaces, and for whom."""

    document_id: Line = ""
    organ_ids: list[Line] = []


class StaffInput(_Input):
    """Who handles it at the sender."""

    department: Line = ""
    staff: Line = ""
    email: Line = ""
    mobile: Line = ""


class BusinessInput(_Input):
    """What the document does: 0 new, 1 recall, 2 update, 3 replacement."""

    document_id: Line = ""
    doc_type: Annotated[Whole, Field(ge=0, le=3)] = 0
    reason: Text = ""
    paper: Annotated[bool, Field(description="a paper copy follows")] = False
    document_info: bool = False
    document_receiver: bool = False
    receivers: list[ReceiverInput] = []
    replacements: list[ReplacementInput] = []
    staff: StaffInput | None = None


class DocumentInput(_Input):
    """The part `document` of a submission."""

    to: Annotated[list[Line], Field(min_length=1, max_length=1000, description="codes of the recipients")]
    subject: Annotated[Line, Field(min_length=1)]
    from_: Annotated[
        Line | None, Field(alias="from", description="a unit hosted here; default: the node's own")
    ] = None
    number: Annotated[Line, Field(examples=["274"])] = ""
    notation: Annotated[Line, Field(examples=["QĐ-TTg"])] = ""
    type_name: Annotated[Line, Field(examples=["Quyết định"])] = ""
    type_group: Line = ""
    type_detail: Line = ""
    priority: Annotated[Whole, Field(ge=0, le=5, description="1 to 4 travel in the urgent lane")] = 0
    due_date: Date = ""
    content: Text = ""
    issuer_document_id: Line = ""
    promulgation_place: Line = ""
    promulgation_date: Date = ""
    signer: SignerInput | None = None
    to_places: list[Line] = []
    steering_type: Annotated[Whole, Field(ge=0, le=2)] = 0
    sphere_of_promulgation: Line = ""
    typer_notation: Line = ""
    promulgation_amount: Line = ""
    page_amount: Line = ""
    appendixes: list[Line] = []
    response_for: list[ResponseForInput] = []
    business: BusinessInput | None = None

    def fields(self) -> document_pb2.Fields:
        """The header's fields."""
        found = document_pb2.Fields(
            issuer_document_id=self.issuer_document_id,
            code_number=self.number,
            code_notation=self.notation,
            promulgation_place=self.promulgation_place,
            promulgation_date=self.promulgation_date,
            subject=self.subject,
            content=self.content,
            due_date=self.due_date,
            to_places=self.to_places,
            steering_type=self.steering_type,
            response_for=[document_pb2.ResponseFor(**one.model_dump()) for one in self.response_for],
            type=document_pb2.DocumentType(
                group=self.type_group, detail=self.type_detail, name=self.type_name
            ),
            other=document_pb2.OtherInfo(
                priority=self.priority,
                sphere_of_promulgation=self.sphere_of_promulgation,
                typer_notation=self.typer_notation,
                promulgation_amount=self.promulgation_amount,
                page_amount=self.page_amount,
                appendixes=self.appendixes,
            ),
        )
        if self.signer is not None:
            found.signer.CopyFrom(document_pb2.Signer(**self.signer.model_dump()))
        if self.business is not None:
            found.business.CopyFrom(_business(self.business))
        return found


def _business(given: BusinessInput) -> document_pb2.Business:
    plain: dict[str, Any] = given.model_dump(exclude={"receivers", "replacements", "staff"})
    return document_pb2.Business(
        **plain,
        receivers=[document_pb2.ReceiverInfo(**one.model_dump()) for one in given.receivers],
        replacements=[document_pb2.ReplacementInfo(**one.model_dump()) for one in given.replacements],
        staff=document_pb2.Staff(**given.staff.model_dump()) if given.staff else None,
    )


class ReceiptInput(_Input):
    """The software's decision on a document."""

    outcome: Literal["received", "refused"]
    reason: Annotated[Text, Field(max_length=500)] = ""
    unit: Annotated[Line | None, Field(description="one of the units it came to; default: all that wait")] = (
        None
    )


class StatusInput(_Input):
    """What the receiver's software says of a document (01 to 06, 15, 16), or its sender (13)."""

    code: Literal["01", "02", "03", "04", "05", "06", "13", "15", "16"]
    note: Annotated[Text, Field(max_length=500, description="the reason, for 02 and 13")] = ""
    unit: Annotated[
        Line | None, Field(description="one of the units that the document came to; default: all of them")
    ] = None


class QueuedStatuses(BaseModel):
    """Statuses are in the outbox, durably."""

    statuses: list[dict[str, str]]


class Queued(BaseModel):
    """A document is in the outbox, durably."""

    document_id: str
    state: Literal["queued"]


class PacketSignatureInfo(BaseModel):
    """The XML signature within an edXML packet: integrity only, nobody's trust in the certificate."""

    outcome: Literal["valid", "invalid", "not checkable", "absent"]
    reason: str
    signer: Annotated[str, Field(description="the certificate's subject, as far as there is one")]


class QueuedPacket(Queued):
    """A packet is in the outbox, durably."""

    packet_signature: PacketSignatureInfo
    warnings: Annotated[list[str], Field(description="what is odd in the packet and was kept all the same")]


class AttachmentInfo(BaseModel):
    """One attachment."""

    name: str
    media_type: str
    size: int
    sha256: Annotated[str, Field(description="lower-case hex")]


class Receipt(BaseModel):
    """What closed a delivery."""

    outcome: Literal["received", "refused", "dead"]
    at: Annotated[str | None, Field(description="when the axis took it")]
    stored_at: Annotated[str | None, Field(description="what the receiver's receipt says")]
    reason: str


class Delivery(BaseModel):
    """A document on its way to one unit."""

    to: str
    host: str
    state: Literal["in_flight", "received", "refused", "dead"]
    attempt: int
    receipt: Receipt | None


class SentDocument(BaseModel):
    """A document of the outbox."""

    model_config = ConfigDict(extra="allow")

    document_id: str
    to: list[str]
    subject: str
    state: Literal["queued", "rejected", "accepted", "delivered", "partly_refused", "refused", "dead"]
    code: Annotated[str, Field(description="why it was refused, or why it still waits")]
    created_at: str
    attempts: int
    next_attempt_at: str | None
    deliveries: list[Delivery]


class SentList(BaseModel):
    """A page of the outbox."""

    documents: list[SentDocument]
    next: Annotated[str, Field(description="ask with after=… for what comes next")]


class InboxEntry(BaseModel):
    """A document of the inbox."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    document_id: str
    from_: Annotated[str, Field(alias="from")]
    to: Annotated[list[str], Field(description="the units of this node that it came to")]
    subject: str
    number: str
    received_at: str
    state: Literal["waiting", "received", "refused"]
    code: Annotated[str, Field(description="why its verification failed; empty otherwise")]
    urgent: bool
    attachments: list[AttachmentInfo]
    packet_signature: Annotated[
        PacketSignatureInfo | None, Field(description="null for a document that came without a packet")
    ]


class InboxList(BaseModel):
    """A page of the inbox."""

    documents: list[InboxEntry]
    next: str


class Unit(BaseModel):
    """A registered unit."""

    code: str
    name: str
    parent: str
    old_codes: list[str]
    suspended: bool
    hosted_by: str


class UnitList(BaseModel):
    """Units that fit a query."""

    units: list[Unit]
    as_of: Annotated[int, Field(description="the axis's journal up to here is considered")]
