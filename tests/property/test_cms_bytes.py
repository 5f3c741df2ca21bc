"""Whatever byte of a signature or of the signed bytes is altered, it never verifies: a Refusal comes."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core import cms
from axis.core.errors import Refusal

SIGNED = b"axis/v1/receipt\n" + bytes(range(64))
AT = 1_795_000_000_000
NEVER = {"signature_malformed", "signature_invalid", "algorithm_not_allowed"}


def certify(key: cms.PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), key.key_size, start, start + timedelta(days=365)
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


KEYS: list[cms.PrivateKey] = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(65537, 2048),
]
CERTIFICATES = [certify(key) for key in KEYS]
SIGNATURES = [
    cms.sign(SIGNED, key, certificate, [], AT) for key, certificate in zip(KEYS, CERTIFICATES, strict=True)
]


def never(signature: bytes, signed: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        cms.check(cms.read(signature), signed)
    assert caught.value.name in NEVER


@pytest.mark.parametrize("number", range(len(KEYS)), ids=["p256", "p384", "rsa"])
def test_no_single_flipped_bit_verifies(number: int) -> None:
    signature = SIGNATURES[number]
    cms.check(cms.read(signature), SIGNED)
    for position in range(len(signature)):
        for bit in range(8):
            altered = bytearray(signature)
            altered[position] ^= 1 << bit
            never(bytes(altered), SIGNED)


@settings(deadline=None)
@given(st.sampled_from(SIGNATURES), st.data())
def test_no_altered_piece_verifies(signature: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(signature)))
    end = data.draw(st.integers(start, min(len(signature), start + 40)))
    altered = signature[:start] + data.draw(st.binary(max_size=40)) + signature[end:]
    if altered != signature:
        never(altered, SIGNED)


@settings(deadline=None)
@given(st.sampled_from(SIGNATURES), st.binary(max_size=200))
def test_no_other_bytes_verify(signature: bytes, signed: bytes) -> None:
    if signed != SIGNED:
        never(signature, signed)


@settings(deadline=None)
@given(st.sampled_from(SIGNATURES), st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_flipped_byte_of_the_signed_bytes_verifies(signature: bytes, position: int, flip: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= flip
    never(signature, bytes(altered))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        cms.read(data)
    assert caught.value.name == "signature_malformed"


@settings(deadline=None)
@given(
    st.sampled_from(range(len(KEYS))),
    st.binary(max_size=2000),
    st.integers(-631152000000, 253402300799999),  # 1950 to 9999
)
def test_what_is_signed_verifies(number: int, signed: bytes, at: int) -> None:
    signature = cms.read(cms.sign(signed, KEYS[number], CERTIFICATES[number], [CERTIFICATES[0]], at))
    cms.check(signature, signed)
    assert signature.signing_time == at // 1000 * 1000
