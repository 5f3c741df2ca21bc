"""Signed bytes say what they are."""

import hashlib

import pytest
from axispb.v1 import document_pb2, envelope_pb2, evidence_pb2

from axis.core.envelope import MAX_SIGNED_BYTES, Envelope, Kind, parse, signed_bytes
from axis.core.errors import Refusal

RECEIPT = evidence_pb2.Receipt(axis_id="a" * 64, document_id="d", attempt=1)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_kind_is_the_first_line(kind: Kind) -> None:
    assert Envelope(kind.line + b"\x00", b"").kind() is kind


def test_what_was_signed_is_read_back() -> None:
    signed = signed_bytes(Kind.RECEIPT, RECEIPT)
    assert signed.startswith(b"axis/v1/receipt\n")
    assert parse(signed, Kind.RECEIPT) == RECEIPT


def test_a_receipt_never_passes_as_a_document() -> None:
    with pytest.raises(Refusal) as caught:
        parse(signed_bytes(Kind.RECEIPT, RECEIPT), Kind.DOCUMENT)
    assert caught.value.name == "kind_mismatch"


@pytest.mark.parametrize(
    "signed", [b"", b"axis/v1/receipt", b"axis/v2/receipt\n", b"axis/v1/receipts\n", b"{}\n", b"\n"]
)
def test_a_line_that_names_no_kind_is_malformed(signed: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse(signed, Kind.RECEIPT)
    assert caught.value.name == "header_malformed"


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe"])
def test_a_body_that_is_no_protobuf_is_malformed(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse(Kind.RECEIPT.line + body, Kind.RECEIPT)
    assert caught.value.name == "header_malformed"


def test_size_is_judged_before_content() -> None:
    with pytest.raises(Refusal) as caught:
        parse(b"?" * (MAX_SIGNED_BYTES + 1), Kind.RECEIPT)
    assert caught.value.name == "header_too_large"


def test_only_the_message_of_a_kind_can_be_signed_as_it() -> None:
    with pytest.raises(TypeError):
        signed_bytes(Kind.DOCUMENT, RECEIPT)


def test_hashes_are_of_the_exact_bytes() -> None:
    envelope = Envelope(signed_bytes(Kind.STATUS, document_pb2.Status(code="03")), b"signature")
    assert envelope.signed_sha256 == hashlib.sha256(envelope.signed).digest()
    assert envelope.signature_sha256 == hashlib.sha256(b"signature").digest()


def test_an_envelope_survives_its_message() -> None:
    envelope = Envelope(b"signed", b"signature")
    message = envelope_pb2.Envelope.FromString(envelope.to_message().SerializeToString())
    assert Envelope.from_message(message) == envelope
