"""The organisation's keys and certificates: `HOME/keys`.

A *set* is one enrolment's two key pairs (TLS and signing) with what the axis gave for them, in a folder
named after the token that it was made for. `keys/current` names the set in use. Older sets stay: the node
must recognise certificates for its own earlier keys.

Order against crashes: keys and requests are durable before they are sent anywhere; certificates are durable
before `current` names their set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from agencies.config import ConfigError
from axis.core import cms
from axis.durable import sync_folder, write_whole

__all__ = ["Credentials", "KeySet", "check_pairs", "known_keys", "load_credentials", "prepare", "use"]

_CURRENT: Final = "current"
_DER: Final = serialization.Encoding.DER
_PEM: Final = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class KeySet:
    """A set's folder; whether it is enrolled yet shows in its certificates' files."""

    folder: Path

    @property
    def enrolled(self) -> bool:
        """Whether the certificates are there."""
        return (self.folder / "anchors.pem").exists()

    def request(self, usage: str) -> bytes:
        """The PKCS#10 request (DER) for "tls" or "sign"."""
        return (self.folder / f"{usage}.csr").read_bytes()

    def public_key(self, usage: str) -> bytes:
        """SubjectPublicKeyInfo (DER) of "tls" or "sign"."""
        return _spki(x509.load_der_x509_csr(self.request(usage)).public_key())


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the node authenticates and signs with."""

    folder: Path
    sign_key: cms.PrivateKey
    sign_certificate: bytes  # DER
    intermediates: tuple[bytes, ...]
    anchors: tuple[bytes, ...]

    @property
    def certificate_sha256(self) -> bytes:
        """Names the signing certificate."""
        return hashlib.sha256(self.sign_certificate).digest()

    @property
    def axis_id(self) -> str:
        """The axis these were given by."""
        return hashlib.sha256(self.anchors[0]).hexdigest()

    @property
    def tls_files(self) -> tuple[Path, Path]:
        """PEM files: the TLS certificate with its chain, and its key."""
        return self.folder / "tls.crt", self.folder / "tls.key"

    def sign(self, signed: bytes, now: int) -> bytes:
        """The organisation's CMS signature over these bytes."""
        return cms.sign(signed, self.sign_key, self.sign_certificate, self.intermediates, now)


def prepare(home: Path, secret: bytes, code: str) -> KeySet:
    """The set for a token: the one made for it before, else a new one, durable before this returns."""
    folder = home / "keys" / hashlib.sha256(secret).hexdigest()[:16]
    found = KeySet(folder)
    if (folder / "sign.csr").exists():
        return found
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for usage in ("tls", "sign"):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, code)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        pem = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_whole(folder / f"{usage}.key", pem, 0o600)
        write_whole(folder / f"{usage}.csr", request.public_bytes(_DER), 0o600)
    sync_folder(home / "keys")
    sync_folder(home)
    return found


def use(
    keys: KeySet,
    *,
    tls_certificate: bytes,
    sign_certificate: bytes,
    intermediates: Sequence[bytes],
    anchors: Sequence[bytes],
) -> None:
    """Store what the axis gave for a set, and make it the current one."""
    chain = b"".join(map(_pem, intermediates))
    write_whole(keys.folder / "tls.crt", _pem(tls_certificate) + chain, 0o600)
    write_whole(keys.folder / "sign.crt", _pem(sign_certificate) + chain, 0o600)
    write_whole(keys.folder / "anchors.pem", b"".join(map(_pem, anchors)), 0o600)
    write_whole(keys.folder.parent / _CURRENT, keys.folder.name.encode("ascii"), 0o600)


def load_credentials(home: Path) -> Credentials:
    """The current set. Raises ConfigError for a home that is not enrolled."""
    try:
        folder = home / "keys" / (home / "keys" / _CURRENT).read_text("ascii").strip()
        signing = x509.load_pem_x509_certificates((folder / "sign.crt").read_bytes())
        anchors = x509.load_pem_x509_certificates((folder / "anchors.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "sign.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{home} is not enrolled: run agency init --home {home} --token …") from error
    return Credentials(
        folder=folder,
        sign_key=_signing_key(key),
        sign_certificate=signing[0].public_bytes(_DER),
        intermediates=tuple(certificate.public_bytes(_DER) for certificate in signing[1:]),
        anchors=tuple(certificate.public_bytes(_DER) for certificate in anchors),
    )


def check_pairs(credentials: Credentials) -> None:
    """Raise ConfigError unless both keys belong to their certificates."""
    for usage in ("tls", "sign"):
        certificate = x509.load_pem_x509_certificates((credentials.folder / f"{usage}.crt").read_bytes())[0]
        key = serialization.load_pem_private_key((credentials.folder / f"{usage}.key").read_bytes(), None)
        if _spki(key.public_key()) != _spki(certificate.public_key()):
            raise ConfigError(f"{usage}.key does not belong to {usage}.crt")


def known_keys(home: Path) -> set[bytes]:
    """SHA-256 of every public key (SubjectPublicKeyInfo) that this home ever made for its organisation."""
    return {
        hashlib.sha256(_spki(x509.load_der_x509_csr(path.read_bytes()).public_key())).digest()
        for path in (home / "keys").glob("*/*.csr")
    }


def _spki(key: object) -> bytes:
    encoded: bytes = key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(_PEM)


def _signing_key(key: object) -> cms.PrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ConfigError("the signing key is neither EC nor RSA")
    return key
