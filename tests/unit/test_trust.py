"""Whom a certificate names, what it is for, and whether it leads to the anchor: every way to be refused."""

import dataclasses
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from axis.core.errors import Refusal
from axis.core.trust import DOCUMENT_SIGNING, Anchors, read_certificate

START = datetime(2026, 1, 1, tzinfo=UTC)
AT = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1000
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ROOT_KEY, ISSUING_KEY, KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def usage(*, sign: bool = True, certify: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, certify, certify, False, False)


@dataclasses.dataclass(frozen=True)
class Make:
    """A certificate to be; the defaults are a good signing certificate of G22."""

    subject: str = "G22"
    issuer: str = "issuing"
    key: Any = KEY
    issuer_key: Any = ISSUING_KEY
    start: datetime = START
    end: datetime = START + timedelta(days=365)
    authority: bool | None = False
    path_length: int | None = None
    key_usage: x509.KeyUsage | None = dataclasses.field(default_factory=usage)
    usages: tuple[x509.ObjectIdentifier, ...] | None = (DOCUMENT_SIGNING,)
    names: tuple[x509.GeneralName, ...] | None = (x509.UniformResourceIdentifier("urn:axis:org:G22"),)
    digest: hashes.HashAlgorithm | None = dataclasses.field(default_factory=hashes.SHA256)
    critical: bool = False  # with a critical extension that nobody knows

    def der(self) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.subject))
            .issuer_name(name(self.issuer))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if self.authority is not None:
            constraints = x509.BasicConstraints(self.authority, self.path_length)
            builder = builder.add_extension(constraints, critical=True)
        if self.key_usage:
            builder = builder.add_extension(self.key_usage, critical=True)
        if self.usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.usages), critical=False)
        if self.names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=False)
        if self.critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        return builder.sign(self.issuer_key, self.digest).public_bytes(serialization.Encoding.DER)


def uris(*texts: str) -> tuple[x509.GeneralName, ...]:
    return tuple(x509.UniformResourceIdentifier(text) for text in texts)


def authority(subject: str, issuer: str, key: Any, issuer_key: Any, **more: Any) -> bytes:
    certifying: dict[str, Any] = {
        "authority": True,
        "key_usage": usage(sign=False, certify=True),
        "usages": None,
        "names": None,
        "end": START + timedelta(days=3650),
    }
    return Make(subject, issuer, key, issuer_key, **(certifying | more)).der()


ROOT = authority("root", "root", ROOT_KEY, ROOT_KEY)
ISSUING = authority("issuing", "root", ISSUING_KEY, ROOT_KEY)
ANCHORS = Anchors([ROOT], [ISSUING])


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        action()
    return caught.value.name


def test_a_good_certificate() -> None:
    data = Make().der()
    info = ANCHORS.path(data, AT)
    certificate = x509.load_der_x509_certificate(data)
    assert (info.organisation, info.usage, info.der) == ("G22", "sign", data)
    assert info.serial == format(certificate.serial_number, "x")
    assert info.sha256 == certificate.fingerprint(hashes.SHA256())
    assert info == read_certificate(data)
    assert datetime.fromtimestamp(info.not_before / 1000, UTC) == START
    assert ANCHORS.path(data, AT) is info, "a path that holds is not built again"


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_other_allowed_keys(key: Any) -> None:
    assert ANCHORS.path(Make(key=key).der(), AT).organisation == "G22"


def test_the_first_anchor_names_the_axis() -> None:
    fingerprint = x509.load_der_x509_certificate(ROOT).fingerprint(hashes.SHA256()).hex()
    assert ANCHORS.axis_id == fingerprint
    assert ANCHORS.anchors == (ROOT,)
    assert ANCHORS.intermediates == (ISSUING,)
    assert ANCHORS.holds(ROOT)
    assert ANCHORS.holds(ISSUING)
    assert not ANCHORS.holds(Make().der())


def test_no_axis_without_an_anchor() -> None:
    with pytest.raises(ValueError, match="anchor"):
        Anchors([], [ISSUING])


@pytest.mark.parametrize(
    ("usages", "names", "organisation", "use"),
    [
        ((CLIENT,), uris("urn:axis:org:H55.242"), "H55.242", "tls"),
        ((DOCUMENT_SIGNING,), uris("urn:axis:node"), "axis", "sign"),
        ((SERVER,), (*uris("urn:axis:node"), x509.DNSName("axis")), "axis", "tls"),
        (
            (SERVER, CLIENT),
            (*uris("urn:axis:node"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
            "axis",
            "tls",
        ),
    ],
)
def test_who_it_is_and_what_for(usages: Any, names: Any, organisation: str, use: str) -> None:
    info = ANCHORS.path(Make(usages=usages, names=names).der(), AT)
    assert (info.organisation, info.usage) == (organisation, use)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (Make(names=None), "certificate_unknown"),
        (Make(names=(x509.DNSName("g22.example"),)), "certificate_unknown"),
        (Make(names=uris("urn:axis:org:G22", "urn:axis:org:G14")), "certificate_unknown"),
        (Make(names=uris("urn:axis:org:G22", "urn:axis:node")), "certificate_unknown"),
        (Make(names=uris("urn:axis:org:")), "certificate_unknown"),
        (Make(names=uris("urn:axis:org:axis")), "certificate_unknown"),
        (Make(names=uris("urn:axis:org:G22/x")), "certificate_unknown"),
        (Make(names=uris("https://g22.example")), "certificate_unknown"),
        (Make(names=uris("G22")), "certificate_unknown"),
        (Make(usages=None), "certificate_wrong_usage"),
        (Make(usages=(SERVER,)), "certificate_wrong_usage"),
        (Make(usages=(DOCUMENT_SIGNING, CLIENT)), "certificate_wrong_usage"),
        (Make(usages=(CLIENT, SERVER)), "certificate_wrong_usage"),
        (Make(usages=(ExtendedKeyUsageOID.EMAIL_PROTECTION,)), "certificate_wrong_usage"),
        (Make(usages=(CLIENT,), names=uris("urn:axis:node")), "certificate_wrong_usage"),
        (Make(key=ec.generate_private_key(ec.SECP521R1())), "algorithm_not_allowed"),
        (Make(key=ed25519.Ed25519PrivateKey.generate()), "algorithm_not_allowed"),
        (Make(key=rsa.generate_private_key(65537, 1024)), "algorithm_not_allowed"),
        (Make(digest=hashes.SHA224()), "algorithm_not_allowed"),
        (Make(issuer_key=ed25519.Ed25519PrivateKey.generate(), digest=None), "algorithm_not_allowed"),
    ],
)
def test_what_a_certificate_says_is_refused(make: Make, code: str) -> None:
    data = make.der()
    assert refused(lambda: read_certificate(data)) == code
    assert refused(lambda: ANCHORS.path(data, AT)) == code


