"""Verification: every numbered check, that each stops what it is for, and that their order is kept."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import document_pb2, evidence_pb2, facts_pb2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message

from axis.core import cms, verify
from axis.core.envelope import MAX_SIGNATURE_BYTES, MAX_SIGNED_BYTES, Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.core.trust import Anchors, read_certificate
from axis.core.verify import Context, Place
from certs.authority import Authority

AT = 1_795_000_000_000
PLACE = Place(10, AT)
ID = "019aabcd-0000-7000-8000-000000000001"


@dataclasses.dataclass
class Book:
    """What the journal says of certificates."""

    facts: dict[bytes, facts_pb2.CertificateFact]

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        return self.facts.get(sha256)


@dataclasses.dataclass
class World:
    """An axis and two organisations, all their certificates journalled at sequence 2."""

    context: Context
    book: Book
    keys: dict[tuple[str, str], ec.EllipticCurvePrivateKey]
    certificates: dict[tuple[str, str], bytes]
    authority: Authority

    def sign(self, signed: bytes, who: str, usage: str = "sign", extra: tuple[bytes, ...] = ()) -> Envelope:
        key, certificate = self.keys[who, usage], self.certificates[who, usage]
        others = extra or self.authority.intermediates
        return Envelope(signed, cms.sign(signed, key, certificate, others, AT))

    def fact(self, who: str, usage: str = "sign") -> facts_pb2.CertificateFact:
        return self.book.facts[read_certificate(self.certificates[who, usage]).sha256]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> World:
    authority = Authority.create(tmp_path_factory.mktemp("axis") / "pki", AT)
    keys: dict[tuple[str, str], ec.EllipticCurvePrivateKey] = {}
    certificates: dict[tuple[str, str], bytes] = {}
    for who in ("axis", "G22", "G14"):
        tls, sign = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        keys[who, "tls"], keys[who, "sign"] = tls, sign
        if who == "axis":
            pair = authority.issue_axis(request(tls), request(sign), ["localhost"], AT)
        else:
            pair = authority.issue_organisation(who, request(tls), request(sign), AT)
        certificates[who, "tls"], certificates[who, "sign"] = pair
    anchors = Anchors(authority.anchors, authority.intermediates)
    return World(Context(anchors.axis_id, anchors, Book({})), Book({}), keys, certificates, authority)


@pytest.fixture
def world(founded: World) -> World:
    """The world as it was founded: each test may change its own."""
    book = Book({})
    for (who, usage), certificate in founded.certificates.items():
        book.facts[read_certificate(certificate).sha256] = facts_pb2.CertificateFact(
            organisation=who, usage=usage, certificate=certificate, issued_sequence=2
        )
    context = dataclasses.replace(founded.context, certificates=book)
    return World(context, book, dict(founded.keys), dict(founded.certificates), founded.authority)


def request(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def document(world: World, **more: Any) -> document_pb2.Document:
    fields: dict[str, Any] = {
        "axis_id": world.context.axis_id,
        "document_id": ID,
        "sender_unit": "G22",
        "acting_organisation": "G22",
        "recipients": ["G14"],
        "created_at": AT,
        "fields": document_pb2.Fields(subject="Decision 274"),
    }
    return document_pb2.Document(**(fields | more))


def messages(world: World) -> dict[Kind, Message]:
    axis_id, digest = world.context.axis_id, bytes(32)
    return {
        Kind.DOCUMENT: document(world),
        Kind.STATUS: document_pb2.Status(
            axis_id=axis_id,
            document_id=ID,
            sender_unit="G22",
            acting_organisation="G22",
            recipients=["G14"],
            created_at=AT,
            about_document_id=ID.replace("1", "2"),
            code="03",
        ),
        Kind.RECEIPT: evidence_pb2.Receipt(
            axis_id=axis_id,
            document_id=ID,
            signed_sha256=digest,
            signature_sha256=digest,
            acceptance_sha256=digest,
            recipient_unit="G22",
            acting_organisation="G22",
            attempt=1,
            outcome=evidence_pb2.OUTCOME_RECEIVED,
            stored_at=AT,
        ),
        Kind.ACCEPTANCE: evidence_pb2.Acceptance(
            axis_id=axis_id,
            document_id=ID,
            kind="document",
            signed_sha256=digest,
            signature_sha256=digest,
            deliveries=[evidence_pb2.Destination(unit="G14", host="G14")],
            accepted_at=AT,
        ),
        Kind.NOTICE: evidence_pb2.Notice(
            axis_id=axis_id,
            document_id=ID,
            acceptance_sha256=digest,
            recipient_unit="G14",
            attempt=1,
            kind=evidence_pb2.NOTICE_KIND_DEAD,
            issued_at=AT,
        ),
    }


WRAPPERS: dict[Kind, Callable[[Envelope, Context, Place], verify.Verified[Any]]] = {
    Kind.DOCUMENT: verify.verify_document,
    Kind.STATUS: verify.verify_status,
    Kind.RECEIPT: verify.verify_receipt,
    Kind.ACCEPTANCE: verify.verify_acceptance,
    Kind.NOTICE: verify.verify_notice,
}
SIGNERS = {kind: "axis" if kind in (Kind.ACCEPTANCE, Kind.NOTICE) else "G22" for kind in Kind}


def refused(
    world: World, envelope: Envelope, kind: Kind = Kind.DOCUMENT, place: Place = PLACE
) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        verify.verify(envelope, kind, world.context, place)
    assert caught.value.check is not None
    return caught.value.check, caught.value.name


def good(world: World, **more: Any) -> bytes:
    return signed_bytes(Kind.DOCUMENT, document(world, **more))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_verifies(world: World, kind: Kind) -> None:
    message = messages(world)[kind]
    envelope = world.sign(signed_bytes(kind, message), SIGNERS[kind])
    verified = WRAPPERS[kind](envelope, world.context, PLACE)
    assert verified.message == message
    assert (verified.kind, verified.envelope, verified.signing_time) == (kind, envelope, AT)
    assert (verified.signer.organisation, verified.signer.usage) == (SIGNERS[kind], "sign")


def test_1_size(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    large = dataclasses.replace(envelope, signed=b"x" * (MAX_SIGNED_BYTES + 1))
    assert refused(world, large) == (1, "header_too_large")
    long = dataclasses.replace(envelope, signature=envelope.signature + bytes(MAX_SIGNATURE_BYTES))
    assert refused(world, long) == (1, "signature_malformed")


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("expected", list(Kind))
def test_2_no_kind_passes_as_another(world: World, kind: Kind, expected: Kind) -> None:
    envelope = world.sign(signed_bytes(kind, messages(world)[kind]), SIGNERS[kind])
    if kind is not expected:
        assert refused(world, envelope, expected) == (2, "kind_mismatch")


def test_2_no_kind_at_all(world: World) -> None:
    signed = good(world).replace(b"axis/v1/", b"axis/v9/", 1)
    assert refused(world, world.sign(signed, "G22")) == (2, "header_malformed")


def test_3_message(world: World) -> None:
    assert refused(world, world.sign(Kind.DOCUMENT.line + b"\xff", "G22")) == (3, "header_malformed")


def test_4_another_axis(world: World) -> None:
    assert refused(world, world.sign(good(world, axis_id="0" * 64), "G22")) == (4, "axis_mismatch")


@pytest.mark.parametrize(
    "more",
    [{"document_id": "1"}, {"recipients": []}, {"sender_unit": "a b"}],
)
def test_5_fields(world: World, more: dict[str, Any]) -> None:
    assert refused(world, world.sign(good(world, **more), "G22")) == (5, "field_invalid")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DOCUMENT])
def test_5_fields_of_every_kind(world: World, kind: Kind) -> None:
    message: Any = messages(world)[kind]
    message.document_id = "1"
    envelope = world.sign(signed_bytes(kind, message), SIGNERS[kind])
    assert refused(world, envelope, kind) == (5, "field_invalid")


def test_6_form_and_algorithms_of_the_signature(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    trailing = dataclasses.replace(envelope, signature=envelope.signature + b"\x00")
    assert refused(world, trailing) == (6, "signature_malformed")
    sha512 = envelope.signature.replace(
        bytes.fromhex("0609608648016503040201"), bytes.fromhex("0609608648016503040203")
    )
    assert refused(world, dataclasses.replace(envelope, signature=sha512)) == (6, "algorithm_not_allowed")


def test_7_a_foreign_certificate_inside(world: World) -> None:
    signed = good(world)
    foreign = (*world.authority.intermediates, world.certificates["G14", "sign"])
    assert refused(world, world.sign(signed, "G22", extra=foreign)) == (7, "certificate_unknown")
    anchor = (*world.authority.intermediates, *world.authority.anchors)
    verify.verify_document(world.sign(signed, "G22", extra=anchor), world.context, PLACE)


def test_8_path(world: World, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger", AT)
    tls, sign = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    _, world.certificates["G22", "sign"] = stranger.issue_organisation("G22", request(tls), request(sign), AT)
    world.keys["G22", "sign"] = sign
    assert refused(world, world.sign(good(world), "G22")) == (8, "certificate_unknown")


def test_8_validity_is_judged_at_the_place(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    info = read_certificate(world.certificates["G22", "sign"])
    before, after = Place(10, info.not_before - 1), Place(10, info.not_after + 1)
    assert refused(world, envelope, place=before) == (8, "certificate_not_yet_valid")
    assert refused(world, envelope, place=after) == (8, "certificate_expired")
    verify.verify_document(envelope, world.context, Place(10, info.not_after))


def test_9_issuance_is_in_the_journal_before_the_place(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    verify.verify_document(envelope, world.context, Place(2, AT))
    assert refused(world, envelope, place=Place(1, AT)) == (9, "certificate_unknown")
    world.fact("G22").issued_sequence = 0
    assert refused(world, envelope) == (9, "certificate_unknown")
    world.book.facts.clear()
    assert refused(world, envelope) == (9, "certificate_unknown")


def test_9_revocation_counts_from_its_place_on(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    world.fact("G22").revoked_sequence = 10
    verify.verify_document(envelope, world.context, Place(9, AT))
    assert refused(world, envelope, place=Place(10, AT)) == (9, "certificate_revoked")
    assert refused(world, envelope, place=Place(11, AT)) == (9, "certificate_revoked")


def test_10_a_tls_key_signs_nothing(world: World) -> None:
    assert refused(world, world.sign(good(world), "G22", "tls")) == (10, "certificate_wrong_usage")


def test_11_signature(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    other = dataclasses.replace(envelope, signed=good(world, created_at=AT + 1))
    assert refused(world, other) == (11, "signature_invalid")


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("who", ["axis", "G22", "G14"])
def test_12_nobody_signs_in_anothers_name(world: World, kind: Kind, who: str) -> None:
    envelope = world.sign(signed_bytes(kind, messages(world)[kind]), who)
    if who == SIGNERS[kind]:
        assert verify.verify(envelope, kind, world.context, PLACE).signer.organisation == who
    else:
        assert refused(world, envelope, kind) == (12, "organisation_mismatch")


def test_the_order_is_kept(world: World, tmp_path: Path) -> None:
    """An envelope with everything wrong, mended from the first check on, meets every check in turn."""
    met: list[int] = []

    def meet(signed: bytes, who: str, usage: str, change: Callable[[bytes], bytes] = bytes) -> None:
        envelope = world.sign(signed, who, usage, (world.certificates["axis", "sign"],))
        envelope = dataclasses.replace(envelope, signature=change(envelope.signature))
        met.append(refused(world, envelope)[0])

    def broken(signature: bytes) -> bytes:
        return signature + b"\x00"

    wrong: dict[str, Any] = {"axis_id": "0" * 64, "recipients": []}
    meet(b"axis/v9/" + bytes(MAX_SIGNED_BYTES), "G14", "tls", broken)
    meet(b"axis/v9/\xff", "G14", "tls", broken)
    meet(Kind.DOCUMENT.line + b"\xff", "G14", "tls", broken)
    meet(good(world, **wrong), "G14", "tls", broken)
    meet(good(world, recipients=[]), "G14", "tls", broken)
    meet(good(world), "G14", "tls", broken)
    meet(good(world), "G14", "tls")

    # From here on without a foreign certificate inside: expired, unknown, for TLS, over other bytes, G14's.
    info = read_certificate(world.certificates["G14", "tls"])
    envelope = dataclasses.replace(world.sign(good(world), "G14", "tls"), signed=good(world, created_at=1))
    unknown = Place(1, AT)
    met.append(refused(world, envelope, place=Place(1, info.not_after + 1))[0])
    met.append(refused(world, envelope, place=unknown)[0])
    met.append(refused(world, envelope)[0])
    envelope = dataclasses.replace(world.sign(good(world), "G14"), signed=good(world, created_at=1))
    met.append(refused(world, envelope)[0])
    met.append(refused(world, world.sign(good(world), "G14"))[0])
    assert met == list(range(1, 13))


def test_no_flipped_bit_of_an_envelope_verifies(world: World) -> None:
    envelope = world.sign(good(world), "G22")
    for part in ("signed", "signature"):
        data: bytes = getattr(envelope, part)
        for position in range(len(data)):
            altered = bytearray(data)
            altered[position] ^= 1 << position % 8
            refused(world, dataclasses.replace(envelope, **{part: bytes(altered)}))
