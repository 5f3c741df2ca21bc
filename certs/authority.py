"""The development certificate authority: root → issuing authority → two certificates for each organisation.

Its home is a folder of its own (`HOME/pki`, mode 0700, keys 0600) that the axis node never reads; it can be
moved to another machine. `issued.sqlite` is the authority's own list: a certificate is on it, durably, before
anyone gets it, and stays on it for ever.

Certificates per design decision 3: one for TLS (clientAuth), one for signing documents (documentSigning),
both named by the URI `urn:axis:org:<code>`; the axis's own TLS certificate also has its host names.

Not handled here: who may have a certificate (the axis checks the enrolment token), CRLs and OCSP.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from axis.core.errors import Refusal
from axis.core.organisation import AXIS, check_code
from axis.core.trust import CertificateInfo
from axis.durable import sync_folder
from certs import profiles

__all__ = ["Authority", "Listed"]

_ROOT_LIFE: Final = timedelta(days=20 * 365)
_ISSUING_LIFE: Final = timedelta(days=10 * 365)
_BACKDATE: Final = timedelta(hours=1)  # clocks in a new installation differ
_SCHEMA: Final = """
create table if not exists issued (
    number integer primary key,
    organisation text not null,
    usage text not null check (usage in ('tls', 'sign')),
    key_sha256 blob not null,
    names text not null,
    serial text not null unique,
    certificate blob not null,
    issued_at integer not null,
    revoked_at integer,
    reason text not null default '',
    unique (organisation, usage, key_sha256, names)
) strict
"""
_REASONS: Final = frozenset(flag.value for flag in x509.ReasonFlags) - {"removeFromCRL"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One certificate on the authority's list; times in milliseconds since the epoch."""

    number: int  # 1, 2, 3 … in the order of issuance
    organisation: str
    usage: str
    serial: str
    certificate: bytes
    revoked_at: int | None
    reason: str


