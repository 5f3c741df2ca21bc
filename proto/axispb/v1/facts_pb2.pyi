from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_STATE_UNSPECIFIED: _ClassVar[DeliveryState]
    DELIVERY_STATE_IN_FLIGHT: _ClassVar[DeliveryState]
    DELIVERY_STATE_RECEIVED: _ClassVar[DeliveryState]
    DELIVERY_STATE_REFUSED: _ClassVar[DeliveryState]
    DELIVERY_STATE_DEAD: _ClassVar[DeliveryState]
DELIVERY_STATE_UNSPECIFIED: DeliveryState
DELIVERY_STATE_IN_FLIGHT: DeliveryState
DELIVERY_STATE_RECEIVED: DeliveryState
DELIVERY_STATE_REFUSED: DeliveryState
DELIVERY_STATE_DEAD: DeliveryState

class UnitFact(_message.Message):
    __slots__ = ("code", "name", "parent", "old_codes", "suspended", "enrolled", "registered_sequence", "mail", "mobile", "fax", "suspended_by")
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OLD_CODES_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MAIL_FIELD_NUMBER: _ClassVar[int]
    MOBILE_FIELD_NUMBER: _ClassVar[int]
    FAX_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_BY_FIELD_NUMBER: _ClassVar[int]
    code: str
    name: str
    parent: str
    old_codes: _containers.RepeatedScalarFieldContainer[str]
    suspended: bool
    enrolled: bool
    registered_sequence: int
    mail: str
    mobile: str
    fax: str
    suspended_by: str
    def __init__(self, code: _Optional[str] = ..., name: _Optional[str] = ..., parent: _Optional[str] = ..., old_codes: _Optional[_Iterable[str]] = ..., suspended: _Optional[bool] = ..., enrolled: _Optional[bool] = ..., registered_sequence: _Optional[int] = ..., mail: _Optional[str] = ..., mobile: _Optional[str] = ..., fax: _Optional[str] = ..., suspended_by: _Optional[str] = ...) -> None: ...

class AliasFact(_message.Message):
    __slots__ = ("code",)
    CODE_FIELD_NUMBER: _ClassVar[int]
    code: str
    def __init__(self, code: _Optional[str] = ...) -> None: ...

class CertificateFact(_message.Message):
    __slots__ = ("organisation", "usage", "serial", "certificate", "hierarchy", "issued_sequence", "revoked_sequence", "revocation_reason", "revoked_at")
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    HIERARCHY_FIELD_NUMBER: _ClassVar[int]
    ISSUED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_REASON_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    organisation: str
    usage: str
    serial: str
    certificate: bytes
    hierarchy: str
    issued_sequence: int
    revoked_sequence: int
    revocation_reason: str
    revoked_at: int
    def __init__(self, organisation: _Optional[str] = ..., usage: _Optional[str] = ..., serial: _Optional[str] = ..., certificate: _Optional[bytes] = ..., hierarchy: _Optional[str] = ..., issued_sequence: _Optional[int] = ..., revoked_sequence: _Optional[int] = ..., revocation_reason: _Optional[str] = ..., revoked_at: _Optional[int] = ...) -> None: ...

class TokenFact(_message.Message):
    __slots__ = ("code", "expires_at")
    CODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    code: str
    expires_at: int
    def __init__(self, code: _Optional[str] = ..., expires_at: _Optional[int] = ...) -> None: ...

class EnrolledFact(_message.Message):
    __slots__ = ("code", "tls_key_sha256", "sign_key_sha256", "tls_serial", "sign_serial")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGN_KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    TLS_SERIAL_FIELD_NUMBER: _ClassVar[int]
    SIGN_SERIAL_FIELD_NUMBER: _ClassVar[int]
    code: str
    tls_key_sha256: bytes
    sign_key_sha256: bytes
    tls_serial: str
    sign_serial: str
    def __init__(self, code: _Optional[str] = ..., tls_key_sha256: _Optional[bytes] = ..., sign_key_sha256: _Optional[bytes] = ..., tls_serial: _Optional[str] = ..., sign_serial: _Optional[str] = ...) -> None: ...

class DocumentFact(_message.Message):
    __slots__ = ("kind", "accepted_sequence", "sender_unit", "sender_host", "signed_sha256", "signature_sha256", "acceptance_sha256", "accepted_at", "urgent", "about_document_id", "bytes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SENDER_UNIT_FIELD_NUMBER: _ClassVar[int]
    SENDER_HOST_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    URGENT_FIELD_NUMBER: _ClassVar[int]
    ABOUT_DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    accepted_sequence: int
    sender_unit: str
    sender_host: str
    signed_sha256: bytes
    signature_sha256: bytes
    acceptance_sha256: bytes
    accepted_at: int
    urgent: bool
    about_document_id: str
    bytes: int
    def __init__(self, kind: _Optional[str] = ..., accepted_sequence: _Optional[int] = ..., sender_unit: _Optional[str] = ..., sender_host: _Optional[str] = ..., signed_sha256: _Optional[bytes] = ..., signature_sha256: _Optional[bytes] = ..., acceptance_sha256: _Optional[bytes] = ..., accepted_at: _Optional[int] = ..., urgent: _Optional[bool] = ..., about_document_id: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class DeliveryFact(_message.Message):
    __slots__ = ("unit", "host", "attempt", "state", "opened_at", "outcome_sequence", "hosts")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    host: str
    attempt: int
    state: DeliveryState
    opened_at: int
    outcome_sequence: int
    hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unit: _Optional[str] = ..., host: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[_Union[DeliveryState, str]] = ..., opened_at: _Optional[int] = ..., outcome_sequence: _Optional[int] = ..., hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class OutcomeFact(_message.Message):
    __slots__ = ("state", "sequence", "signed_sha256", "late_signed_sha256", "late_sequence")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    LATE_SIGNED_SHA256_FIELD_NUMBER: _ClassVar[int]
    LATE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    state: DeliveryState
    sequence: int
    signed_sha256: bytes
    late_signed_sha256: bytes
    late_sequence: int
    def __init__(self, state: _Optional[_Union[DeliveryState, str]] = ..., sequence: _Optional[int] = ..., signed_sha256: _Optional[bytes] = ..., late_signed_sha256: _Optional[bytes] = ..., late_sequence: _Optional[int] = ...) -> None: ...
