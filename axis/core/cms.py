"""Signatures: CMS SignedData (RFC 5652) in one narrow profile, CAdES-B, checkable with `openssl cms -verify`.

The profile: strict DER; detached; one signer named by issuer and serial number; signed attributes exactly
contentType, messageDigest, signingTime and signingCertificateV2 (RFC 5035); no unsigned attributes, no
revocation lists. The signer's certificate is inside, with the intermediates.

What implementations write differently, we read: SHA-2 identifiers with and without NULL parameters (RFC 5754
2), signingCertificateV2 with and without issuerSerial. Where two encodings mean the same and differ in a few
bits, only one is taken (rsaEncryption, not sha256WithRSAEncryption), so that no altered byte passes unseen.

Not handled here: whether the certificate is trusted, current or meant for signing (axis.core.trust), and
whether the other certificates inside belong to its path (axis.core.verify).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NoReturn, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from axis.core import cms_asn1 as der
from axis.core.cms_keys import ParsedCertificate, PrivateKey, PublicKey, allowed_key, parse_certificate
from axis.core.errors import Refusal

__all__ = ["PrivateKey", "PublicKey", "Signature", "allowed_key", "check", "read", "sign"]

T = TypeVar("T")

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_ECDSA: Final = {name: ec.ECDSA(_HASHES[name]) for name in der.ECDSA}
_PKCS1: Final = padding.PKCS1v15()
_UTC_TIME_TAG: Final = b"\x17"
_GENERALIZED_TIME_FROM: Final = 2050
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_CONTENT_TYPE_ATTRIBUTE: Final = der.Attribute(type=der.CONTENT_TYPE, values=asn1.SetOf([der.tlv(der.DATA)]))


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature in the profile, parsed and not checked: nothing it says is true before `check`."""

    certificate_der: bytes  # the signer's
    certificates: tuple[bytes, ...]  # all that are inside, the signer's included
    digest_algorithm: str  # "sha256", "sha384" or "sha512"
    signing_time: int  # as the signer claims; milliseconds since the epoch, whole seconds
    message_digest: bytes
    certificate_digest_algorithm: str  # this and the next two: signingCertificateV2
    certificate_digest: bytes
    issuer_serial: tuple[bytes, int] | None  # DER of the issuer's name, serial number
    signed_attributes: bytes  # DER of the SET OF: what the signature value is over
    value: bytes


