from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_RECEIVED: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]

class NoticeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_KIND_UNSPECIFIED: _ClassVar[NoticeKind]
    NOTICE_KIND_DEAD: _ClassVar[NoticeKind]
    NOTICE_KIND_REQUEUED: _ClassVar[NoticeKind]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_RECEIVED: Outcome
OUTCOME_REFUSED: Outcome
NOTICE_KIND_UNSPECIFIED: NoticeKind
NOTICE_KIND_DEAD: NoticeKind
NOTICE_KIND_REQUEUED: NoticeKind

class Acceptance(_message.Message):
    __slots__ = ("axis_id", "document_id", "kind", "signed_sha256", "signature_sha256", "deliveries", "accepted_at")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    document_id: str
    kind: str
    signed_sha256: bytes
    signature_sha256: bytes
    deliveries: _containers.RepeatedCompositeFieldContainer[Destination]
    accepted_at: int
    def __init__(self, axis_id: _Optional[str] = ..., document_id: _Optional[str] = ..., kind: _Optional[str] = ..., signed_sha256: _Optional[bytes] = ..., signature_sha256: _Optional[bytes] = ..., deliveries: _Optional[_Iterable[_Union[Destination, _Mapping]]] = ..., accepted_at: _Optional[int] = ...) -> None: ...

class Destination(_message.Message):
    __slots__ = ("unit", "host")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    unit: str
    host: str
    def __init__(self, unit: _Optional[str] = ..., host: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("axis_id", "document_id", "signed_sha256", "signature_sha256", "acceptance_sha256", "recipient_unit", "acting_organisation", "attempt", "outcome", "reason", "stored_at")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_UNIT_FIELD_NUMBER: _ClassVar[int]
    ACTING_ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STORED_AT_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    document_id: str
    signed_sha256: bytes
    signature_sha256: bytes
    acceptance_sha256: bytes
    recipient_unit: str
    acting_organisation: str
    attempt: int
    outcome: Outcome
    reason: str
    stored_at: int
    def __init__(self, axis_id: _Optional[str] = ..., document_id: _Optional[str] = ..., signed_sha256: _Optional[bytes] = ..., signature_sha256: _Optional[bytes] = ..., acceptance_sha256: _Optional[bytes] = ..., recipient_unit: _Optional[str] = ..., acting_organisation: _Optional[str] = ..., attempt: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., stored_at: _Optional[int] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("axis_id", "document_id", "acceptance_sha256", "recipient_unit", "attempt", "kind", "host", "reason", "issued_at")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_UNIT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    document_id: str
    acceptance_sha256: bytes
    recipient_unit: str
    attempt: int
    kind: NoticeKind
    host: str
    reason: str
    issued_at: int
    def __init__(self, axis_id: _Optional[str] = ..., document_id: _Optional[str] = ..., acceptance_sha256: _Optional[bytes] = ..., recipient_unit: _Optional[str] = ..., attempt: _Optional[int] = ..., kind: _Optional[_Union[NoticeKind, str]] = ..., host: _Optional[str] = ..., reason: _Optional[str] = ..., issued_at: _Optional[int] = ...) -> None: ...