class Authority:
    """An authority whose keys are at hand. One process at a time is enough; more do no harm."""

    def __init__(
        self, home: Path, root: x509.Certificate, issuing: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._home = home
        self._root = root
        self._issuing = issuing
        self._key = key

    @classmethod
    def create(cls, home: Path, now: int) -> Authority:
        """Make a new authority in `home`, all of it or nothing; `now` in milliseconds.

        Raises OSError if `home` exists and is not empty.
        """
        moment = _moment(now)
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = profiles.authority(
            "root", root_key.public_key(), moment - _BACKDATE, _ROOT_LIFE, None, root_key
        )
        issuing = profiles.authority(
            "issuing", key.public_key(), moment - _BACKDATE, _ISSUING_LIFE, root, root_key
        )
        home.parent.mkdir(parents=True, exist_ok=True)
        # The folder appears under its name when everything inside is on the disk: a power cut leaves
        # either no authority or a whole one.
        draft = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        try:
            _write(draft / "root.key", _private_pem(root_key))
            _write(draft / "root.crt", root.public_bytes(serialization.Encoding.PEM))
            _write(draft / "issuing.key", _private_pem(key))
            _write(draft / "issuing.crt", issuing.public_bytes(serialization.Encoding.PEM))
            sync_folder(draft)
            draft.rename(home)
        except BaseException:
            shutil.rmtree(draft)  # no key may lie about
            raise
        sync_folder(home.parent)
        return cls(home, root, issuing, key)

    @classmethod
    def open(cls, home: Path) -> Authority:
        """Open the authority in `home`. OSError if there is none; ValueError for damaged files."""
        key = serialization.load_pem_private_key((home / "issuing.key").read_bytes(), None)
        root = x509.load_pem_x509_certificate((home / "root.crt").read_bytes())
        issuing = x509.load_pem_x509_certificate((home / "issuing.crt").read_bytes())
        if not isinstance(key, ec.EllipticCurvePrivateKey) or issuing.public_key() != key.public_key():
            raise ValueError("the issuing key and certificate do not belong together")
        return cls(home, root, issuing, key)

    @property
    def anchors(self) -> tuple[bytes, ...]:
        """The trusted roots, DER."""
        return (self._root.public_bytes(serialization.Encoding.DER),)

    @property
    def intermediates(self) -> tuple[bytes, ...]:
        """The issuing certificates, DER."""
        return (self._issuing.public_bytes(serialization.Encoding.DER),)

    def issue_axis(
        self, tls_request: bytes, sign_request: bytes, names: Sequence[str], now: int
    ) -> tuple[bytes, bytes]:
        """The axis's own two certificates (DER): for TLS under these host names and addresses, for signing.

        Otherwise as `issue_organisation`.
        """
        return self._issue(AXIS, tls_request, sign_request, sorted(set(names)), now)

    def issue_organisation(
        self, code: str, tls_request: bytes, sign_request: bytes, now: int
    ) -> tuple[bytes, bytes]:
        """Both certificates (DER) of an organisation, for two PKCS#10 requests (DER).

        The same keys for the same organisation give the same certificates again, revoked or not. What a
        request asks for besides its key is ignored. Raises Refusal `field_invalid`.
        """
        return self._issue(check_code(code), tls_request, sign_request, [], now)

    def revoke(self, serial: str, reason: str, at: int) -> None:
        """Put a certificate on the list of revoked ones; the first revocation stays.

        Raises Refusal `field_invalid` for a reason that RFC 5280 does not know, `certificate_unknown`.
        """
        if reason not in _REASONS:
            raise Refusal(
                "field_invalid", f"reason: {reason[:60]!r} is not one of {', '.join(sorted(_REASONS))}"
            )
        with self._list() as database:
            if database.execute("select 1 from issued where serial = ?", (serial,)).fetchone() is None:
                raise Refusal("certificate_unknown", f"certificate {serial[:60]!r} is not on the list")
            database.execute(
                "update issued set revoked_at = ?, reason = ? where serial = ? and revoked_at is null",
                (at, reason, serial),
            )

    def listed(self, after: int = 0, limit: int = 1000) -> list[Listed]:
        """A page of the list: the entries numbered over `after`, the oldest first."""
        with self._list() as database:
            rows = database.execute(
                "select number, organisation, usage, serial, certificate, revoked_at, reason"
                " from issued where number > ? order by number limit ?",
                (after, limit),
            ).fetchall()
        return [Listed(*row) for row in rows]

    def _issue(
        self, organisation: str, tls_request: bytes, sign_request: bytes, names: list[str], now: int
    ) -> tuple[bytes, bytes]:
        tls_key = profiles.read_request(tls_request, "tls_request")
        sign_key = profiles.read_request(sign_request, "sign_request")
        if profiles.key_sha256(tls_key) == profiles.key_sha256(sign_key):
            # Who holds the front server's key would sign documents.
            raise Refusal("field_invalid", "sign_request: TLS and signing need two different keys")
        with self._list() as database:
            return (
                self._certificate(database, organisation, "tls", tls_key, names, now),
                self._certificate(database, organisation, "sign", sign_key, [], now),
            )

    def _certificate(
        self,
        database: sqlite3.Connection,
        organisation: str,
        usage: str,
        key: profiles.PublicKey,
        names: list[str],
        now: int,
    ) -> bytes:
        key_sha256 = profiles.key_sha256(key)
        rows = database.execute(
            "select organisation, usage, names, certificate from issued where key_sha256 = ?", (key_sha256,)
        ).fetchall()
        for listed_organisation, listed_usage, listed_names, certificate in rows:
            if listed_usage != usage:
                raise Refusal("field_invalid", f"{usage}_request: this key has the other use already")
            if (listed_organisation, listed_names) == (organisation, " ".join(names)):
                return bytes(certificate)
        info = profiles.end(organisation, usage, key, names, _moment(now), self._issuing, self._key)
        self._record(database, info, names, now)
        return info.der

    @staticmethod
    def _record(database: sqlite3.Connection, info: CertificateInfo, names: list[str], now: int) -> None:
        database.execute(
            "insert into issued (organisation, usage, key_sha256, names, serial, certificate, issued_at)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (
                info.organisation,
                info.usage,
                info.public_key_sha256,
                " ".join(names),
                info.serial,
                info.der,
                now,
            ),
        )

    @contextmanager
    def _list(self) -> Iterator[sqlite3.Connection]:
        """The list in one transaction: on the disk when the block ends, undone when it raises."""
        path = self._home / "issued.sqlite"
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as database:
            path.chmod(0o600)
            # EXTRA: the folder is synchronised too when the rollback journal goes.
            database.execute("pragma synchronous = extra")
            database.execute("begin immediate")
            try:
                database.execute(_SCHEMA)
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
