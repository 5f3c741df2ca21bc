"""What certificates of the development authority look like (RFC 5280 profiles), and which requests are good.

Randomness (serial numbers, signatures) comes from the operating system; time is an argument.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis.core.cms import PublicKey, allowed_key
from axis.core.errors import Refusal
from axis.core.organisation import AXIS, axis_uri, organisation_uri
from axis.core.trust import DOCUMENT_SIGNING, CertificateInfo, read_certificate

__all__ = ["PublicKey", "authority", "end", "key_sha256", "read_request"]

_END_LIFE: Final = timedelta(days=2 * 365)
_END_BACKDATE: Final = timedelta(minutes=5)  # as far as clocks may differ
_MAX_REQUEST_BYTES: Final = 16 * 1024


def read_request(request: bytes, field: str) -> PublicKey:
    """The public key of a PKCS#10 request (DER), whose owner has shown to hold the private key.

    Raises Refusal `field_invalid` naming `field`.
    """
    if len(request) > _MAX_REQUEST_BYTES:
        raise Refusal("field_invalid", f"{field}: over {_MAX_REQUEST_BYTES} bytes")
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        is_signed = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refusal("field_invalid", f"{field}: not a PKCS#10 request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or not allowed_key(key):
        raise Refusal(
            "field_invalid", f"{field}: the key must be EC P-256, EC P-384 or RSA of 2048 bits or more"
        )
    if not is_signed:
        raise Refusal("field_invalid", f"{field}: the request's own signature does not verify")
    return key


def key_sha256(key: PublicKey) -> bytes:
    """SHA-256 of the DER SubjectPublicKeyInfo."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def authority(
    role: str,
    key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    life: timedelta,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """A certificate authority's certificate; with no `issuer` a self-signed root."""
    # The suffix keeps two authorities' names apart: paths are searched by name.
    subject = _name(f"Document axis development {role} {secrets.token_hex(4)}")
    builder = _builder(subject, key, issuer.subject if issuer else subject, issuer_key)
    return (
        builder.not_valid_before(not_before)
        .not_valid_after(not_before + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else 1), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def end(
    organisation: str,
    usage: str,
    key: PublicKey,
    names: Sequence[str],
    now: datetime,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> CertificateInfo:
    """A certificate of an organisation, or of the axis, for `usage` "tls" or "sign"."""
    # Inside the issuer's own life: a path is valid while all of it is.
    not_before = max(now - _END_BACKDATE, issuer.not_valid_before_utc)
    is_axis = organisation == AXIS
    uri = axis_uri() if is_axis else organisation_uri(organisation)
    alternatives = [x509.UniformResourceIdentifier(uri), *map(_host, names)]
    if usage == "sign":
        usages = [DOCUMENT_SIGNING]
    else:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if is_axis else []
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    certificate = (
        _builder(_name(organisation), key, issuer.subject, issuer_key)
        .not_valid_before(not_before)
        .not_valid_after(min(not_before + _END_LIFE, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, content_commitment=usage == "sign"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return read_certificate(certificate.public_bytes(serialization.Encoding.DER))


def _builder(
    subject: x509.Name, key: PublicKey, issuer: x509.Name, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(
    *, digital_signature: bool = False, content_commitment: bool = False, key_cert_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )
