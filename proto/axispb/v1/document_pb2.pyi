from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Document(_message.Message):
    __slots__ = ("axis_id", "document_id", "sender_unit", "acting_organisation", "recipients", "created_at", "fields", "attachments", "packet")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_UNIT_FIELD_NUMBER: _ClassVar[int]
    ACTING_ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    PACKET_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    document_id: str
    sender_unit: str
    acting_organisation: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    created_at: int
    fields: Fields
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    packet: int
    def __init__(self, axis_id: _Optional[str] = ..., document_id: _Optional[str] = ..., sender_unit: _Optional[str] = ..., acting_organisation: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., created_at: _Optional[int] = ..., fields: _Optional[_Union[Fields, _Mapping]] = ..., attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ..., packet: _Optional[int] = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("name", "media_type", "size", "sha256", "description", "content_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    media_type: str
    size: int
    sha256: bytes
    description: str
    content_id: str
    def __init__(self, name: _Optional[str] = ..., media_type: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., description: _Optional[str] = ..., content_id: _Optional[str] = ...) -> None: ...

class Fields(_message.Message):
    __slots__ = ("issuer_document_id", "code_number", "code_notation", "promulgation_place", "promulgation_date", "type", "subject", "content", "signer", "due_date", "to_places", "other", "response_for", "steering_type", "business", "trace_headers", "to")
    ISSUER_DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CODE_NOTATION_FIELD_NUMBER: _ClassVar[int]
    PROMULGATION_PLACE_FIELD_NUMBER: _ClassVar[int]
    PROMULGATION_DATE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    DUE_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_PLACES_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FOR_FIELD_NUMBER: _ClassVar[int]
    STEERING_TYPE_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_FIELD_NUMBER: _ClassVar[int]
    TRACE_HEADERS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    issuer_document_id: str
    code_number: str
    code_notation: str
    promulgation_place: str
    promulgation_date: str
    type: DocumentType
    subject: str
    content: str
    signer: Signer
    due_date: str
    to_places: _containers.RepeatedScalarFieldContainer[str]
    other: OtherInfo
    response_for: _containers.RepeatedCompositeFieldContainer[ResponseFor]
    steering_type: int
    business: Business
    trace_headers: _containers.RepeatedCompositeFieldContainer[TraceHeader]
    to: _containers.RepeatedCompositeFieldContainer[Contact]
    def __init__(self, issuer_document_id: _Optional[str] = ..., code_number: _Optional[str] = ..., code_notation: _Optional[str] = ..., promulgation_place: _Optional[str] = ..., promulgation_date: _Optional[str] = ..., type: _Optional[_Union[DocumentType, _Mapping]] = ..., subject: _Optional[str] = ..., content: _Optional[str] = ..., signer: _Optional[_Union[Signer, _Mapping]] = ..., due_date: _Optional[str] = ..., to_places: _Optional[_Iterable[str]] = ..., other: _Optional[_Union[OtherInfo, _Mapping]] = ..., response_for: _Optional[_Iterable[_Union[ResponseFor, _Mapping]]] = ..., steering_type: _Optional[int] = ..., business: _Optional[_Union[Business, _Mapping]] = ..., trace_headers: _Optional[_Iterable[_Union[TraceHeader, _Mapping]]] = ..., to: _Optional[_Iterable[_Union[Contact, _Mapping]]] = ..., **kwargs) -> None: ...

class DocumentType(_message.Message):
    __slots__ = ("group", "detail", "name")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    group: str
    detail: str
    name: str
    def __init__(self, group: _Optional[str] = ..., detail: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Signer(_message.Message):
    __slots__ = ("competence", "position", "full_name")
    COMPETENCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FULL_NAME_FIELD_NUMBER: _ClassVar[int]
    competence: str
    position: str
    full_name: str
    def __init__(self, competence: _Optional[str] = ..., position: _Optional[str] = ..., full_name: _Optional[str] = ...) -> None: ...

class OtherInfo(_message.Message):
    __slots__ = ("priority", "sphere_of_promulgation", "typer_notation", "promulgation_amount", "page_amount", "direction", "appendixes")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SPHERE_OF_PROMULGATION_FIELD_NUMBER: _ClassVar[int]
    TYPER_NOTATION_FIELD_NUMBER: _ClassVar[int]
    PROMULGATION_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAGE_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    APPENDIXES_FIELD_NUMBER: _ClassVar[int]
    priority: int
    sphere_of_promulgation: str
    typer_notation: str
    promulgation_amount: str
    page_amount: str
    direction: str
    appendixes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, priority: _Optional[int] = ..., sphere_of_promulgation: _Optional[str] = ..., typer_notation: _Optional[str] = ..., promulgation_amount: _Optional[str] = ..., page_amount: _Optional[str] = ..., direction: _Optional[str] = ..., appendixes: _Optional[_Iterable[str]] = ...) -> None: ...

class ResponseFor(_message.Message):
    __slots__ = ("organ_id", "code", "promulgation_date", "document_id")
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    PROMULGATION_DATE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    organ_id: str
    code: str
    promulgation_date: str
    document_id: str
    def __init__(self, organ_id: _Optional[str] = ..., code: _Optional[str] = ..., promulgation_date: _Optional[str] = ..., document_id: _Optional[str] = ...) -> None: ...

class Business(_message.Message):
    __slots__ = ("document_id", "doc_type", "reason", "paper", "document_info", "document_receiver", "receivers", "replacements", "staff")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DOC_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAPER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_INFO_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_RECEIVER_FIELD_NUMBER: _ClassVar[int]
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    STAFF_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    doc_type: int
    reason: str
    paper: bool
    document_info: bool
    document_receiver: bool
    receivers: _containers.RepeatedCompositeFieldContainer[ReceiverInfo]
    replacements: _containers.RepeatedCompositeFieldContainer[ReplacementInfo]
    staff: Staff
    def __init__(self, document_id: _Optional[str] = ..., doc_type: _Optional[int] = ..., reason: _Optional[str] = ..., paper: _Optional[bool] = ..., document_info: _Optional[bool] = ..., document_receiver: _Optional[bool] = ..., receivers: _Optional[_Iterable[_Union[ReceiverInfo, _Mapping]]] = ..., replacements: _Optional[_Iterable[_Union[ReplacementInfo, _Mapping]]] = ..., staff: _Optional[_Union[Staff, _Mapping]] = ...) -> None: ...

class ReceiverInfo(_message.Message):
    __slots__ = ("organ_id", "receiver_type")
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_TYPE_FIELD_NUMBER: _ClassVar[int]
    organ_id: str
    receiver_type: str
    def __init__(self, organ_id: _Optional[str] = ..., receiver_type: _Optional[str] = ...) -> None: ...

class ReplacementInfo(_message.Message):
    __slots__ = ("document_id", "organ_ids")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORGAN_IDS_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    organ_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, document_id: _Optional[str] = ..., organ_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Staff(_message.Message):
    __slots__ = ("department", "staff", "email", "mobile")
    DEPARTMENT_FIELD_NUMBER: _ClassVar[int]
    STAFF_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    MOBILE_FIELD_NUMBER: _ClassVar[int]
    department: str
    staff: str
    email: str
    mobile: str
    def __init__(self, department: _Optional[str] = ..., staff: _Optional[str] = ..., email: _Optional[str] = ..., mobile: _Optional[str] = ...) -> None: ...

class TraceHeader(_message.Message):
    __slots__ = ("organ_id", "timestamp")
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    organ_id: str
    timestamp: str
    def __init__(self, organ_id: _Optional[str] = ..., timestamp: _Optional[str] = ...) -> None: ...

class Contact(_message.Message):
    __slots__ = ("organ_id", "organization_in_charge", "organ_name", "organ_add", "email", "telephone", "fax", "website")
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_IN_CHARGE_FIELD_NUMBER: _ClassVar[int]
    ORGAN_NAME_FIELD_NUMBER: _ClassVar[int]
    ORGAN_ADD_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TELEPHONE_FIELD_NUMBER: _ClassVar[int]
    FAX_FIELD_NUMBER: _ClassVar[int]
    WEBSITE_FIELD_NUMBER: _ClassVar[int]
    organ_id: str
    organization_in_charge: str
    organ_name: str
    organ_add: str
    email: str
    telephone: str
    fax: str
    website: str
    def __init__(self, organ_id: _Optional[str] = ..., organization_in_charge: _Optional[str] = ..., organ_name: _Optional[str] = ..., organ_add: _Optional[str] = ..., email: _Optional[str] = ..., telephone: _Optional[str] = ..., fax: _Optional[str] = ..., website: _Optional[str] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("axis_id", "document_id", "sender_unit", "acting_organisation", "recipients", "created_at", "about_document_id", "code", "note", "staff", "response_for", "packet")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_UNIT_FIELD_NUMBER: _ClassVar[int]
    ACTING_ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ABOUT_DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    STAFF_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FOR_FIELD_NUMBER: _ClassVar[int]
    PACKET_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    document_id: str
    sender_unit: str
    acting_organisation: str
    recipients: _containers.RepeatedScalarFieldContainer[str]
    created_at: int
    about_document_id: str
    code: str
    note: str
    staff: Staff
    response_for: ResponseFor
    packet: bytes
    def __init__(self, axis_id: _Optional[str] = ..., document_id: _Optional[str] = ..., sender_unit: _Optional[str] = ..., acting_organisation: _Optional[str] = ..., recipients: _Optional[_Iterable[str]] = ..., created_at: _Optional[int] = ..., about_document_id: _Optional[str] = ..., code: _Optional[str] = ..., note: _Optional[str] = ..., staff: _Optional[_Union[Staff, _Mapping]] = ..., response_for: _Optional[_Union[ResponseFor, _Mapping]] = ..., packet: _Optional[bytes] = ...) -> None: ...
