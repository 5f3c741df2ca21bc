"""The keys that may sign, and what checking a signature needs of a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from axis.core import cms_asn1 as der

__all__ = ["ParsedCertificate", "PrivateKey", "PublicKey", "allowed_key", "parse_certificate"]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_CURVES: Final = ("secp256r1", "secp384r1")
_MIN_RSA_BITS: Final = 2048
_V3: Final = 2  # RFC 5280 4.1.2.1


@dataclass(frozen=True, slots=True)
class ParsedCertificate:
    """What checking a signature needs of a certificate."""

    issuer: bytes  # DER of the name, as written in the certificate
    serial: int
    public_key: PublicKey | None  # None: outside the allow-list


def allowed_key(key: object) -> bool:
    """Whether a public key is in the allow-list: EC P-256 or P-384, RSA of at least 2048 bits."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS


@lru_cache(maxsize=8192)
def parse_certificate(certificate_der: bytes) -> ParsedCertificate:
    """Parse a certificate (version 3, positive serial number, with extensions); ValueError for any other.

    A pure function of the bytes: keeping results hides no check.
    """
    tbs = asn1.decode_der(der.Certificate, certificate_der).tbs
    if tbs.version != _V3 or tbs.serial <= 0:
        raise ValueError("not a version 3 certificate with a positive serial number")
    try:
        key: object = serialization.load_der_public_key(asn1.encode_der(tbs.public_key))
    except UnsupportedAlgorithm:
        key = None
    if not (isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and allowed_key(key)):
        key = None
    return ParsedCertificate(asn1.encode_der(tbs.issuer), tbs.serial, key)
