"""Ids, limits and field checks: every field of every kind, at its limit and over it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from axispb.v1 import document_pb2, evidence_pb2

from axis.core import document as d
from axis.core.errors import Refusal

ID = d.new_document_id(1_790_000_000_000, bytes(10))
OTHER = d.new_document_id(1_790_000_000_001, bytes(10))
HASH = bytes(32)
LONG = "x" * 36


def a_document() -> document_pb2.Document:
    return document_pb2.Document(
        document_id=ID,
        sender_unit="000.00.00.G22",
        acting_organisation="G22",
        recipients=["G14", "H26"],
        created_at=1,
        fields=document_pb2.Fields(subject="x"),
        attachments=[document_pb2.Attachment(name="a.pdf", media_type="application/pdf", sha256=HASH)],
    )


def a_status() -> document_pb2.Status:
    return document_pb2.Status(
        document_id=ID,
        sender_unit="G14",
        acting_organisation="G14",
        recipients=["G22"],
        created_at=1,
        about_document_id=OTHER,
        code="03",
    )


def a_receipt() -> evidence_pb2.Receipt:
    return evidence_pb2.Receipt(
        document_id=ID,
        signed_sha256=HASH,
        signature_sha256=HASH,
        acceptance_sha256=HASH,
        recipient_unit="G14",
        acting_organisation="G14",
        attempt=1,
        outcome=evidence_pb2.OUTCOME_RECEIVED,
        stored_at=1,
    )


def an_acceptance() -> evidence_pb2.Acceptance:
    return evidence_pb2.Acceptance(
        document_id=ID,
        kind="status",
        signed_sha256=HASH,
        signature_sha256=HASH,
        deliveries=[evidence_pb2.Destination(unit="G14", host="G14")],
        accepted_at=1,
    )


def a_notice() -> evidence_pb2.Notice:
    return evidence_pb2.Notice(
        document_id=ID,
        acceptance_sha256=HASH,
        recipient_unit="G14",
        attempt=2,
        kind=evidence_pb2.NOTICE_KIND_REQUEUED,
        host="G14",
        issued_at=1,
    )


def refused_field(check: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        check()
    assert caught.value.name == "field_invalid"
    return caught.value.detail.partition(":")[0]


def test_a_new_id_is_a_uuid_of_version_7_that_sorts_by_time() -> None:
    ids = [d.new_document_id(at, b"\xff" * 10) for at in (0, 1, 1 << 40, (1 << 48) - 1)]
    assert ids == sorted(ids)
    for text in ids:
        parsed = uuid.UUID(d.check_document_id(text))
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert uuid.UUID(ids[2]).int >> 80 == 1 << 40


@pytest.mark.parametrize(("now", "random"), [(0, bytes(9)), (-1, bytes(10)), (1 << 48, bytes(10))])
def test_an_id_needs_enough_randomness_and_a_time_that_fits(now: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="UUIDv7"):
        d.new_document_id(now, random)


@pytest.mark.parametrize(
    "text",
    ["", ID.upper(), ID + "\n", ID.replace("-", ""), str(uuid.UUID(int=1 << 100, version=4)), "{" + ID + "}"],
)
def test_an_id_has_one_spelling_only(text: str) -> None:
    assert refused_field(lambda: d.check_document_id(text)) == "document_id"


@pytest.mark.parametrize(("priority", "urgent"), [(0, False), (1, True), (4, True), (5, False)])
def test_priorities_one_to_four_are_urgent(priority: int, urgent: bool) -> None:
    fields = document_pb2.Fields(other=document_pb2.OtherInfo(priority=priority))
    assert d.is_urgent(fields) is urgent


def test_created_at_is_judged_against_a_window() -> None:
    now = 1_790_000_000_000
    for created in (now + d.MAX_FUTURE_MS, now, now - d.MAX_AGE_MS):
        d.check_created(created, now)
    with pytest.raises(Refusal, match="created_in_future") as caught:
        d.check_created(now + d.MAX_FUTURE_MS + 1, now)
    assert caught.value.code.temporary
    with pytest.raises(Refusal, match="created_too_old") as caught:
        d.check_created(now - d.MAX_AGE_MS - 1, now)
    assert not caught.value.code.temporary


def test_what_is_within_the_limits_passes() -> None:
    largest = a_document()
    largest.recipients[:] = [f"H{number}" for number in range(d.MAX_RECIPIENTS)]
    one = document_pb2.Attachment(
        name="n" * 255, media_type="m" * 255, size=d.MAX_ATTACHMENT_BYTES, sha256=HASH
    )
    del largest.attachments[:]
    largest.attachments.extend([one] * d.MAX_ATTACHMENTS)
    for document in (a_document(), largest):
        d.check_document(document)
    status = a_status()
    status.note = "n" * 500
    d.check_status(status)
    status.packet = bytes(d.MAX_STATUS_PACKET)
    d.check_status(status)
    status.about_document_id = ""  # an edXML message may name a document that nobody knows
    d.check_status(status)
    refused = a_receipt()
    refused.outcome = evidence_pb2.OUTCOME_REFUSED
    refused.reason = "r" * 500
    for receipt in (a_receipt(), refused):
        d.check_receipt(receipt)
    d.check_acceptance(an_acceptance())
    dead = a_notice()
    dead.kind, dead.host = evidence_pb2.NOTICE_KIND_DEAD, ""
    for notice in (a_notice(), dead):
        d.check_notice(notice)


def test_edxml_text_over_its_length_is_kept() -> None:
    document = a_document()
    document.fields.MergeFrom(
        document_pb2.Fields(
            subject="s" * 5_000,
            code_notation="n" * 99,
            issuer_document_id="not, a key",
            promulgation_date="soon",
            steering_type=99,
            other=document_pb2.OtherInfo(priority=9, page_amount="many"),
            business=document_pb2.Business(
                replacements=[document_pb2.ReplacementInfo(organ_ids=["G22", "anything"])]
            ),
        )
    )
    d.check_document(document)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("document_id", lambda m: setattr(m, "document_id", "1")),
        ("sender_unit", lambda m: setattr(m, "sender_unit", "G 22")),
        ("acting_organisation", lambda m: setattr(m, "acting_organisation", "")),
        ("recipients[1]", lambda m: m.recipients.__setitem__(1, "axis")),
        ("created_at", lambda m: setattr(m, "created_at", 0)),
        ("created_at", lambda m: setattr(m, "created_at", 253_402_300_800_000)),
        ("recipients", lambda m: m.ClearField("recipients")),
        ("recipients", lambda m: m.recipients.extend(["H1"] * 999)),
        ("attachments", lambda m: m.attachments.extend([m.attachments[0]] * 200)),
        ("packet", lambda m: setattr(m, "packet", 2)),
        ("attachments[0].name", lambda m: setattr(m.attachments[0], "name", "")),
        ("attachments[0].name", lambda m: setattr(m.attachments[0], "name", "n" * 256)),
        ("attachments[0].media_type", lambda m: setattr(m.attachments[0], "media_type", "m" * 256)),
        ("attachments[0].media_type", lambda m: setattr(m.attachments[0], "media_type", "a/b\r\nX: y")),
        ("attachments[0].size", lambda m: setattr(m.attachments[0], "size", d.MAX_ATTACHMENT_BYTES + 1)),
        ("attachments[0].sha256", lambda m: setattr(m.attachments[0], "sha256", bytes(31))),
        ("fields.from.organ_id", lambda m: setattr(getattr(m.fields, "from"), "organ_id", LONG)),
        ("fields.to[0].organ_id", lambda m: m.fields.to.add(organ_id=LONG)),
        ("fields.response_for[0].organ_id", lambda m: m.fields.response_for.add(organ_id=LONG)),
        ("fields.trace_headers[0].organ_id", lambda m: m.fields.trace_headers.add(organ_id=LONG)),
        ("fields.business.receivers[0].organ_id", lambda m: m.fields.business.receivers.add(organ_id=LONG)),
        (
            "fields.business.replacements[0].organ_ids",
            lambda m: m.fields.business.replacements.add(organ_ids=["G22", LONG]),
        ),
    ],
)
def test_a_document_is_refused_for_each_field(
    field: str, change: Callable[[document_pb2.Document], object]
) -> None:
    document = a_document()
    change(document)
    assert refused_field(lambda: d.check_document(document)) == field


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("document_id", lambda m: setattr(m, "document_id", "")),
        ("recipients", lambda m: m.recipients.append("G14")),
        ("recipients", lambda m: m.ClearField("recipients")),
        ("about_document_id", lambda m: setattr(m, "about_document_id", "")),
        ("packet", lambda m: setattr(m, "packet", bytes(d.MAX_STATUS_PACKET + 1))),
        ("code", lambda m: setattr(m, "code", "07")),
        ("note", lambda m: setattr(m, "note", "n" * 501)),
    ],
)
def test_a_status_is_refused_for_each_field(
    field: str, change: Callable[[document_pb2.Status], object]
) -> None:
    status = a_status()
    change(status)
    assert refused_field(lambda: d.check_status(status)) == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("document_id", ""),
        ("signed_sha256", b""),
        ("signature_sha256", bytes(33)),
        ("acceptance_sha256", b""),
        ("recipient_unit", ""),
        ("acting_organisation", ""),
        ("attempt", 0),
        ("outcome", 0),
        ("outcome", 7),
        ("reason", "r" * 501),
        ("stored_at", 0),
    ],
)
def test_a_receipt_is_refused_for_each_field(field: str, value: object) -> None:
    receipt = a_receipt()
    setattr(receipt, field, value)
    assert refused_field(lambda: d.check_receipt(receipt)) == field


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("document_id", lambda m: setattr(m, "document_id", "")),
        ("kind", lambda m: setattr(m, "kind", "receipt")),
        ("signed_sha256", lambda m: setattr(m, "signed_sha256", b"")),
        ("signature_sha256", lambda m: setattr(m, "signature_sha256", b"")),
        ("deliveries", lambda m: m.ClearField("deliveries")),
        ("deliveries", lambda m: m.deliveries.extend([m.deliveries[0]] * 1000)),
        ("deliveries[0].unit", lambda m: setattr(m.deliveries[0], "unit", "")),
        ("deliveries[0].host", lambda m: setattr(m.deliveries[0], "host", "")),
        ("accepted_at", lambda m: setattr(m, "accepted_at", -1)),
    ],
)
def test_an_acceptance_is_refused_for_each_field(
    field: str, change: Callable[[evidence_pb2.Acceptance], object]
) -> None:
    acceptance = an_acceptance()
    change(acceptance)
    assert refused_field(lambda: d.check_acceptance(acceptance)) == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("document_id", ""),
        ("acceptance_sha256", b""),
        ("recipient_unit", ""),
        ("attempt", 0),
        ("host", ""),
        ("kind", 0),
        ("reason", "r" * 501),
        ("issued_at", 0),
    ],
)
def test_a_notice_is_refused_for_each_field(field: str, value: object) -> None:
    notice = a_notice()
    setattr(notice, field, value)
    assert refused_field(lambda: d.check_notice(notice)) == field
