"""The axis's own keys: `HOME/keys`, a set of which one is in use, replaced as a whole.

A *set* is two key pairs, for TLS and for signing, with their certificates. A new home's set lies in `keys`
itself. Each rotation makes the next one, `keys/2`, `keys/3` …, and `keys/current` names the one in use.

Order against crashes: a set's keys are durable before their certificates are asked for, and these are in the
journal before the set is completed; `current` names only a complete set, and only then the set before is
deleted: at the next start if the process dies between. Until then the next set is the one after the
current: a rotation that was broken off goes on with the keys, and so the certificates, that it had.

Nothing here asks for certificates or journals them: `axis.app.rotation` does, in this order.
"""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from axis.config import ConfigError
from axis.core import cms
from axis.core.errors import Refusal
from axis.core.trust import Anchors, CertificateInfo, read_certificate
from axis.durable import sync_folder, write_whole

__all__ = ["FILES", "KeySet", "KeysDamaged", "OwnKeys", "pem", "read_pem", "read_set", "request"]

#: The files of a set; a private key is in those that end in `.key`.
FILES: Final = ("tls.key", "sign.key", "tls.crt", "sign.crt")
_CURRENT: Final = "current"
_FIRST: Final = 1
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}\n?", re.ASCII)
_PRIVATE: Final = 0o700


class KeysDamaged(ConfigError):
    """The set in use cannot be read: `keys_damaged`; says which file, and why."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """A complete set, as its files hold it. Make one with `parse`."""

    number: int
    folder: Path
    #: By the names in FILES; PEM.
    files: Mapping[str, bytes]
    sign_key: ec.EllipticCurvePrivateKey
    tls: CertificateInfo
    sign: CertificateInfo

    @classmethod
    def parse(cls, number: int, folder: Path, files: Mapping[str, bytes]) -> KeySet:
        """Raises ValueError where the files are no set: damaged, or not belonging together."""
        pairs: dict[str, tuple[ec.EllipticCurvePrivateKey, CertificateInfo]] = {}
        for usage in ("tls", "sign"):
            key = serialization.load_pem_private_key(files[f"{usage}.key"], None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError(f"{usage}.key is no EC key")  # noqa: TRY004 (the file is wrong, no type)
            certificate = x509.load_pem_x509_certificates(files[f"{usage}.crt"])[0]
            if certificate.public_key() != key.public_key():
                raise ValueError(f"{usage}.key and {usage}.crt do not belong together")
            try:
                info = read_certificate(certificate.public_bytes(serialization.Encoding.DER))
            except Refusal as error:
                raise ValueError(f"{usage}.crt: {error}") from error
            pairs[usage] = key, info
        (_, tls), (sign_key, sign) = pairs["tls"], pairs["sign"]
        return cls(number, folder, {name: files[name] for name in FILES}, sign_key, tls, sign)

    @property
    def tls_files(self) -> tuple[Path, Path]:
        """PEM files for `ssl`: the certificate with its issuers, and the key."""
        return self.folder / "tls.crt", self.folder / "tls.key"

    @property
    def ends(self) -> int:
        """When the first of the certificates ends, in milliseconds."""
        return min(self.tls.not_after, self.sign.not_after)

    @property
    def names(self) -> list[str]:
        """The host names and addresses that the TLS certificate is good for."""
        certificate = x509.load_der_x509_certificate(self.tls.der)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = found.get_values_for_type(x509.DNSName)
        return [*names, *map(str, found.get_values_for_type(x509.IPAddress))]


class OwnKeys:
    """The set in use, and the one that follows it."""

    def __init__(self, keys: Path, anchors: Anchors, current: KeySet) -> None:
        self._keys = keys
        self._anchors = anchors
        self._changed: list[Callable[[KeySet], None]] = []
        self.current = current

    @classmethod
    def read(cls, keys: Path, anchors: Anchors) -> OwnKeys:
        """What is in use at `keys`. Raises KeysDamaged."""
        return cls(keys, anchors, read_set(keys))

    def sign(self, signed: bytes, at: int) -> bytes:
        """Sign as the axis, at a time in milliseconds."""
        # With the intermediates, so that the anchors are all that a verifier needs.
        current = self.current
        return cms.sign(signed, current.sign_key, current.sign.der, self._anchors.intermediates, at)

    def on_change(self, act: Callable[[KeySet], None]) -> None:
        """Have `act` called with each set that comes into use."""
        self._changed.append(act)

    @property
    def interrupted(self) -> bool:
        """Whether a rotation has begun and not ended."""
        return self._next.is_dir()

    @property
    def _next(self) -> Path:
        return _folder(self._keys, self.current.number + 1)

    def prepare(self) -> tuple[bytes, bytes]:
        """The requests (DER) for the next set's certificates, for TLS and for signing. Blocks."""
        folder = self._make_next()
        return request(folder / "tls.key"), request(folder / "sign.key")

    def complete(self, tls: bytes, sign: bytes) -> KeySet:
        """Store the certificates (DER) for what `prepare` asked; the set, not in use yet. Blocks."""
        for name, certificate in (("tls.crt", tls), ("sign.crt", sign)):
            write_whole(self._next / name, pem((certificate, *self._anchors.intermediates)), 0o644)
        return _read(self._keys, self.current.number + 1)

    def store(self, files: Mapping[str, bytes]) -> KeySet:
        """Store another node's set as the next one; ValueError if it is none. Blocks."""
        KeySet.parse(0, self._keys, files)
        folder = self._make_next()
        for name in FILES:
            write_whole(folder / name, files[name], 0o600 if name.endswith(".key") else 0o644)
        return _read(self._keys, self.current.number + 1)

    def discard(self) -> None:
        """Delete what was prepared of the next set: its certificates are of no use any more. Blocks."""
        self._delete(self._next)

    def use(self, found: KeySet) -> None:
        """From now on the next set, which is complete: for signatures and for connections that come."""
        # Tried where a failure harms nothing.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*found.tls_files)
        write_whole(self._keys / _CURRENT, str(found.number).encode(), 0o644)
        self.current = found
        for act in self._changed:
            act(found)
        self.forget_earlier()

    def _make_next(self) -> Path:
        folder = self._next
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        sync_folder(self._keys)
        return folder

    def forget_earlier(self) -> None:
        """Delete the sets before the one in use. Only for the home's one writer. Blocks.

        Nobody needs their keys, and the journal has their certificates for ever. Idempotent.
        """
        for number in range(_FIRST, self.current.number):
            self._delete(_folder(self._keys, number))

    def _delete(self, folder: Path) -> None:
        if not folder.is_dir():
            return
        if folder == self._keys:
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(folder)
        sync_folder(self._keys)


