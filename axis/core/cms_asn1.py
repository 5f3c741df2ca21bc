"""The ASN.1 of the CMS profile: exactly the structures of RFC 5652, 5035 and 5280 that axis.core.cms takes.

What the profile leaves out (CRLs, unsigned attributes, embedded content, policies) is left out here, so that
decoding refuses it. `asn1.TLV` keeps an element as the bytes it came as: it checks that element's own tag
and length and nothing inside, so whoever takes one must look inside with `parse` or compare its bytes.
"""

from __future__ import annotations

from typing import Annotated, Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

__all__ = [
    "ATTRIBUTES",
    "CONTENT_TYPE",
    "DATA",
    "DIGESTS",
    "DIGEST_OIDS",
    "DIGEST_TLV",
    "ECDSA",
    "ECDSA_TLV",
    "MESSAGE_DIGEST",
    "RSA",
    "RSA_TLV",
    "SIGNED_DATA",
    "SIGNING_CERTIFICATE_V2",
    "SIGNING_TIME",
    "Attribute",
    "Certificate",
    "ContentInfo",
    "Encapsulated",
    "EssCertificateId",
    "IssuerAndSerial",
    "SignedData",
    "SignerInfo",
    "SigningCertificateV2",
    "tlv",
]

DATA: Final = ObjectIdentifier("1.2.840.113549.1.7.1")
SIGNED_DATA: Final = ObjectIdentifier("1.2.840.113549.1.7.2")
CONTENT_TYPE: Final = ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST: Final = ObjectIdentifier("1.2.840.113549.1.9.4")
SIGNING_TIME: Final = ObjectIdentifier("1.2.840.113549.1.9.5")
SIGNING_CERTIFICATE_V2: Final = ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
ATTRIBUTES: Final = frozenset({CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, SIGNING_CERTIFICATE_V2})


@asn1.sequence
class Algorithm:
    """AlgorithmIdentifier as all of the allow-list's are: without parameters, or NULL."""

    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class Attribute:
    """Any attribute (RFC 5652 5.3), its values unread."""

    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class IssuerSerial:
    """IssuerSerial (RFC 5035 4): GeneralNames of one directoryName, and the serial number."""

    issuer: list[Annotated[asn1.TLV, asn1.Explicit(4)]]
    serial: int


@asn1.sequence
class EssCertificateId:
    """ESSCertIDv2 (RFC 5035 4)."""

    hash_algorithm: Algorithm | None  # absent: SHA-256
    hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class SigningCertificateV2:
    """SigningCertificateV2 (RFC 5035 3) without policies."""

    certificates: list[EssCertificateId]


@asn1.sequence
class IssuerAndSerial:
    """IssuerAndSerialNumber (RFC 5652 10.2.4)."""

    issuer: asn1.TLV
    serial: int


@asn1.sequence
class SignerInfo:
    """SignerInfo (RFC 5652 5.3) without unsigned attributes."""

    version: int
    signer: IssuerAndSerial
    digest_algorithm: asn1.TLV
    signed_attributes: Annotated[asn1.SetOf[Attribute], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes


@asn1.sequence
class Encapsulated:
    """EncapsulatedContentInfo (RFC 5652 5.2) without content: detached."""

    content_type: ObjectIdentifier


@asn1.sequence
class SignedData:
    """SignedData (RFC 5652 5.1) without revocation lists."""

    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    content: Encapsulated
    certificates: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signers: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    """ContentInfo (RFC 5652 3) that holds SignedData."""

    content_type: ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class _Tbs:
    version: Annotated[int, asn1.Explicit(0)]
    serial: int
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    public_key: asn1.TLV
    extensions: Annotated[asn1.TLV, asn1.Explicit(3)]


@asn1.sequence
class Certificate:
    """A version 3 certificate with extensions (RFC 5280 4.1), to have its issuer's name as it is written."""

    tbs: _Tbs
    algorithm: asn1.TLV
    signature: asn1.BitString


def tlv(value: object) -> asn1.TLV:
    """Encode a value, to be put as it is where an element of any type may stand."""
    return asn1.decode_der(asn1.TLV, asn1.encode_der(value))


def _algorithm(oid: ObjectIdentifier | str, *, null: bool) -> bytes:
    name = ObjectIdentifier(oid) if isinstance(oid, str) else oid
    return asn1.encode_der(Algorithm(algorithm=name, parameters=asn1.Null() if null else None))


DIGEST_OIDS: Final = {
    ObjectIdentifier("2.16.840.1.101.3.4.2.1"): "sha256",
    ObjectIdentifier("2.16.840.1.101.3.4.2.2"): "sha384",
    ObjectIdentifier("2.16.840.1.101.3.4.2.3"): "sha512",
}

# AlgorithmIdentifiers as bytes: an identifier that is not one of these is not allowed, whatever it is.
DIGESTS: Final = {
    _algorithm(oid, null=null): name for oid, name in DIGEST_OIDS.items() for null in (False, True)
}
RSA: Final = _algorithm("1.2.840.113549.1.1.1", null=True)
ECDSA: Final = {
    "sha256": _algorithm("1.2.840.10045.4.3.2", null=False),
    "sha384": _algorithm("1.2.840.10045.4.3.3", null=False),
}
DIGEST_TLV: Final = {
    name: tlv(Algorithm(algorithm=oid, parameters=None)) for oid, name in DIGEST_OIDS.items()
}
RSA_TLV: Final = asn1.decode_der(asn1.TLV, RSA)
ECDSA_TLV: Final = {name: asn1.decode_der(asn1.TLV, der) for name, der in ECDSA.items()}
