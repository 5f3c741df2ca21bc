"""CMS signatures: what is signed is read and checked, and whose keys may sign."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from axis.core import cms
from axis.core import cms_asn1 as der
from tests.signers import AT, CERTIFICATES, KEYS, SIGNED, certify, refused

KEY, CERTIFICATE = KEYS["p256"], CERTIFICATES["p256"]
SIGNATURE = cms.sign(SIGNED, KEY, CERTIFICATE, [], AT)


@pytest.mark.parametrize("name", list(KEYS))
def test_what_was_signed_is_read_and_checked(name: str) -> None:
    other = certify(ec.generate_private_key(ec.SECP256R1()), "intermediate")
    signature = cms.read(cms.sign(SIGNED, KEYS[name], CERTIFICATES[name], [other], AT))
    cms.check(signature, SIGNED)
    assert signature.certificate_der == CERTIFICATES[name]
    assert set(signature.certificates) == {CERTIFICATES[name], other}
    assert signature.digest_algorithm == ("sha384" if name == "p384" else "sha256")
    assert signature.signing_time == AT // 1000 * 1000
    assert signature.message_digest == hashlib.new(signature.digest_algorithm, SIGNED).digest()
    assert refused(lambda: cms.check(signature, SIGNED + b"x")) == "signature_invalid"


def utc(year: int, microsecond: int = 0) -> datetime:
    return datetime(year, 1, 1, 0, 0, 0, microsecond, tzinfo=UTC)


def test_another_certificate_for_the_same_key_in_the_signers_place() -> None:
    serial = x509.load_der_x509_certificate(CERTIFICATE).serial_number
    twin = certify(KEY, serial=serial)  # same issuer, serial and key; ECDSA makes other bytes
    content = asn1.decode_der(der.ContentInfo, SIGNATURE)
    content.content.certificates = asn1.SetOf([asn1.decode_der(asn1.TLV, twin)])
    signature = cms.read(asn1.encode_der(content))
    assert signature.certificate_der == twin
    assert refused(lambda: cms.check(signature, SIGNED)) == "signature_invalid"


def test_a_value_of_another_key() -> None:
    signature = cms.read(
        cms.sign(SIGNED, KEYS["p256"], certify(ec.generate_private_key(ec.SECP256R1())), [], AT)
    )
    assert refused(lambda: cms.check(signature, SIGNED)) == "signature_invalid"


def test_an_rsa_value_of_another_key() -> None:
    other = rsa.generate_private_key(65537, 2048)
    signature = cms.read(cms.sign(SIGNED, other, CERTIFICATES["rsa"], [], AT))
    assert refused(lambda: cms.check(signature, SIGNED)) == "signature_invalid"


@pytest.mark.parametrize("year", [1950, 2026, 2049, 2050, 2105])
def test_signing_time_in_both_forms(year: int) -> None:
    at = int(utc(year).timestamp()) * 1000
    signature = cms.read(cms.sign(SIGNED, KEY, CERTIFICATE, [], at))
    assert signature.signing_time == at
    assert (asn1.encode_der(asn1.UTCTime(utc(year))) in signature.signed_attributes) if year < 2050 else True


def test_a_certificate_without_extensions_is_not_taken() -> None:
    with pytest.raises(ValueError, match="asn1"):
        cms.sign(SIGNED, KEY, certify(KEY, extensions=False), [], AT)


def test_two_certificates_of_one_name_and_serial() -> None:
    twin = certify(KEY, serial=x509.load_der_x509_certificate(CERTIFICATE).serial_number)
    data = cms.sign(SIGNED, KEY, CERTIFICATE, [twin], AT)
    assert refused(lambda: cms.read(data)) == "signature_malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIGNATURE + b"\x00",
        SIGNATURE[:-1],
        b"\x30\x80" + SIGNATURE[4:] + b"\x00\x00",  # indefinite length: BER
        b"\x30\x83\x00" + SIGNATURE[2:],  # a length with a leading zero: BER
    ],
)
def test_not_strict_der(data: bytes) -> None:
    assert SIGNATURE[:2] == b"\x30\x82"
    assert refused(lambda: cms.read(data)) == "signature_malformed"


def test_padding_of_signatures_is_pkcs1() -> None:
    content = asn1.decode_der(der.ContentInfo, cms.sign(SIGNED, KEYS["rsa"], CERTIFICATES["rsa"], [], AT))
    signer = content.content.signers.as_list()[0]
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    signer.signature = KEYS["rsa"].sign(asn1.encode_der(signer.signed_attributes), pss, hashes.SHA256())
    content.content.signers = asn1.SetOf([signer])
    signature = cms.read(asn1.encode_der(content))
    assert refused(lambda: cms.check(signature, SIGNED)) == "signature_invalid"


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256K1()), ec.generate_private_key(ec.SECP521R1())]
)
def test_no_signing_with_other_keys(key: Any) -> None:
    with pytest.raises(ValueError, match="P-256"):
        cms.sign(SIGNED, key, certify(key), [], AT)


def test_small_rsa_and_other_kinds_are_not_allowed() -> None:
    assert not cms.allowed_key(rsa.generate_private_key(65537, 1024).public_key())
    assert not cms.allowed_key(ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("curve", [ec.SECP521R1(), None])
def test_a_signers_certificate_with_another_key_is_not_allowed(curve: ec.EllipticCurve | None) -> None:
    key: Any = ec.generate_private_key(curve) if curve else ed25519.Ed25519PrivateKey.generate()
    certificate = certify(key)
    signature = cms.sign(SIGNED, KEY, certificate, [], AT)
    assert refused(lambda: cms.read(signature)) == "algorithm_not_allowed"


def test_a_signers_certificate_with_an_unknown_kind_of_key_is_not_allowed() -> None:
    # id-ecPublicKey becomes an object identifier that nobody knows.
    certificate = CERTIFICATE.replace(
        bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209")
    )
    signature = cms.sign(SIGNED, KEY, certificate, [], AT)
    assert refused(lambda: cms.read(signature)) == "algorithm_not_allowed"


def test_check_alone_refuses_a_key_outside_the_list() -> None:
    signature = cms.read(SIGNATURE)
    certificate = certify(ed25519.Ed25519PrivateKey.generate())
    forged = cms.Signature(
        certificate_der=certificate,
        certificates=(certificate,),
        digest_algorithm="sha256",
        signing_time=AT,
        message_digest=signature.message_digest,
        certificate_digest_algorithm="sha256",
        certificate_digest=hashlib.sha256(certificate).digest(),
        issuer_serial=None,
        signed_attributes=signature.signed_attributes,
        value=signature.value,
    )
    assert refused(lambda: cms.check(forged, SIGNED)) == "algorithm_not_allowed"
