from axispb.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("journal_id", "number", "first_sequence", "at", "previous_sha256", "records")
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SHA256_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    journal_id: str
    number: int
    first_sequence: int
    at: int
    previous_sha256: bytes
    records: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, journal_id: _Optional[str] = ..., number: _Optional[int] = ..., first_sequence: _Optional[int] = ..., at: _Optional[int] = ..., previous_sha256: _Optional[bytes] = ..., records: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("trace_id", "operator", "remark", "founded", "registered", "suspended", "resumed", "token_issued", "enrolled", "issued", "revoked", "accepted", "receipted", "late_receipt", "noticed", "rejected")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    REMARK_FIELD_NUMBER: _ClassVar[int]
    FOUNDED_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ISSUED_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_FIELD_NUMBER: _ClassVar[int]
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    RECEIPTED_FIELD_NUMBER: _ClassVar[int]
    LATE_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    NOTICED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    operator: str
    remark: str
    founded: Founded
    registered: UnitRegistered
    suspended: UnitSuspended
    resumed: UnitResumed
    token_issued: TokenIssued
    enrolled: Enrolled
    issued: CertificateIssued
    revoked: CertificateRevoked
    accepted: Accepted
    receipted: Receipted
    late_receipt: LateReceipt
    noticed: Noticed
    rejected: Rejected
    def __init__(self, trace_id: _Optional[str] = ..., operator: _Optional[str] = ..., remark: _Optional[str] = ..., founded: _Optional[_Union[Founded, _Mapping]] = ..., registered: _Optional[_Union[UnitRegistered, _Mapping]] = ..., suspended: _Optional[_Union[UnitSuspended, _Mapping]] = ..., resumed: _Optional[_Union[UnitResumed, _Mapping]] = ..., token_issued: _Optional[_Union[TokenIssued, _Mapping]] = ..., enrolled: _Optional[_Union[Enrolled, _Mapping]] = ..., issued: _Optional[_Union[CertificateIssued, _Mapping]] = ..., revoked: _Optional[_Union[CertificateRevoked, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., receipted: _Optional[_Union[Receipted, _Mapping]] = ..., late_receipt: _Optional[_Union[LateReceipt, _Mapping]] = ..., noticed: _Optional[_Union[Noticed, _Mapping]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ...) -> None: ...

class Founded(_message.Message):
    __slots__ = ("axis_id", "anchors", "intermediates")
    AXIS_ID_FIELD_NUMBER: _ClassVar[int]
    ANCHORS_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    axis_id: str
    anchors: _containers.RepeatedScalarFieldContainer[bytes]
    intermediates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, axis_id: _Optional[str] = ..., anchors: _Optional[_Iterable[bytes]] = ..., intermediates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UnitRegistered(_message.Message):
    __slots__ = ("code", "name", "parent", "old_codes", "mail", "mobile", "fax", "by")
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OLD_CODES_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    MOBILE_FIELD_NUMBER: _ClassVar[int]
    FAX_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    code: str
    name: str
    parent: str
    old_codes: _containers.RepeatedScalarFieldContainer[str]
    mail: str
    mobile: str
    fax: str
    by: str
    def __init__(self, code: _Optional[str] = ..., name: _Optional[str] = ..., parent: _Optional[str] = ..., old_codes: _Optional[_Iterable[str]] = ..., mail: _Optional[str] = ..., mobile: _Optional[str] = ..., fax: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class UnitSuspended(_message.Message):
    __slots__ = ("code", "reason", "by")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    by: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class UnitResumed(_message.Message):
    __slots__ = ("code", "by")
    CODE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    code: str
    by: str
    def __init__(self, code: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class TokenIssued(_message.Message):
    __slots__ = ("code", "secret_sha256", "expires_at")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    code: str
    secret_sha256: bytes
    expires_at: int
    def __init__(self, code: _Optional[str] = ..., secret_sha256: _Optional[bytes] = ..., expires_at: _Optional[int] = ...) -> None: ...

class Enrolled(_message.Message):
    __slots__ = ("code", "secret_sha256", "tls_key_sha256", "sign_key_sha256", "tls_serial", "sign_serial")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGN_KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    TLS_SERIAL_FIELD_NUMBER: _ClassVar[int]
    SIGN_SERIAL_FIELD_NUMBER: _ClassVar[int]
    code: str
    secret_sha256: bytes
    tls_key_sha256: bytes
    sign_key_sha256: bytes
    tls_serial: str
    sign_serial: str
    def __init__(self, code: _Optional[str] = ..., secret_sha256: _Optional[bytes] = ..., tls_key_sha256: _Optional[bytes] = ..., sign_key_sha256: _Optional[bytes] = ..., tls_serial: _Optional[str] = ..., sign_serial: _Optional[str] = ...) -> None: ...

class CertificateIssued(_message.Message):
    __slots__ = ("organisation", "usage", "serial", "certificate", "hierarchy")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    HIERARCHY_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    usage: str
    serial: str
    certificate: bytes
    hierarchy: str
    def __init__(self, organisation: _Optional[str] = ..., usage: _Optional[str] = ..., serial: _Optional[str] = ..., certificate: _Optional[bytes] = ..., hierarchy: _Optional[str] = ...) -> None: ...

class CertificateRevoked(_message.Message):
    __slots__ = ("serial", "certificate_sha256", "reason", "revoked_at")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    serial: str
    certificate_sha256: bytes
    reason: str
    revoked_at: int
    def __init__(self, serial: _Optional[str] = ..., certificate_sha256: _Optional[bytes] = ..., reason: _Optional[str] = ..., revoked_at: _Optional[int] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("kind", "envelope", "acceptance")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    envelope: _envelope_pb2.Envelope
    acceptance: _envelope_pb2.Envelope
    def __init__(self, kind: _Optional[str] = ..., envelope: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., acceptance: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class Receipted(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _envelope_pb2.Envelope
    def __init__(self, receipt: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class LateReceipt(_message.Message):
    __slots__ = ("receipt", "code")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    receipt: _envelope_pb2.Envelope
    code: str
    def __init__(self, receipt: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., code: _Optional[str] = ...) -> None: ...

class Noticed(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: _envelope_pb2.Envelope
    def __init__(self, notice: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("organisation", "code", "bytes_sha256", "document_id", "detail", "count")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    BYTES_SHA256_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    code: str
    bytes_sha256: bytes
    document_id: str
    detail: str
    count: int
    def __init__(self, organisation: _Optional[str] = ..., code: _Optional[str] = ..., bytes_sha256: _Optional[bytes] = ..., document_id: _Optional[str] = ..., detail: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
