"""Trust: which certificates lead to the axis's anchors, whom they name and what they are for.

Rules: a path by RFC 5280 to an anchor, through the intermediates that came with the anchors and no others;
key and signature algorithms from the allow-list; exactly one URI name, `urn:axis:org:<code>` or
`urn:axis:node`; one extended key usage role, so that a key that authenticates never signs documents
(design decision 3). Validity is judged at the time the caller names, never at "now".

Not handled here: whether a certificate's issuance is journalled, and revocation. Both are places in the
journal and belong to axis.core.verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from axis.core.cms_keys import allowed_key, parse_certificate
from axis.core.errors import Refusal
from axis.core.organisation import AXIS, axis_uri, check_code, organisation_uri

__all__ = ["DOCUMENT_SIGNING", "Anchors", "CertificateInfo", "read_certificate"]

#: Extended key usage documentSigning (RFC 9336).
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")

_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
_DIGESTS: Final = ("sha256", "sha384", "sha512")
_PATH_CACHE: Final = 8192
_READ_CACHE: Final = 1024
_MAX_INTERMEDIATES: Final = 2


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What a certificate says. Times are milliseconds since the epoch, both inclusive."""

    organisation: str  # primary code, or "axis"
    usage: str  # "tls" or "sign"
    serial: str  # lower-case hex
    sha256: bytes  # of the DER
    not_before: int
    not_after: int
    public_key_sha256: bytes  # of the DER SubjectPublicKeyInfo
    der: bytes


def read_certificate(der: bytes) -> CertificateInfo:
    """Read a certificate without trusting it.

    Raises Refusal `certificate_unknown` (malformed, or names nobody of an axis), `algorithm_not_allowed`, or
    `certificate_wrong_usage` (its extended key usages are no role of ours).
    """
    return _read(der)[1]


class Anchors:
    """The trusted roots of one axis with its issuing certificates, all DER. Immutable.

    The first anchor names the axis. ValueError for anchors that are no certificates.
    """

    def __init__(self, anchors: Sequence[bytes], intermediates: Sequence[bytes]) -> None:
        if not anchors:
            raise ValueError("an axis has at least one anchor")
        self.anchors = tuple(anchors)
        self.intermediates = tuple(intermediates)
        self._intermediates = [x509.load_der_x509_certificate(der) for der in intermediates]
        self._store = verification.Store([x509.load_der_x509_certificate(der) for der in anchors])
        self._own = frozenset((*anchors, *intermediates))
        # Only paths that hold are kept; which ones do depends on the bytes and the anchors alone.
        self._verified = lru_cache(maxsize=_PATH_CACHE)(self._verify)

    @property
    def axis_id(self) -> str:
        """Lower-case hex SHA-256 of the first anchor: the name of the axis in every signed header."""
        return hashlib.sha256(self.anchors[0]).hexdigest()

    def holds(self, certificate_der: bytes) -> bool:
        """Whether a certificate is one of the anchors or intermediates themselves."""
        return certificate_der in self._own

    def path(self, certificate_der: bytes, at: int) -> CertificateInfo:
        """Validate a certificate's path to an anchor, at a time in milliseconds.

        Raises Refusal `algorithm_not_allowed`, `certificate_unknown` (no path to an anchor, or nobody of an
        axis), `certificate_wrong_usage` (no role of ours), `certificate_not_yet_valid` or
        `certificate_expired`.
        """
        info, not_before, not_after = self._verified(certificate_der)
        if at < not_before:
            raise Refusal("certificate_not_yet_valid", f"certificate {info.serial} was not valid yet")
        if at > not_after:
            raise Refusal("certificate_expired", f"certificate {info.serial} had expired")
        return info

    def _verify(self, certificate_der: bytes) -> tuple[CertificateInfo, int, int]:
        """The certificate and the time during which its whole path is valid."""
        certificate, info = _read(certificate_der)
        verifier = (
            verification.PolicyBuilder()
            .store(self._store)
            # The path is built for the moment the certificate begins; path() judges the caller's time by the
            # windows of all its certificates.
            .time(certificate.not_valid_before_utc)
            .max_chain_depth(_MAX_INTERMEDIATES)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_END_POLICY)
            .build_client_verifier()
        )
        try:
            chain = verifier.verify(certificate, self._intermediates).chain
        except verification.VerificationError as error:
            raise Refusal(
                "certificate_unknown", "the certificate has no path to this axis's anchor"
            ) from error
        windows = [_window(member) for member in chain]
        return info, max(start for start, _ in windows), min(end for _, end in windows)