@pytest.mark.parametrize(
    "make",
    [
        Make(issuer="root", issuer_key=KEY),  # a stranger's signature under our root's name
        Make(issuer_key=KEY),
        Make(issuer="G22", issuer_key=KEY),  # signed by itself
        Make(issuer="stranger", issuer_key=KEY),
        Make(authority=True, key_usage=usage(certify=True)),
        Make(authority=True),
        Make(key_usage=None),
        Make(key_usage=usage(sign=False)),
        Make(key_usage=usage(certify=True)),
        Make(critical=True),
        Make(start=START - timedelta(days=1)),  # begins before its authority
    ],
)
def test_no_path(make: Make) -> None:
    data = make.der()
    assert read_certificate(data).organisation == "G22"
    assert refused(lambda: ANCHORS.path(data, AT)) == "certificate_unknown"


def test_basic_constraints_may_be_left_out() -> None:
    assert ANCHORS.path(Make(authority=None).der(), AT).organisation == "G22"


@pytest.mark.parametrize(
    "more",
    [
        {"authority": False},
        {"authority": None},
        {"key_usage": None},
        {"key_usage": usage(sign=True, certify=False)},
        {"end": START - timedelta(days=1), "start": START - timedelta(days=2)},
    ],
)
def test_what_issued_it_is_no_authority(more: dict[str, Any]) -> None:
    anchors = Anchors([ROOT], [authority("issuing", "root", ISSUING_KEY, ROOT_KEY, **more)])
    assert refused(lambda: anchors.path(Make().der(), AT)) == "certificate_unknown"


def test_a_root_that_forbids_intermediates() -> None:
    anchors = Anchors([authority("root", "root", ROOT_KEY, ROOT_KEY, path_length=0)], [ISSUING])
    assert refused(lambda: anchors.path(Make().der(), AT)) == "certificate_unknown"


def test_an_organisation_is_no_authority_for_another() -> None:
    holder = Make("issuing-two", names=uris("urn:axis:org:G22")).der()
    anchors = Anchors([ROOT], [ISSUING, holder])
    data = Make("G14", "issuing-two", issuer_key=KEY, names=uris("urn:axis:org:G14")).der()
    assert refused(lambda: anchors.path(data, AT)) == "certificate_unknown"


def test_another_axis() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    other = Anchors([authority("root", "root", key, key)], [ISSUING])
    assert refused(lambda: other.path(Make().der(), AT)) == "certificate_unknown"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_its_life_includes_both_ends() -> None:
    make = Make()
    data = make.der()
    first, last = milliseconds(make.start), milliseconds(make.end) + 999
    assert ANCHORS.path(data, first).not_before == first
    assert ANCHORS.path(data, last).not_after == last
    assert refused(lambda: ANCHORS.path(data, first - 1)) == "certificate_not_yet_valid"
    assert refused(lambda: ANCHORS.path(data, last + 1)) == "certificate_expired"


def test_a_path_lives_no_longer_than_its_authority() -> None:
    end = START + timedelta(days=30)
    anchors = Anchors([ROOT], [authority("issuing", "root", ISSUING_KEY, ROOT_KEY, end=end)])
    data = Make().der()
    assert anchors.path(data, milliseconds(end)).organisation == "G22"
    assert refused(lambda: anchors.path(data, milliseconds(end) + 1000)) == "certificate_expired"


@pytest.mark.parametrize("data", [b"", b"\x30\x00", Make().der() + b"\x00", Make().der()[:-1]])
def test_not_a_certificate(data: bytes) -> None:
    assert refused(lambda: read_certificate(data)) == "certificate_unknown"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a003020102", "a003020100"),  # version 1
        ("a0030201020214", "a00302010202ff"),  # no length
    ],
)
def test_a_certificate_of_another_form(old: str, new: str) -> None:
    data = Make().der().replace(bytes.fromhex(old), bytes.fromhex(new), 1)
    assert refused(lambda: read_certificate(data)) == "certificate_unknown"


def test_an_unknown_kind_of_key() -> None:
    data = Make().der().replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209"))
    assert refused(lambda: read_certificate(data)) == "algorithm_not_allowed"


def test_a_doubled_extension() -> None:
    # The key usage becomes a second basicConstraints.
    data = Make().der().replace(bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13"))
    assert refused(lambda: read_certificate(data)) == "certificate_unknown"
