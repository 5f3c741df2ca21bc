"""The development authority: what it issues is trusted, listed, repeatable, and good for TLS and openssl."""

import os
import ssl
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from axis.core import cms
from axis.core.errors import Refusal
from axis.core.trust import Anchors
from certs.authority import Authority

AT = 1_795_000_000_000
KEYS: list[Any] = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]


def request(key: Any) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


REQUESTS = [request(key) for key in KEYS]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "home" / "pki", AT)


def refused(action: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        action()
    return caught.value.name, caught.value.detail


def test_an_organisations_two_certificates_are_trusted(authority: Authority) -> None:
    anchors = Anchors(authority.anchors, authority.intermediates)
    tls, sign = authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    infos = [anchors.path(certificate, AT) for certificate in (tls, sign)]
    assert [(info.organisation, info.usage) for info in infos] == [("G22", "tls"), ("G22", "sign")]
    assert [entry.certificate for entry in authority.listed()] == [tls, sign]
    assert [entry.serial for entry in authority.listed()] == [info.serial for info in infos]


@pytest.mark.parametrize(
    "other", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_keys_of_other_allowed_kinds(authority: Authority, other: Any) -> None:
    certificates = authority.issue_organisation("G22", REQUESTS[0], request(other), AT)
    anchors = Anchors(authority.anchors, authority.intermediates)
    assert [anchors.path(certificate, AT).usage for certificate in certificates] == ["tls", "sign"]


def test_the_axiss_own(authority: Authority) -> None:
    names = ["localhost", "127.0.0.1", "::1", "axis"]
    tls, sign = authority.issue_axis(REQUESTS[0], REQUESTS[1], names, AT)
    anchors = Anchors(authority.anchors, authority.intermediates)
    assert [anchors.path(c, AT).organisation for c in (tls, sign)] == ["axis", "axis"]
    alternatives = x509.load_der_x509_certificate(tls).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert set(alternatives.value.get_values_for_type(x509.DNSName)) == {"localhost", "axis"}
    assert {str(a) for a in alternatives.value.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    assert authority.issue_axis(REQUESTS[0], REQUESTS[1], [*reversed(names)], AT + 1) == (tls, sign)
    renamed = authority.issue_axis(REQUESTS[0], REQUESTS[1], ["localhost"], AT)
    assert renamed[0] != tls
    assert renamed[1] == sign


def test_the_same_keys_give_the_same_certificates(authority: Authority, tmp_path: Path) -> None:
    first = authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    again = Authority.open(tmp_path / "home" / "pki")
    assert again.anchors == authority.anchors
    assert again.intermediates == authority.intermediates
    # Another request for the same key: ECDSA makes other bytes.
    assert again.issue_organisation("G22", request(KEYS[0]), request(KEYS[1]), AT + 5000) == first
    other = again.issue_organisation("G14", REQUESTS[0], REQUESTS[1], AT)
    assert not set(other) & set(first)
    assert len(again.listed()) == 4
    mixed = again.issue_organisation("G22", REQUESTS[2], REQUESTS[1], AT)
    assert mixed[0] not in first
    assert mixed[1] == first[1]


def test_the_list_comes_in_pages(authority: Authority) -> None:
    authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    authority.issue_organisation("G14", REQUESTS[2], REQUESTS[3], AT)
    whole = authority.listed()
    assert [(entry.number, entry.organisation, entry.usage) for entry in whole] == [
        (1, "G22", "tls"),
        (2, "G22", "sign"),
        (3, "G14", "tls"),
        (4, "G14", "sign"),
    ]
    assert authority.listed(after=1, limit=2) == whole[1:3]


def test_revocation_is_listed_once(authority: Authority) -> None:
    pair = authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    serial = authority.listed()[1].serial
    authority.revoke(serial, "keyCompromise", AT + 1)
    authority.revoke(serial, "superseded", AT + 2)
    assert [(entry.revoked_at, entry.reason) for entry in authority.listed()] == [
        (None, ""),
        (AT + 1, "keyCompromise"),
    ]
    assert authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT) == pair
    assert refused(lambda: authority.revoke("abc", "superseded", AT))[0] == "certificate_unknown"
    assert refused(lambda: authority.revoke(serial, "boredom", AT))[0] == "field_invalid"


def broken(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("tls", "sign", "field"),
    [
        (b"", REQUESTS[1], "tls_request"),
        (REQUESTS[0], b"\x30\x00", "sign_request"),
        (REQUESTS[0], bytes(20_000), "sign_request"),
        (REQUESTS[0], broken(REQUESTS[1]), "sign_request"),
        (REQUESTS[0], request(KEYS[0]), "sign_request"),
        (request(rsa.generate_private_key(65537, 1024)), REQUESTS[1], "tls_request"),
        (request(ec.generate_private_key(ec.SECP521R1())), REQUESTS[1], "tls_request"),
    ],
)
def test_bad_requests(authority: Authority, tls: bytes, sign: bytes, field: str) -> None:
    name, detail = refused(lambda: authority.issue_organisation("G22", tls, sign, AT))
    assert name == "field_invalid"
    assert detail.startswith(field)
    assert authority.listed() == []


def test_a_key_never_changes_its_use(authority: Authority) -> None:
    authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    name, detail = refused(lambda: authority.issue_organisation("G14", REQUESTS[2], REQUESTS[0], AT))
    assert (name, detail.split(":")[0]) == ("field_invalid", "sign_request")
    assert len(authority.listed()) == 2, "neither certificate of a refused pair is issued"


@pytest.mark.parametrize("code", ["axis", "", "urn:axis:node", "G22/.."])
def test_no_certificate_for_what_is_no_unit(authority: Authority, code: str) -> None:
    assert (
        refused(lambda: authority.issue_organisation(code, REQUESTS[0], REQUESTS[1], AT))[0]
        == "field_invalid"
    )


def test_the_home_is_private_and_whole(authority: Authority, tmp_path: Path) -> None:
    home = tmp_path / "home" / "pki"
    authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.name for path in home.iterdir()} == {
        "root.key",
        "root.crt",
        "issuing.key",
        "issuing.crt",
        "issued.sqlite",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert os.listdir(home.parent) == ["pki"]
    with pytest.raises(OSError, match="not empty"):
        Authority.create(home, AT)
    assert os.listdir(home.parent) == ["pki"]
    Authority.open(home)


def test_damaged_homes_are_not_opened(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    Authority.create(other, AT)
    (tmp_path / "home" / "pki" / "issuing.key").write_bytes((other / "issuing.key").read_bytes())
    with pytest.raises(ValueError, match="belong together"):
        Authority.open(tmp_path / "home" / "pki")
    with pytest.raises(FileNotFoundError):
        Authority.open(tmp_path / "nowhere")


def test_openssl_verifies_what_an_organisation_signs(authority: Authority, tmp_path: Path) -> None:
    _, sign = authority.issue_organisation("G22", REQUESTS[0], REQUESTS[1], AT)
    for name, data in {
        "content": b"axis/v1/document\n",
        "p7s": cms.sign(b"axis/v1/document\n", KEYS[1], sign, authority.intermediates, AT),
        "anchors.pem": pem(authority.anchors[0]),
    }.items():
        (tmp_path / name).write_bytes(data)
    command = (
        "openssl cms -verify -binary -inform DER -in p7s -content content -CAfile anchors.pem"
        " -purpose any -no_check_time -out /dev/null"
    )
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def pem(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)


def test_mutual_tls_with_the_certificates(tmp_path: Path) -> None:
    now = time.time_ns() // 1_000_000  # the TLS library looks at the clock
    authority = Authority.create(tmp_path / "pki", now)
    axis_tls, _ = authority.issue_axis(REQUESTS[0], REQUESTS[1], ["localhost", "127.0.0.1"], now)
    org_tls, org_sign = authority.issue_organisation("G22", REQUESTS[2], REQUESTS[3], now)
    server = context(tmp_path, authority, axis_tls, KEYS[0], server=True)
    assert (
        handshake(server, context(tmp_path, authority, org_tls, KEYS[2], server=False), "127.0.0.1")
        == "TLSv1.3"
    )
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(server, context(tmp_path, authority, org_tls, KEYS[2], server=False), "127.0.0.2")
    # A signing certificate is no way in: the TLS stack itself refuses its extended key usage.
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(server, context(tmp_path, authority, org_sign, KEYS[3], server=False), "localhost")


def context(
    folder: Path, authority: Authority, certificate: bytes, key: Any, *, server: bool
) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    chain, private = folder / "chain.pem", folder / "private.pem"
    chain.write_bytes(pem(certificate) + pem(authority.intermediates[0]))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made.load_cert_chain(chain, private)
    made.load_verify_locations(cadata=authority.anchors[0])
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str | None:
    """Both sides in memory: no socket, no thread."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    open_sides = [near, far]
    for _ in range(10):
        for side in list(open_sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_sides.remove(side)
    assert not open_sides
    return near.version()