def _window(certificate: x509.Certificate) -> tuple[int, int]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # The last second counts as a whole: RFC 5280 4.1.2.5 has it inclusive.
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000 + 999


@lru_cache(maxsize=_READ_CACHE)  # of the bytes alone; what is refused is not kept
def _read(der: bytes) -> tuple[x509.Certificate, CertificateInfo]:
    try:
        parse_certificate(der)  # stricter than the next line
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise Refusal("algorithm_not_allowed", "the certificate's algorithms are not in the list") from error
    except (ValueError, x509.DuplicateExtension) as error:
        raise Refusal("certificate_unknown", "the certificate is malformed") from error
    if not allowed_key(key) or digest is None or digest.name not in _DIGESTS:
        raise Refusal("algorithm_not_allowed", "the certificate's key or signature is not in the list")
    organisation = _organisation(extensions)
    not_before, not_after = _window(certificate)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    info = CertificateInfo(
        organisation=organisation,
        usage=_usage(extensions, organisation),
        serial=format(certificate.serial_number, "x"),
        sha256=hashlib.sha256(der).digest(),
        not_before=not_before,
        not_after=not_after,
        public_key_sha256=hashlib.sha256(spki).digest(),
        der=der,
    )
    return certificate, info


def _organisation(extensions: x509.Extensions) -> str:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise Refusal("certificate_unknown", "the certificate names no organisation") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    # Exactly one: a certificate with two names would be one organisation here and another there.
    if len(uris) != 1:
        raise Refusal("certificate_unknown", "the certificate must name exactly one organisation")
    if uris[0] == axis_uri():
        return AXIS
    prefix = organisation_uri("")
    try:
        # check_code refuses "axis": no organisation's certificate can pass for the axis's.
        return check_code(uris[0].removeprefix(prefix) if uris[0].startswith(prefix) else "")
    except Refusal as error:
        raise Refusal("certificate_unknown", "the certificate names no organisation of an axis") from error


def _usage(extensions: x509.Extensions, organisation: str) -> str:
    try:
        usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    if usages == {DOCUMENT_SIGNING}:
        return "sign"
    tls = ({_SERVER}, {_SERVER, _CLIENT}) if organisation == AXIS else ({_CLIENT},)
    if usages not in tls:
        raise Refusal(
            "certificate_wrong_usage", "the certificate is neither for TLS nor for signing, or for both"
        )
    return "tls"


def _require_certificate_signing(_: verification.Policy, __: x509.Certificate, value: x509.KeyUsage) -> None:
    if not value.key_cert_sign:
        raise ValueError("not a key for signing certificates")


def _refuse_authority(
    _: verification.Policy, __: x509.Certificate, value: x509.BasicConstraints | None
) -> None:
    # An authority's key must not sign documents: its theft would then do both.
    if value is not None and value.ca:
        raise ValueError("an authority's certificate is nobody's own")


def _require_digital_signature(_: verification.Policy, __: x509.Certificate, value: x509.KeyUsage) -> None:
    if not value.digital_signature or value.key_cert_sign:
        raise ValueError("not a key for digital signatures alone")


_CRITICAL: Final = verification.Criticality.CRITICAL
_ANY: Final = verification.Criticality.AGNOSTIC
# That basicConstraints says "authority", where present, the verifier sees to by itself.
_CA_POLICY: Final = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _CRITICAL, None)
    .require_present(x509.KeyUsage, _CRITICAL, _require_certificate_signing)
)
# Names and extended key usages are read, and refused with a code of their own, in _read.
_END_POLICY: Final = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.KeyUsage, _CRITICAL, _require_digital_signature)
    .may_be_present(x509.BasicConstraints, _ANY, _refuse_authority)
)