def sign(
    signed: bytes,
    key: PrivateKey,
    certificate_der: bytes,
    extra_certificates: Sequence[bytes],
    signing_time: int,
) -> bytes:
    """Sign bytes; the result is the DER of a CMS ContentInfo, 1 to 3 KiB.

    `certificate_der` certifies `key`; `extra_certificates` are the intermediates. `signing_time` is in
    milliseconds, kept in whole seconds. P-256 and RSA sign with SHA-256, P-384 with SHA-384. ValueError for
    a key outside the allow-list or a certificate that is none.
    """
    if not allowed_key(key.public_key()):
        raise ValueError("sign with EC P-256, EC P-384 or RSA of at least 2048 bits")
    digest = "sha384" if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size == 384 else "sha256"
    attributes = asn1.SetOf(
        [
            _CONTENT_TYPE_ATTRIBUTE,
            _time_attribute(signing_time // 1000),
            _attribute(der.MESSAGE_DIGEST, hashlib.new(digest, signed).digest()),
            _certificate_attribute(certificate_der),
        ]
    )
    over = asn1.encode_der(attributes)  # RFC 5652 5.4: signed as a SET OF, stored under the tag [0]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        value, algorithm = key.sign(over, _ECDSA[digest]), der.ECDSA_TLV[digest]
    else:
        value, algorithm = key.sign(over, _PKCS1, _HASHES[digest]), der.RSA_TLV
    signer = der.SignerInfo(
        version=1,
        signer=_signer_id(certificate_der),
        digest_algorithm=der.DIGEST_TLV[digest],
        signed_attributes=attributes,
        signature_algorithm=algorithm,
        signature=value,
    )
    content = der.SignedData(
        version=1,
        digest_algorithms=asn1.SetOf([der.DIGEST_TLV[digest]]),
        content=der.Encapsulated(content_type=der.DATA),
        certificates=_bag(certificate_der, *extra_certificates),
        signers=asn1.SetOf([signer]),
    )
    return asn1.encode_der(der.ContentInfo(content_type=der.SIGNED_DATA, content=content))


def read(signature: bytes) -> Signature:
    """Parse a signature that must be in the profile, byte for byte.

    Raises Refusal `signature_malformed`, or `algorithm_not_allowed` for a digest, key or signature algorithm
    outside the allow-list.
    """
    try:
        content = asn1.decode_der(der.ContentInfo, signature)
    except ValueError as error:
        _malformed("not a strict DER SignedData of this profile", error)
    data = content.content
    signers, digests = data.signers.as_list(), data.digest_algorithms.as_list()
    if content.content_type != der.SIGNED_DATA or data.content.content_type != der.DATA:
        _malformed("the content type is not SignedData over data")
    if len(signers) != 1 or len(digests) != 1:
        _malformed("there must be one signer and one digest algorithm")
    signer = signers[0]
    if data.version != 1 or signer.version != 1:
        _malformed("SignedData and SignerInfo must be of version 1")
    digest_der = asn1.encode_der(signer.digest_algorithm)
    if asn1.encode_der(digests[0]) != digest_der:
        _malformed("the digest algorithm is named twice, and differently")
    digest = der.DIGESTS.get(digest_der)
    if digest is None:
        raise Refusal("algorithm_not_allowed", "the digest must be SHA-256, SHA-384 or SHA-512")
    certificates = tuple(asn1.encode_der(element) for element in data.certificates.as_list())
    certificate_der, certificate = _signers_certificate(certificates, signer.signer)
    _check_algorithm(certificate.public_key, digest, asn1.encode_der(signer.signature_algorithm))
    attributes = _attributes(signer.signed_attributes)
    identity = _certificate_id(attributes[der.SIGNING_CERTIFICATE_V2])
    return Signature(
        certificate_der=certificate_der,
        certificates=certificates,
        digest_algorithm=digest,
        signing_time=_signing_time(attributes[der.SIGNING_TIME]),
        message_digest=_parse(attributes[der.MESSAGE_DIGEST], bytes, "messageDigest"),
        certificate_digest_algorithm=_certificate_digest_algorithm(identity),
        certificate_digest=identity.hash,
        issuer_serial=_issuer_serial(identity),
        signed_attributes=asn1.encode_der(signer.signed_attributes),
        value=signer.signature,
    )


def check(signature: Signature, signed: bytes) -> None:
    """Check digest, certificate identity and value, in this order; Refusal `signature_invalid`."""
    if hashlib.new(signature.digest_algorithm, signed).digest() != signature.message_digest:
        raise Refusal("signature_invalid", "messageDigest is not the digest of these bytes")
    certificate = parse_certificate(signature.certificate_der)
    # Without this, another certificate for the same key could be put in the signer's certificate's place.
    algorithm = signature.certificate_digest_algorithm
    if hashlib.new(algorithm, signature.certificate_der).digest() != signature.certificate_digest:
        raise Refusal("signature_invalid", "signingCertificateV2 names another certificate")
    if signature.issuer_serial not in (None, (certificate.issuer, certificate.serial)):
        raise Refusal("signature_invalid", "issuerSerial in signingCertificateV2 names another certificate")
    key, value, over = certificate.public_key, signature.value, signature.signed_attributes
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, over, _ECDSA[signature.digest_algorithm])
        elif key is not None:
            key.verify(value, over, _PKCS1, _HASHES[signature.digest_algorithm])
        else:
            raise Refusal("algorithm_not_allowed", "the signer's key is not in the allow-list")
    except InvalidSignature as error:
        raise Refusal("signature_invalid", "the signature value does not verify") from error


def _malformed(detail: str, cause: Exception | None = None) -> NoReturn:
    raise Refusal("signature_malformed", detail) from cause


def _parse(element: asn1.TLV, cls: type[T], what: str) -> T:
    try:
        return cast(T, element.parse(cls))
    except ValueError as error:
        _malformed(f"{what} is malformed", error)


def _signers_certificate(
    certificates: tuple[bytes, ...], signer: der.IssuerAndSerial
) -> tuple[bytes, ParsedCertificate]:
    try:
        parsed = [(data, parse_certificate(data)) for data in certificates]
    except ValueError as error:
        _malformed("a certificate inside is malformed", error)
    named = (asn1.encode_der(signer.issuer), signer.serial)
    found = [pair for pair in parsed if (pair[1].issuer, pair[1].serial) == named]
    if len(found) != 1:
        _malformed(f"{len(found)} certificates inside have the signer's issuer and serial number")
    return found[0]


