"""Certificates within a cluster: NATS servers and axis nodes know each other by them; nobody else gets in.

An authority of its own, apart from the axis's: a certificate of an agency must never open the cluster. Its
key stays in the folder it was made in, for servers that are added later.

Not handled here: revocation. A server or node whose key got out means a new authority for the cluster.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis.durable import write_whole

__all__ = ["AXIS_NODE", "make_cluster_keys"]

#: The name in every axis node's certificate; deploy/nats/nats.conf maps it to the account.
AXIS_NODE: Final = "axis-node"

_AUTHORITY_LIFE: Final = timedelta(days=20 * 365)
_LIFE: Final = timedelta(days=5 * 365)
_BACKDATE: Final = timedelta(hours=1)  # clocks in a new installation differ


def make_cluster_keys(folder: Path, servers: Mapping[str, Sequence[str]], now: int) -> None:
    """Make `folder/ca.pem` and, in a folder each, keys for every server and for the axis nodes (`axis-node`).

    `servers`: each server's name and its host names and addresses beside it. `now` in milliseconds. What is
    there already is kept, so a server can be added later. Each folder holds tls.crt, tls.key and ca.pem.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = datetime.fromtimestamp(now / 1000, UTC) - _BACKDATE
    authority, key = _authority(folder, began)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    for name, hosts in servers.items():
        _member(folder / name, name, [name, *hosts], usages, began, authority, key)
    _member(
        folder / AXIS_NODE, AXIS_NODE, [AXIS_NODE], [ExtendedKeyUsageOID.CLIENT_AUTH], began, authority, key
    )


def _authority(folder: Path, began: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Document axis cluster")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began)
            .not_valid_after(began + _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_key(folder / "ca.key", key)
        write_whole(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{folder / 'ca.key'} is no EC key") from None
    return certificate, key


def _member(
    folder: Path,
    name: str,
    hosts: Sequence[str],
    usages: Sequence[x509.ObjectIdentifier],
    began: datetime,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> None:
    if (folder / "tls.crt").exists():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(min(began + _LIFE, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_host(host) for host in dict.fromkeys(hosts)]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write_key(folder / "tls.key", key)
    write_whole(folder / "ca.pem", authority.public_bytes(serialization.Encoding.PEM))
    # Last: a folder with a certificate is whole.
    write_whole(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(path, pem, 0o600)
