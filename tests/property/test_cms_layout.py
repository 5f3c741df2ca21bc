"""Reading by what is known of a signer gives what reading in full gives, for good and for altered bytes."""

from __future__ import annotations

import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core import cms, cms_layout
from axis.core import cms_asn1 as der
from axis.core.cms_layout import Layouts, Signature
from axis.core.errors import Refusal
from tests.signers import AT, CERTIFICATES, KEYS, certify

NAMES = sorted(KEYS)


def signed_by(name: str, content: bytes, at: int = AT) -> bytes:
    return cms.sign(content, KEYS[name], CERTIFICATES[name], [CERTIFICATES["p384"]], at)


ONES = {name: signed_by(name, b"one") for name in NAMES}
OTHERS = {name: signed_by(name, b"other", AT + 5000) for name in NAMES}


def outcome(read: object, raw: bytes) -> object:
    assert callable(read)
    try:
        return read(raw)
    except Refusal as refusal:
        return refusal.name, refusal.detail


def same_as_in_full(raw: bytes) -> object:
    found = outcome(cms.read, raw)
    assert found == outcome(cms._read, raw)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_bit_is_read_as_in_full(name: str) -> None:
    raw = signed_by(name, b"one")
    assert isinstance(same_as_in_full(raw), Signature)
    for position in range(len(raw)):
        for bit in range(8):
            altered = bytearray(raw)
            altered[position] ^= 1 << bit
            same_as_in_full(bytes(altered))


@settings(deadline=None)
@given(
    st.sampled_from(NAMES),
    st.binary(max_size=100),
    st.integers(-631152000000, 253402300799999),  # 1950 to 9999: UTCTime and GeneralizedTime
)
def test_every_signature_of_a_known_signer_is_read_as_in_full(name: str, content: bytes, at: int) -> None:
    raw = signed_by(name, content, at)
    signature = same_as_in_full(raw)
    assert isinstance(signature, Signature)
    cms.check(signature, content)


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.data())
def test_pieces_of_others_are_read_as_in_full(one: str, other: str, data: st.DataObject) -> None:
    raw, donor = ONES[one], OTHERS[other]
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    from_ = data.draw(st.integers(0, len(donor)))
    to = data.draw(st.integers(from_, min(len(donor), from_ + end - start + 2)))
    same_as_in_full(raw[:start] + donor[from_:to] + raw[end:])


@settings(deadline=None)
@given(st.binary(min_size=13, max_size=13))
def test_a_time_that_is_none_is_refused_as_in_full(time: bytes) -> None:
    raw = signed_by("p256", b"one")
    place = raw.index(b"\x17\x0d") + 2
    same_as_in_full(raw[:place] + time + raw[place + 13 :])


def pieces(name: str, content: bytes = b"x") -> tuple[bytes, Signature, bytes, bytes]:
    raw = signed_by(name, content)
    signature = cms._read(raw)
    signer = asn1.decode_der(der.ContentInfo, raw).content.signers.as_list()[0]
    attributes = signer.signed_attributes.as_list()
    values = {one.type: asn1.encode_der(one.values.as_list()[0]) for one in attributes}
    return raw, signature, values[der.MESSAGE_DIGEST], values[der.SIGNING_TIME]


def test_what_is_not_found_beyond_doubt_is_not_kept() -> None:
    raw, signature, digest, time = pieces("p256")
    layouts = Layouts(lambda _: 0)
    layouts.keep(raw, signature, digest[:1], time)  # there more than once
    layouts.keep(raw[:-1] + b"\0" + raw[-1:], signature, digest, time)  # not where it should be
    assert layouts.find(raw) is None
    layouts.keep(raw, signature, digest, time)
    assert layouts.find(raw) is not None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cms_layout, "_MOST_KNOWN", 2)
    monkeypatch.setattr(cms_layout, "_MOST_SHAPES", 1)
    layouts = Layouts(lambda _: 0)
    p256, rsa = pieces("p256"), pieces("rsa")
    layouts.keep(*p256)
    layouts.keep(*rsa)  # another shape: read in full for ever
    assert layouts.find(p256[0]) is not None
    assert layouts.find(rsa[0]) is None
    length = len(p256[1].value)
    for _ in range(4):  # other signers of the same shape
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = certify(key)
        raw = cms.sign(b"x", key, certificate, (), AT)
        while len(cms._read(raw).value) != length:
            raw = cms.sign(b"x", key, certificate, (), AT)
        layouts.keep(raw, cms._read(raw), p256[2], p256[3])
        assert layouts.find(raw) is not None
        assert len(layouts._known) <= 2
