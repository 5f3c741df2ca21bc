"""Bad input through the wire: each gets its stable code, and nothing is lost or half-done."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from axispb.v1 import api_pb2, document_pb2, evidence_pb2

from axis.core.commands import RecordCertificate
from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.trust import read_certificate
from certs import profiles
from certs.authority import Authority
from tests.signers import openssl
from tests.support.wire import DAY, AxisNode, KeyPair, Organisation, axis_node, read_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def axis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AxisNode]:
    async with axis_node(tmp_path_factory.mktemp("bad")) as node:
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(axis: AxisNode) -> tuple[Organisation, Organisation]:
    """A sender and a receiver whom no test suspends or revokes."""
    return await axis.organisation(), await axis.organisation()


async def refused(organisation: Organisation, what: Envelope | document_pb2.Document, code: str) -> str:
    """Submit; it must be refused with this code, and nothing may have been accepted. The detail."""
    node = organisation.axis.running.node
    before = node.directory.newest(), node.journal.feed(organisation.code, False, 0, 1000)
    answer = await organisation.submit(what)
    assert answer.code == code, answer.body
    assert before == (node.directory.newest(), node.journal.feed(organisation.code, False, 0, 1000))
    return str(answer.problem["detail"])


class TestWho:
    """Who sends."""

    async def test_unknown_sending_unit(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        await refused(sender, sender.document(receiver.code, sender_unit="X99"), "sender_not_registered")

    async def test_suspended_sender(self, axis: AxisNode, two: tuple[Organisation, Organisation]) -> None:
        sender = await axis.organisation()
        document = sender.document(two[1].code)
        await axis.registry.suspend(sender.code)
        await refused(sender, document, "sender_suspended")
        assert (await sender.get("/v1/directory")).code == "sender_suspended"
        await axis.registry.resume(sender.code)
        assert (await sender.submit(document)).status == 201

    async def test_suspended_sending_unit(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        unit = await axis.unit(parent=sender.code)
        await axis.registry.suspend(unit)
        await refused(sender, sender.document(receiver.code, sender_unit=unit), "sender_suspended")

    async def test_not_the_host_of_the_sending_unit(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        document = sender.document(sender.code, sender_unit=receiver.code)
        await refused(sender, document, "not_host_of_unit")

    async def test_acting_organisation_is_not_the_signer(
        self, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        document = sender.document(receiver.code, acting_organisation=receiver.code)
        await refused(sender, document, "organisation_mismatch")

    async def test_handed_in_by_another_organisation(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        await refused(receiver, sender.envelope(sender.document(receiver.code)), "organisation_mismatch")

    async def test_anothers_accepted_bytes_give_no_acceptance(
        self, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        sent = await sender.send(receiver.code)
        await refused(receiver, sent.envelope, "organisation_mismatch")


class TestSignature:
    """Signatures and certificates."""

    async def test_over_other_bytes(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        one, other = (sender.envelope(sender.document(receiver.code)) for _ in range(2))
        await refused(sender, Envelope(one.signed, other.signature), "signature_invalid")

    async def test_by_another_organisations_key(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        envelope = sender.envelope(sender.document(receiver.code), pair=receiver.sign)
        await refused(sender, envelope, "organisation_mismatch")

    async def test_by_a_key_that_is_not_the_certificates(
        self, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        forged = KeyPair(KeyPair.new().key, sender.sign.certificate)
        await refused(
            sender, sender.envelope(sender.document(receiver.code), pair=forged), "signature_invalid"
        )

    async def test_by_a_tls_key(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        envelope = sender.envelope(sender.document(receiver.code), pair=sender.tls)
        await refused(sender, envelope, "certificate_wrong_usage")

    async def test_by_a_revoked_certificate(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender = await axis.organisation()
        sent = await sender.send(two[1].code)
        await axis.registry.revoke(sender.sign.serial, "keyCompromise")
        await refused(sender, sender.document(two[1].code), "certificate_revoked")
        assert (await sender.submit(sent.envelope)).status == 200, "what was accepted stays accepted"

    async def test_by_an_expired_certificate(
        self, axis: AxisNode, two: tuple[Organisation, Organisation], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sender, receiver = two
        monkeypatch.setattr(profiles, "_END_LIFE", timedelta(minutes=20))
        old, authority = KeyPair.new(), Authority.open(axis.running.node.home.pki_path)
        _, old.certificate = authority.issue_organisation(
            sender.code, KeyPair.new().request(), old.request(), axis.now() - 50 * 60_000
        )
        await axis.running.node.sequencer.submit(RecordCertificate(read_certificate(old.certificate)))
        envelope = sender.envelope(sender.document(receiver.code), pair=old)
        await refused(sender, envelope, "certificate_expired")

    async def test_by_an_unknown_certificate(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        stranger = self_signed(sender.code)
        envelope = sender.envelope(sender.document(receiver.code), pair=stranger)
        await refused(sender, envelope, "certificate_unknown")

    async def test_issued_but_not_journalled(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        secret = KeyPair.new()
        issuer = axis.running.node.enrolment._issuer
        assert issuer is not None
        _, secret.certificate = await issuer.issue(
            organisation=sender.code, tls_request=KeyPair.new().request(), sign_request=secret.request()
        )
        envelope = sender.envelope(sender.document(receiver.code), pair=secret)
        await refused(sender, envelope, "certificate_unknown")

    @pytest.mark.parametrize("damage", ["trailing", "truncated", "empty", "garbage"])
    async def test_no_strict_der(self, two: tuple[Organisation, Organisation], damage: str) -> None:
        sender, receiver = two
        good = sender.envelope(sender.document(receiver.code))
        damaged = {
            "trailing": good.signature + b"\0",
            "truncated": good.signature[:-1],
            "empty": b"",
            "garbage": b"not a signature",
        }[damage]
        await refused(sender, Envelope(good.signed, damaged), "signature_malformed")

    async def test_indefinite_length(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        good = sender.envelope(sender.document(receiver.code))
        header = 2 + (good.signature[1] & 0x7F)
        ber = b"\x30\x80" + good.signature[header:] + b"\0\0"
        await refused(sender, Envelope(good.signed, ber), "signature_malformed")

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ("-cades -nosmimecap", ""),  # what openssl makes within the profile is as good as ours
            ("-cades", "signature_malformed"),  # an attribute more
            ("-nosmimecap", "signature_malformed"),  # one less
            ("-noattr", "signature_malformed"),
            ("-cades -nosmimecap -nodetach", "signature_malformed"),
            ("-cades -nosmimecap -stream", "signature_malformed"),  # BER
            ("-cades -nosmimecap -signer other.pem", "signature_malformed"),  # two signers
            ("-cades -nosmimecap -md sha1", "algorithm_not_allowed"),
            ("-cades -nosmimecap -md sha512", "algorithm_not_allowed"),
        ],
    )
    async def test_signatures_made_by_openssl(
        self, two: tuple[Organisation, Organisation], tmp_path: Path, options: str, code: str
    ) -> None:
        sender, receiver = two
        signed = signed_bytes(Kind.DOCUMENT, sender.document(receiver.code))
        (tmp_path / "content").write_bytes(signed)
        sender.sign.write(tmp_path / "own.pem")
        receiver.sign.write(tmp_path / "other.pem")
        command = f"cms -sign -binary -in content -signer own.pem {options} -outform DER -out signature"
        made = openssl(tmp_path, *command.split())
        assert made.returncode == 0, made.stderr
        envelope = Envelope(signed, (tmp_path / "signature").read_bytes())
        if code:
            await refused(sender, envelope, code)
        else:
            assert (await sender.submit(envelope)).status == 201

    async def test_too_large_a_signature(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        good = sender.envelope(sender.document(receiver.code))
        await refused(sender, Envelope(good.signed, bytes(16 * 1024 + 1)), "signature_malformed")


class TestHeader:
    """What the signed bytes say."""

    async def test_another_kinds_bytes(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        sent = await sender.send(receiver.code)
        receipt = receiver.envelope(receiver.receipt(sent), Kind.RECEIPT)
        await refused(receiver, receipt, "kind_mismatch")
        (result,) = await receiver.give(sent.envelope)
        assert result.code == "kind_mismatch"

    async def test_a_kind_line_for_other_bytes(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        message = sender.document(receiver.code).SerializeToString()
        for signed, code in (
            (b"axis/v1/status\n" + message, "field_invalid"),
            (b"axis/v9/document\n" + message, "header_malformed"),
            (message, "header_malformed"),
            (b"", "header_malformed"),
        ):
            answer = await sender.submit(Envelope(signed, sender.signature(signed)))
            assert answer.code in (code, "header_malformed", "axis_mismatch")
            assert answer.status == 422

    async def test_another_axis(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        await refused(sender, sender.document(receiver.code, axis_id="0" * 64), "axis_mismatch")

    async def test_no_protobuf(self, two: tuple[Organisation, Organisation]) -> None:
        sender, _ = two
        signed = Kind.DOCUMENT.line + b"\xff\xff\xff"
        await refused(sender, Envelope(signed, sender.signature(signed)), "header_malformed")
        answer = await sender.call("POST", "/v1/envelopes", b"\xff\xff\xff")
        assert answer.code == "header_malformed"

    async def test_too_large(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        document = sender.document(receiver.code)
        document.fields.content = "x" * (256 * 1024)
        await refused(sender, sender.envelope(document), "header_too_large")
        huge = await sender.call("POST", "/v1/envelopes", bytes(2 * 1024 * 1024))
        assert (huge.status, huge.code) == (413, "header_too_large")

    async def test_fields_over_their_limits(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        long_name = [document_pb2.Attachment(name="x" * 256, sha256=bytes(32))]
        for values, field in (
            ({"document_id": "not-a-uuid"}, "document_id"),
            ({"created_at": 0}, "created_at"),
            ({"attachments": long_name}, "attachments[0].name"),
            ({"recipients": []}, "recipients"),
            ({"recipients": ["bad code"]}, "recipients[0]"),
            ({"recipients": [f"U{n}" for n in range(1001)]}, "recipients"),
        ):
            detail = await refused(sender, sender.document(receiver.code, **values), "field_invalid")
            assert detail.startswith(field), detail

    async def test_created_in_the_future(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        document = sender.document(receiver.code, created_at=axis.now() + 6 * 60_000)
        answer = await sender.submit(document)
        assert (answer.code, answer.problem["temporary"]) == ("created_in_future", True)

    async def test_created_too_long_ago(self, axis: AxisNode, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        document = sender.document(receiver.code, created_at=axis.now() - 31 * DAY)
        await refused(sender, document, "created_too_old")

    async def test_the_same_id_with_other_bytes(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        sent = await sender.send(receiver.code)
        other = sender.document(receiver.code, document_id=sent.document_id)
        other.fields.subject = "khác"
        await refused(sender, other, "id_reused")


class TestRecipients:
    """To whom."""

    async def test_each_bad_recipient_is_named_and_nothing_is_half_sent(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, receiver = two
        suspended = await axis.unit()
        await axis.registry.suspend(suspended)
        document = sender.document(receiver.code, "X98", suspended, "X97")
        seen = (await receiver.feed()).normal_next
        answer = await sender.submit(document)
        assert answer.code == "recipient_unknown"
        assert answer.problem["recipients"] == {
            "X98": "recipient_unknown",
            "X97": "recipient_unknown",
            suspended: "recipient_suspended",
        }
        assert (await receiver.feed()).normal_next == seen

    async def test_suspended_recipient(self, axis: AxisNode, two: tuple[Organisation, Organisation]) -> None:
        suspended = await axis.unit()
        await axis.registry.suspend(suspended)
        await refused(two[0], two[0].document(suspended), "recipient_suspended")

    async def test_duplicate_recipient_through_an_old_code(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        unit = await axis.unit(old_codes=["000.00.00.T88"])
        await refused(two[0], two[0].document(unit, "000.00.00.T88"), "recipient_duplicate")


class TestAttachments:
    """Blobs."""

    async def test_missing(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        envelope = sender.envelope(sender.document(receiver.code, files=(b"never uploaded", b"nor this")))
        answer = await sender.submit(envelope)
        assert (answer.code, answer.problem["temporary"]) == ("attachment_missing", True)
        assert answer.problem["attachments"] == [0, 1]
        for content in (b"never uploaded", b"nor this"):
            assert (await sender.upload(content)).status == 201
        assert (await sender.submit(envelope)).status == 201

    async def test_of_another_size_than_named(self, two: tuple[Organisation, Organisation]) -> None:
        sender, receiver = two
        document = sender.document(receiver.code, files=(b"twelve bytes",))
        document.attachments[0].size = 13
        await sender.upload(b"twelve bytes")
        await refused(sender, document, "attachment_mismatch")

    async def test_upload_of_other_bytes_than_named(self, two: tuple[Organisation, Organisation]) -> None:
        sender, _ = two
        answer = await sender.call("PUT", f"/v1/blobs/{'ab' * 32}", b"other bytes")
        assert answer.code == "attachment_mismatch"
        assert (await sender.call("PUT", "/v1/blobs/nonsense", b"x")).code == "field_invalid"

    async def test_another_organisations_blob_is_as_absent(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sender, other = two[0], await axis.organisation()
        secret = b"only the other organisation has this"
        assert (await other.upload(secret)).status == 201
        theirs = await sender.submit(sender.document(two[1].code, files=(secret,)))
        absent = await sender.submit(sender.document(two[1].code, files=(b"nobody has this",)))
        assert theirs.code == absent.code == "attachment_missing"
        assert theirs.problem["detail"] == absent.problem["detail"]

    async def test_a_pin_that_runs_out(self, tmp_path: Path) -> None:
        # A node of its own: what is appended by a clock of tomorrow keeps the journal's time there.
        async with axis_node(tmp_path) as axis:
            sender, receiver = await axis.organisation(), await axis.organisation()
            content = b"pinned for 24 hours"
            await sender.upload(content)
            axis.clock.ahead = DAY - 9 * 60_000
            await refused(sender, sender.document(receiver.code, files=(content,)), "attachment_missing")
            await sender.upload(content)
            assert (await sender.submit(sender.document(receiver.code, files=(content,)))).status == 201


class TestReceipts:
    """Receipts that are none."""

    async def test_from_no_recipient(self, axis: AxisNode, two: tuple[Organisation, Organisation]) -> None:
        sent = await two[0].send(two[1].code)
        other = await axis.organisation()
        for receipt in (other.receipt(sent), other.receipt(sent, recipient_unit=two[1].code)):
            (result,) = await other.give(receipt)
            assert result.code == "not_a_recipient"

    async def test_for_an_unknown_document(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sent = await two[0].send(two[1].code)
        unknown = new_document_id(axis.now(), bytes(10))
        (result,) = await two[1].give(two[1].receipt(sent, document_id=unknown))
        assert result.code == "document_unknown"

    async def test_the_same_bytes_again_get_the_first_answer(
        self, two: tuple[Organisation, Organisation]
    ) -> None:
        sent = await two[0].send(two[1].code)
        receipt = two[1].envelope(two[1].receipt(sent), Kind.RECEIPT)
        first, beside = await two[1].give(receipt, receipt)
        (again,) = await two[1].give(receipt)
        assert first.code == ""
        assert first == beside == again

    async def test_with_another_outcome(self, two: tuple[Organisation, Organisation]) -> None:
        sent = await two[0].send(two[1].code)
        assert (await two[1].give(two[1].receipt(sent)))[0].code == ""
        (result,) = await two[1].give(two[1].receipt(sent, outcome=evidence_pb2.OUTCOME_REFUSED))
        assert result.code == "outcome_conflict"

    async def test_after_the_delivery_was_closed(
        self, axis: AxisNode, two: tuple[Organisation, Organisation]
    ) -> None:
        sent = await two[0].send(two[1].code)
        await axis.registry.close(sent.document_id, two[1].code, "given up")
        (result,) = await two[1].give(two[1].receipt(sent))
        assert result.code == "delivery_closed"

    async def test_transplanted_from_another_document(self, two: tuple[Organisation, Organisation]) -> None:
        one, other = await two[0].send(two[1].code), await two[0].send(two[1].code)
        transplanted = two[1].receipt(one, document_id=other.document_id)
        (result,) = await two[1].give(transplanted)
        assert result.code == "field_invalid"
        mixed = dataclasses.replace(one, acceptance=other.acceptance)
        (result,) = await two[1].give(two[1].receipt(mixed))
        assert result.code == "field_invalid"

    async def test_one_bad_receipt_harms_no_other(self, two: tuple[Organisation, Organisation]) -> None:
        sent = await two[0].send(two[1].code)
        bad = Envelope(signed_bytes(Kind.RECEIPT, two[1].receipt(sent)), b"nonsense")
        results = await two[1].give(bad, two[1].receipt(sent), bad)
        assert [result.code for result in results] == ["signature_malformed", "", "signature_malformed"]

    async def test_too_many_at_a_time(self, two: tuple[Organisation, Organisation]) -> None:
        answer = await two[1].post("/v1/receipts", api_pb2.ReceiptBatch())
        assert answer.code == "field_invalid"


class TestTokens:
    """Enrolment."""

    async def test_used_twice_with_other_keys(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        token = (await axis.registry.token(organisation.code))["token"]
        again = Organisation(axis, organisation.code)
        axis.organisations.append(again)
        assert (await again.enrol(token)).status == 200
        thief = Organisation(axis, organisation.code)
        assert (await thief.enrol(token)).code == "token_used"
        first = again.tls.certificate
        assert (await again.enrol(token)).status == 200
        assert again.tls.certificate == first, "the same keys get the same certificates"

    async def test_expired_but_repeatable_for_the_same_keys(self, tmp_path: Path) -> None:
        async with axis_node(tmp_path) as axis:
            code = await axis.unit()
            used, unused = [(await axis.registry.token(code))["token"] for _ in range(2)]
            organisation = Organisation(axis, code)
            axis.organisations.append(organisation)
            assert (await organisation.enrol(used)).status == 200
            axis.clock.ahead = 8 * DAY
            assert (await Organisation(axis, code).enrol(unused)).code == "token_invalid"
            assert (await organisation.enrol(used)).status == 200

    async def test_unknown_or_for_a_suspended_unit(self, axis: AxisNode) -> None:
        code = await axis.unit()
        token = (await axis.registry.token(code))["token"]
        assert read_token(token)["anchor_sha256"] == axis.axis_id
        nobody = api_pb2.EnrolRequest(
            secret=bytes(32), tls_request=KeyPair.new().request(), sign_request=KeyPair.new().request()
        )
        assert (await axis.stranger.post("/v1/enrol", nobody)).code == "token_invalid"
        await axis.registry.suspend(code)
        assert (await Organisation(axis, code).enrol(token)).code == "sender_suspended"

    async def test_requests_that_are_none(self, axis: AxisNode) -> None:
        request = api_pb2.EnrolRequest(secret=bytes(32), tls_request=b"x", sign_request=b"y")
        assert (await axis.stranger.post("/v1/enrol", request)).code == "field_invalid"


def self_signed(code: str) -> KeyPair:
    """A signing certificate in an organisation's name, from nobody."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    from axis.core.organisation import organisation_uri
    from axis.core.trust import DOCUMENT_SIGNING

    pair = KeyPair.new()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, code)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(pair.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(organisation_uri(code))]), False
        )
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False)
        .sign(pair.key, hashes.SHA256())
    )
    pair.certificate = certificate.public_bytes(serialization.Encoding.DER)
    return pair
