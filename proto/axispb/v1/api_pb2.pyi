from axispb.v1 import envelope_pb2 as _envelope_pb2
from axispb.v1 import facts_pb2 as _facts_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Trust(_message.Message):
    __slots__ = ("axis_id", "anchors", "intermediates")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    ANCHORS_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    anchors: _containers.RepeatedScalarFieldContainer[bytes]
    intermediates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, axis_id: _Optional[str] = ..., anchors: _Optional[_Iterable[bytes]] = ..., intermediates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("secret", "tls_request", "sign_request")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    TLS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SIGN_REQUEST_FIELD_NUMBER: _ClassVar[int]
    secret: bytes
    tls_request: bytes
    sign_request: bytes
    def __init__(self, secret: _Optional[bytes] = ..., tls_request: _Optional[bytes] = ..., sign_request: _Optional[bytes] = ...) -> None: ...

class EnrolResponse(_message.Message):
    __slots__ = ("code", "tls_certificate", "sign_certificate", "intermediates", "anchors")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TLS_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SIGN_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    ANCHORS_FIELD_NUMBER: _ClassVar[int]
    code: str
    tls_certificate: bytes
    sign_certificate: bytes
    intermediates: _containers.RepeatedScalarFieldContainer[bytes]
    anchors: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, code: _Optional[str] = ..., tls_certificate: _Optional[bytes] = ..., sign_certificate: _Optional[bytes] = ..., intermediates: _Optional[_Iterable[bytes]] = ..., anchors: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("acceptance", "sequence", "repeated_submission")
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REPEATED_SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    acceptance: _envelope_pb2.Envelope
    sequence: int
    repeated_submission: bool
    def __init__(self, acceptance: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., sequence: _Optional[int] = ..., repeated_submission: _Optional[bool] = ...) -> None: ...

class SubmissionBatch(_message.Message):
    __slots__ = ("submissions",)
    SUBMISSIONS_FIELD_NUMBER: _ClassVar[int]
    submissions: _containers.RepeatedCompositeFieldContainer[Submission]
    def __init__(self, submissions: _Optional[_Iterable[_Union[Submission, _Mapping]]] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("envelope", "trace_id", "contents")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    envelope: _envelope_pb2.Envelope
    trace_id: str
    contents: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, envelope: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., trace_id: _Optional[str] = ..., contents: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SubmissionResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmissionResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmissionResult, _Mapping]]] = ...) -> None: ...