def _check_algorithm(key: PublicKey | None, digest: str, algorithm: bytes) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        expected = der.ECDSA.get(digest)
    else:
        expected = der.RSA if key is not None else None
    if algorithm != expected:
        raise Refusal(
            "algorithm_not_allowed",
            "sign with ECDSA (P-256 or P-384, SHA-256 or SHA-384) or rsaEncryption (2048 bits or more)",
        )


# --- signed attributes ---------------------------------------------------------------------------------


def _attribute(name: x509.ObjectIdentifier, value: object) -> der.Attribute:
    return der.Attribute(type=name, values=asn1.SetOf([der.tlv(value)]))


@lru_cache(maxsize=64)
def _time_attribute(seconds: int) -> der.Attribute:
    moment = datetime.fromtimestamp(seconds, UTC)
    is_utc_time = moment.year < _GENERALIZED_TIME_FROM
    return _attribute(der.SIGNING_TIME, asn1.UTCTime(moment) if is_utc_time else asn1.GeneralizedTime(moment))


@lru_cache(maxsize=1024)
def _certificate_attribute(certificate_der: bytes) -> der.Attribute:
    digest = hashlib.sha256(certificate_der).digest()
    identity = der.EssCertificateId(hash_algorithm=None, hash=digest, issuer_serial=None)
    return _attribute(der.SIGNING_CERTIFICATE_V2, der.SigningCertificateV2(certificates=[identity]))


@lru_cache(maxsize=1024)
def _signer_id(certificate_der: bytes) -> der.IssuerAndSerial:
    certificate = parse_certificate(certificate_der)
    issuer = asn1.decode_der(asn1.TLV, certificate.issuer)
    return der.IssuerAndSerial(issuer=issuer, serial=certificate.serial)


@lru_cache(maxsize=1024)
def _bag(*certificates: bytes) -> asn1.SetOf[asn1.TLV]:
    return asn1.SetOf([asn1.decode_der(asn1.TLV, data) for data in dict.fromkeys(certificates)])


def _attributes(signed: asn1.SetOf[der.Attribute]) -> dict[x509.ObjectIdentifier, asn1.TLV]:
    attributes = signed.as_list()
    values = {attribute.type: attribute.values.as_list() for attribute in attributes}
    # The count as well as the names: else a second messageDigest could stand beside the one that is read.
    if len(attributes) != len(der.ATTRIBUTES) or values.keys() != der.ATTRIBUTES:
        _malformed("signed attributes must be contentType, messageDigest, signingTime, signingCertificateV2")
    if any(len(value) != 1 for value in values.values()):
        _malformed("each signed attribute must have one value")
    if _parse(values[der.CONTENT_TYPE][0], x509.ObjectIdentifier, "contentType") != der.DATA:
        _malformed("the signed contentType is not data")
    return {name: value[0] for name, value in values.items()}


def _signing_time(element: asn1.TLV) -> int:
    if element.tag_bytes == _UTC_TIME_TAG:
        moment = _parse(element, asn1.UTCTime, "signingTime").as_datetime()
    else:
        moment = _parse(element, asn1.GeneralizedTime, "signingTime").as_datetime()
        if moment.year < _GENERALIZED_TIME_FROM or moment.microsecond:
            _malformed("signingTime must be UTCTime through 2049, and in whole seconds")  # RFC 5652 11.3
    return (moment - _EPOCH) // _MILLISECOND


def _certificate_id(element: asn1.TLV) -> der.EssCertificateId:
    identities = _parse(element, der.SigningCertificateV2, "signingCertificateV2").certificates
    if len(identities) != 1:
        _malformed("signingCertificateV2 must name one certificate")
    return identities[0]


def _certificate_digest_algorithm(identity: der.EssCertificateId) -> str:
    if identity.hash_algorithm is None:
        return "sha256"
    name = der.DIGEST_OIDS.get(identity.hash_algorithm.algorithm)
    if name is None:
        raise Refusal("algorithm_not_allowed", "signingCertificateV2 must use SHA-256, SHA-384 or SHA-512")
    if name == "sha256" and identity.hash_algorithm.parameters is None:
        _malformed("signingCertificateV2 spells its default algorithm out")  # X.690 11.5
    return name


def _issuer_serial(identity: der.EssCertificateId) -> tuple[bytes, int] | None:
    if identity.issuer_serial is None:
        return None
    if len(identity.issuer_serial.issuer) != 1:
        _malformed("issuerSerial must have one directory name")
    return asn1.encode_der(identity.issuer_serial.issuer[0]), identity.issuer_serial.serial
