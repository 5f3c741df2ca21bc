"""Signatures outside the profile: each has one thing wrong, and is refused for it."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from axis.core import cms
from axis.core import cms_asn1 as der
from tests.signers import AT, CERTIFICATES, KEYS, SIGNED, refused

KEY, CERTIFICATE = KEYS["p256"], CERTIFICATES["p256"]
SIGNATURE = cms.sign(SIGNED, KEY, CERTIFICATE, [], AT)


def parsed() -> der.ContentInfo:
    return asn1.decode_der(der.ContentInfo, SIGNATURE)


def signer_of(content: der.ContentInfo) -> der.SignerInfo:
    return content.content.signers.as_list()[0]


def with_attributes(change: Callable[[list[der.Attribute]], list[der.Attribute]]) -> bytes:
    """The signature with other signed attributes, and signed again: only their form is wrong."""
    content = parsed()
    signer = signer_of(content)
    signer.signed_attributes = asn1.SetOf(change(signer.signed_attributes.as_list()))
    signer.signature = KEY.sign(asn1.encode_der(signer.signed_attributes), ec.ECDSA(hashes.SHA256()))
    content.content.signers = asn1.SetOf([signer])
    return asn1.encode_der(content)


def replaced(name: x509.ObjectIdentifier, *values: object) -> bytes:
    return with_attributes(
        lambda attributes: [
            *(a for a in attributes if a.type != name),
            der.Attribute(type=name, values=asn1.SetOf([der.tlv(value) for value in values])),
        ]
    )


def test_signing_again_is_what_the_helper_does() -> None:
    cms.check(cms.read(with_attributes(lambda attributes: attributes)), SIGNED)


@pytest.mark.parametrize("position", range(4))
def test_missing_attribute(position: int) -> None:
    data = with_attributes(lambda attributes: attributes[:position] + attributes[position + 1 :])
    assert refused(lambda: cms.read(data)) == "signature_malformed"


@pytest.mark.parametrize("position", range(4))
def test_doubled_attribute(position: int) -> None:
    data = with_attributes(lambda attributes: [*attributes, attributes[position]])
    assert refused(lambda: cms.read(data)) == "signature_malformed"


@pytest.mark.parametrize("position", range(4))
def test_one_attribute_in_anothers_place(position: int) -> None:
    data = with_attributes(
        lambda attributes: [*attributes[:position], *attributes[position + 1 :], attributes[position - 1]]
    )
    assert refused(lambda: cms.read(data)) == "signature_malformed"


def test_extra_attribute() -> None:
    extra = der.Attribute(type=x509.ObjectIdentifier("1.2.3"), values=asn1.SetOf([der.tlv(1)]))
    data = with_attributes(lambda attributes: [*attributes, extra])
    assert refused(lambda: cms.read(data)) == "signature_malformed"


def test_attribute_with_two_values_or_none() -> None:
    digest = hashlib.sha256(SIGNED).digest()
    assert refused(lambda: cms.read(replaced(der.MESSAGE_DIGEST, digest, bytes(32)))) == "signature_malformed"
    assert refused(lambda: cms.read(replaced(der.MESSAGE_DIGEST))) == "signature_malformed"


def utc(year: int, microsecond: int = 0) -> datetime:
    return datetime(year, 1, 1, 0, 0, 0, microsecond, tzinfo=UTC)


def identity(
    algorithm: der.Algorithm | None = None, digest: bytes = b"", issuer: der.IssuerSerial | None = None
) -> der.SigningCertificateV2:
    entry = der.EssCertificateId(
        hash_algorithm=algorithm, hash=digest or hashlib.sha256(CERTIFICATE).digest(), issuer_serial=issuer
    )
    return der.SigningCertificateV2(certificates=[entry])


def oid(dotted: str) -> der.Algorithm:
    return der.Algorithm(algorithm=x509.ObjectIdentifier(dotted), parameters=None)


def issuer_serial(names: int, name: str = "signer", serial: int | None = None) -> der.IssuerSerial:
    encoded = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]).public_bytes()
    number = serial or x509.load_der_x509_certificate(CERTIFICATE).serial_number
    return der.IssuerSerial(issuer=[asn1.decode_der(asn1.TLV, encoded)] * names, serial=number)


def malformed_values() -> Iterator[tuple[str, x509.ObjectIdentifier, object]]:
    yield "contentType is another", der.CONTENT_TYPE, der.SIGNED_DATA
    yield "contentType is a number", der.CONTENT_TYPE, 1
    yield "messageDigest is a number", der.MESSAGE_DIGEST, 1
    yield "signingTime is a number", der.SIGNING_TIME, 1
    yield "signingTime before 2050 as GeneralizedTime", der.SIGNING_TIME, asn1.GeneralizedTime(utc(2049))
    yield "signingTime with fractions", der.SIGNING_TIME, asn1.GeneralizedTime(utc(2050, 1))
    yield "signingCertificateV2 is a number", der.SIGNING_CERTIFICATE_V2, 1
    yield "no certificate", der.SIGNING_CERTIFICATE_V2, der.SigningCertificateV2(certificates=[])
    two = [*identity().certificates, *identity().certificates]
    yield "two certificates", der.SIGNING_CERTIFICATE_V2, der.SigningCertificateV2(certificates=two)
    yield "the default spelt out", der.SIGNING_CERTIFICATE_V2, identity(oid("2.16.840.1.101.3.4.2.1"))
    yield "no issuer", der.SIGNING_CERTIFICATE_V2, identity(issuer=issuer_serial(0))
    yield "two issuers", der.SIGNING_CERTIFICATE_V2, identity(issuer=issuer_serial(2))


@pytest.mark.parametrize(("name", "value"), [case[1:] for case in malformed_values()])
def test_attribute_of_the_wrong_form(name: x509.ObjectIdentifier, value: object) -> None:
    assert refused(lambda: cms.read(replaced(name, value))) == "signature_malformed"


def test_signing_certificate_under_a_weak_hash() -> None:
    sha1 = identity(oid("1.3.14.3.2.26"), hashlib.sha1(CERTIFICATE).digest())
    data = replaced(der.SIGNING_CERTIFICATE_V2, sha1)
    assert refused(lambda: cms.read(data)) == "algorithm_not_allowed"


def test_signing_certificate_under_another_hash_and_with_issuer_serial() -> None:
    sha512 = identity(oid("2.16.840.1.101.3.4.2.3"), hashlib.sha512(CERTIFICATE).digest(), issuer_serial(1))
    cms.check(cms.read(replaced(der.SIGNING_CERTIFICATE_V2, sha512)), SIGNED)


def test_the_default_hash_with_null_parameters_is_not_the_default() -> None:
    algorithm = oid("2.16.840.1.101.3.4.2.1")
    algorithm.parameters = asn1.Null()
    cms.check(cms.read(replaced(der.SIGNING_CERTIFICATE_V2, identity(algorithm))), SIGNED)


@pytest.mark.parametrize(
    "value",
    [
        identity(digest=bytes(32)),
        identity(issuer=issuer_serial(1, name="another")),
        identity(issuer=issuer_serial(1, serial=1)),
    ],
)
def test_signing_certificate_names_another(value: der.SigningCertificateV2) -> None:
    signature = cms.read(replaced(der.SIGNING_CERTIFICATE_V2, value))
    assert refused(lambda: cms.check(signature, SIGNED)) == "signature_invalid"


def changed(change: Callable[[der.ContentInfo, der.SignerInfo], None]) -> bytes:
    content = parsed()
    signer = signer_of(content)
    content.content.signers = asn1.SetOf([signer])
    change(content, signer)
    return asn1.encode_der(content)


def set_on(path: str, value: object) -> Callable[[der.ContentInfo, der.SignerInfo], None]:
    def change(content: der.ContentInfo, signer: der.SignerInfo) -> None:
        target: Any = {"content": content, "data": content.content, "signer": signer}[path.split(".")[0]]
        *steps, last = path.split(".")[1:]
        for step in steps:
            target = getattr(target, step)
        setattr(target, last, value)

    return change


def algorithm_tlv(dotted: str, *, null: bool = False) -> asn1.TLV:
    algorithm = oid(dotted)
    algorithm.parameters = asn1.Null() if null else None
    return der.tlv(algorithm)


SHA256, SHA384 = der.DIGEST_TLV["sha256"], der.DIGEST_TLV["sha384"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (set_on("content.content_type", der.DATA), "signature_malformed"),
        (set_on("data.content.content_type", der.SIGNED_DATA), "signature_malformed"),
        (set_on("data.version", 3), "signature_malformed"),
        (set_on("data.digest_algorithms", asn1.SetOf([])), "signature_malformed"),
        (set_on("data.digest_algorithms", asn1.SetOf([SHA256, SHA384])), "signature_malformed"),
        (set_on("data.digest_algorithms", asn1.SetOf([SHA384])), "signature_malformed"),
        (set_on("data.signers", asn1.SetOf([])), "signature_malformed"),
        (lambda c, s: set_on("data.signers", asn1.SetOf([s, s]))(c, s), "signature_malformed"),
        (set_on("data.certificates", asn1.SetOf([])), "signature_malformed"),
        (set_on("data.certificates", asn1.SetOf([der.tlv(1)])), "signature_malformed"),
        (set_on("signer.version", 3), "signature_malformed"),
        (set_on("signer.signer.serial", 1), "signature_malformed"),
        (set_on("signer.signature_algorithm", der.tlv(1)), "algorithm_not_allowed"),
        (set_on("signer.signature_algorithm", der.ECDSA_TLV["sha384"]), "algorithm_not_allowed"),
        (set_on("signer.signature_algorithm", der.RSA_TLV), "algorithm_not_allowed"),
        (set_on("signer.signature_algorithm", algorithm_tlv("1.2.840.10045.4.1")), "algorithm_not_allowed"),
        (
            set_on("signer.signature_algorithm", algorithm_tlv("1.2.840.10045.4.3.2", null=True)),
            "algorithm_not_allowed",
        ),
    ],
)
def test_structure_outside_the_profile(
    change: Callable[[der.ContentInfo, der.SignerInfo], None], code: str
) -> None:
    data = changed(change)
    assert refused(lambda: cms.read(data)) == code


def test_sha256_with_rsa_encryption_is_written_one_way_only() -> None:
    content = asn1.decode_der(der.ContentInfo, cms.sign(SIGNED, KEYS["rsa"], CERTIFICATES["rsa"], [], AT))
    signer = signer_of(content)
    signer.signature_algorithm = algorithm_tlv("1.2.840.113549.1.1.11", null=True)
    content.content.signers = asn1.SetOf([signer])
    data = asn1.encode_der(content)
    assert refused(lambda: cms.read(data)) == "algorithm_not_allowed"


def test_null_parameters_of_the_digest_are_read() -> None:
    null = algorithm_tlv("2.16.840.1.101.3.4.2.1", null=True)

    def change(content: der.ContentInfo, signer: der.SignerInfo) -> None:
        content.content.digest_algorithms = asn1.SetOf([null])
        signer.digest_algorithm = null

    cms.check(cms.read(changed(change)), SIGNED)


@asn1.sequence
class WideSignerInfo:
    version: int
    signer: der.IssuerAndSerial
    digest_algorithm: asn1.TLV
    signed_attributes: Annotated[asn1.SetOf[der.Attribute], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes
    unsigned_attributes: Annotated[asn1.SetOf[der.Attribute] | None, asn1.Implicit(1)]


@asn1.sequence
class WideEncapsulated:
    content_type: x509.ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class WideSignedData:
    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    content: WideEncapsulated
    certificates: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    crls: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[WideSignerInfo]


@asn1.sequence
class WideContentInfo:
    content_type: x509.ObjectIdentifier
    content: Annotated[WideSignedData, asn1.Explicit(0)]


@pytest.mark.parametrize("part", ["unsigned attributes", "content", "crls"])
def test_what_the_profile_has_no_place_for(part: str) -> None:
    content = asn1.decode_der(WideContentInfo, SIGNATURE)
    signer = content.content.signers.as_list()[0]
    if part == "unsigned attributes":
        signer.unsigned_attributes = asn1.SetOf(
            [der.Attribute(type=x509.ObjectIdentifier("1.2.3"), values=asn1.SetOf([der.tlv(1)]))]
        )
    elif part == "content":
        content.content.content.content = SIGNED
    else:
        content.content.crls = asn1.SetOf([der.tlv(1)])
    content.content.signers = asn1.SetOf([signer])
    data = asn1.encode_der(content)
    assert len(data) > len(SIGNATURE)
    assert refused(lambda: cms.read(data)) == "signature_malformed"


def test_signed_attributes_out_of_order() -> None:
    attributes = [asn1.encode_der(a) for a in signer_of(parsed()).signed_attributes.as_list()]
    assert attributes == sorted(attributes)
    data = SIGNATURE.replace(b"".join(attributes), b"".join(reversed(attributes)))
    assert data != SIGNATURE
    assert refused(lambda: cms.read(data)) == "signature_malformed"