class SubmissionResult(_message.Message):
    __slots__ = ("accepted", "code", "detail", "retry_after")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    accepted: SubmitResponse
    code: str
    detail: str
    retry_after: int
    def __init__(self, accepted: _Optional[_Union[SubmitResponse, _Mapping]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., retry_after: _Optional[int] = ...) -> None: ...

class BlobList(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, sha256: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ContentRequest(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[ContentKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[ContentKey, _Mapping]]] = ...) -> None: ...

class ContentKey(_message.Message):
    __slots__ = ("document_id", "number")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    number: int
    def __init__(self, document_id: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class ContentBatch(_message.Message):
    __slots__ = ("contents",)
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedCompositeFieldContainer[Content]
    def __init__(self, contents: _Optional[_Iterable[_Union[Content, _Mapping]]] = ...) -> None: ...

class Content(_message.Message):
    __slots__ = ("key", "data")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    key: ContentKey
    data: bytes
    def __init__(self, key: _Optional[_Union[ContentKey, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReceiptBatch(_message.Message):
    __slots__ = ("receipts",)
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[_envelope_pb2.Envelope]
    def __init__(self, receipts: _Optional[_Iterable[_Union[_envelope_pb2.Envelope, _Mapping]]] = ...) -> None: ...

class ReceiptResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ReceiptResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ReceiptResult, _Mapping]]] = ...) -> None: ...

class ReceiptResult(_message.Message):
    __slots__ = ("sequence", "code", "detail", "at", "standing")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    code: str
    detail: str
    at: int
    standing: Standing
    def __init__(self, sequence: _Optional[int] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., at: _Optional[int] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("unit", "attempt", "outcome", "sequence", "at", "receipt")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    unit: str
    attempt: int
    outcome: str
    sequence: int
    at: int
    receipt: _envelope_pb2.Envelope
    def __init__(self, unit: _Optional[str] = ..., attempt: _Optional[int] = ..., outcome: _Optional[str] = ..., sequence: _Optional[int] = ..., at: _Optional[int] = ..., receipt: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class FeedPage(_message.Message):
    __slots__ = ("items", "urgent_next", "normal_next", "directory_sequence", "contents")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    URGENT_NEXT_FIELD_NUMBER: _ClassVar[int]
    NORMAL_NEXT_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FeedItem]
    urgent_next: int
    normal_next: int
    directory_sequence: int
    contents: _containers.RepeatedCompositeFieldContainer[Content]
    def __init__(self, items: _Optional[_Iterable[_Union[FeedItem, _Mapping]]] = ..., urgent_next: _Optional[int] = ..., normal_next: _Optional[int] = ..., directory_sequence: _Optional[int] = ..., contents: _Optional[_Iterable[_Union[Content, _Mapping]]] = ...) -> None: ...

class FeedItem(_message.Message):
    __slots__ = ("sequence", "at", "urgent", "trace_id", "event", "kind", "envelope", "acceptance", "accepted_sequence", "accepted_at", "receipt", "notice", "certificate", "standing")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    URGENT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at: int
    urgent: bool
    trace_id: str
    event: str
    kind: str
    envelope: _envelope_pb2.Envelope
    acceptance: _envelope_pb2.Envelope
    accepted_sequence: int
    accepted_at: int
    receipt: _envelope_pb2.Envelope
    notice: _envelope_pb2.Envelope
    certificate: _facts_pb2.CertificateFact
    standing: _containers.RepeatedCompositeFieldContainer[Standing]
    def __init__(self, sequence: _Optional[int] = ..., at: _Optional[int] = ..., urgent: _Optional[bool] = ..., trace_id: _Optional[str] = ..., event: _Optional[str] = ..., kind: _Optional[str] = ..., envelope: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., acceptance: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., accepted_sequence: _Optional[int] = ..., accepted_at: _Optional[int] = ..., receipt: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., notice: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., certificate: _Optional[_Union[_facts_pb2.CertificateFact, _Mapping]] = ..., standing: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ...) -> None: ...

class DirectoryPage(_message.Message):
    __slots__ = ("entries", "as_of", "more")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[DirectoryEntry]
    as_of: int
    more: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[DirectoryEntry, _Mapping]]] = ..., as_of: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class DirectoryEntry(_message.Message):
    __slots__ = ("sequence", "at", "unit", "certificate")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at: int
    unit: _facts_pb2.UnitFact
    certificate: _facts_pb2.CertificateFact
    def __init__(self, sequence: _Optional[int] = ..., at: _Optional[int] = ..., unit: _Optional[_Union[_facts_pb2.UnitFact, _Mapping]] = ..., certificate: _Optional[_Union[_facts_pb2.CertificateFact, _Mapping]] = ...) -> None: ...

class UnitChange(_message.Message):
    __slots__ = ("action", "code", "name", "parent", "old_codes", "mail", "mobile", "fax", "reason")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OLD_CODES_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    MOBILE_FIELD_NUMBER: _ClassVar[int]
    FAX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    action: str
    code: str
    name: str
    parent: str
    old_codes: _containers.RepeatedScalarFieldContainer[str]
    mail: str
    mobile: str
    fax: str
    reason: str
    def __init__(self, action: _Optional[str] = ..., code: _Optional[str] = ..., name: _Optional[str] = ..., parent: _Optional[str] = ..., old_codes: _Optional[_Iterable[str]] = ..., mail: _Optional[str] = ..., mobile: _Optional[str] = ..., fax: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UnitChanged(_message.Message):
    __slots__ = ("code", "changed", "sequence")
    CODE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    code: str
    changed: bool
    sequence: int
    def __init__(self, code: _Optional[str] = ..., changed: _Optional[bool] = ..., sequence: _Optional[int] = ...) -> None: ...