def read_set(keys: Path) -> KeySet:
    """The set in use at `keys`, beside its writer or not. Raises KeysDamaged."""
    while True:
        number = _current(keys)
        try:
            return _read(keys, number)
        except (OSError, ValueError, IndexError) as error:
            if _current(keys) == number:
                raise KeysDamaged(f"{_folder(keys, number)}: {error}") from error
            # Replaced, and deleted, since its number was read.


def _current(keys: Path) -> int:
    path = keys / _CURRENT
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return _FIRST
    except OSError as error:
        raise KeysDamaged(str(error)) from error
    if not _NUMBER.fullmatch(text):
        raise KeysDamaged(f"{path} names no key set, it holds {text[:40]!r}")
    return int(text)


def _folder(keys: Path, number: int) -> Path:
    return keys if number == _FIRST else keys / str(number)


def _read(keys: Path, number: int) -> KeySet:
    folder = _folder(keys, number)
    return KeySet.parse(number, folder, {name: (folder / name).read_bytes() for name in FILES})


def request(path: Path) -> bytes:
    """A certificate request (DER) for the key at `path`, which is made if it is not there."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(path, text, 0o600)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path} is no EC key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "axis")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def pem(certificates: Iterable[bytes]) -> bytes:
    """Certificates (DER) as one PEM file."""
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in certificates
    )


def read_pem(path: Path) -> list[bytes]:
    """The certificates (DER) of a PEM file. Raises OSError, ValueError."""
    certificates = x509.load_pem_x509_certificates(path.read_bytes())
    return [certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates]
