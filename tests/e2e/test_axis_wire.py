"""The agency API over real TLS: the journey, and what becomes of repeats."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from axispb.v1 import api_pb2, document_pb2, evidence_pb2

from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, parse
from axis.core.state import FactCertificates
from axis.core.verify import Context, Place, verify_acceptance
from tests.support.wire import AxisNode, Sent, axis_node

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def axis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AxisNode]:
    async with axis_node(tmp_path_factory.mktemp("wire")) as node:
        yield node


async def test_a_document_travels_and_its_receipt_comes_back(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    content = b"%PDF-1.7 " + bytes(300_000)
    sent = await sender.send(receiver.code, files=(content,))

    page = await receiver.feed()
    (item,) = [item for item in page.items if item.event == "accepted"]
    assert Envelope.from_message(item.envelope) == sent.envelope
    assert Envelope.from_message(item.acceptance) == sent.acceptance
    assert item.sequence == sent.sequence
    got = await receiver.get(f"/v1/documents/{sent.document_id}/attachments/0")
    assert got.body == content

    (result,) = await receiver.give(receiver.receipt(sent))
    assert (result.code, result.sequence > sent.sequence) == ("", True)
    page = await sender.feed()
    (receipted,) = [item for item in page.items if item.event == "receipted"]
    assert receipted.sequence == result.sequence
    assert receipted.kind == "document"
    assert receipted.accepted_sequence == sent.sequence


async def test_the_acceptance_verifies_at_its_place(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    sent = await sender.send(receiver.code)
    node = axis.running.node
    context = Context(axis.axis_id, node.home.anchors, FactCertificates(node.journal))
    verified = verify_acceptance(sent.acceptance, context, Place(sent.sequence, axis.now()))
    assert verified.message.signed_sha256 == sent.envelope.signed_sha256
    assert [(d.unit, d.host) for d in verified.message.deliveries] == [(receiver.code, receiver.code)]


async def test_the_same_bytes_get_the_same_acceptance_and_count_once(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    envelope = sender.envelope(sender.document(receiver.code))
    first = await sender.submit(envelope)
    again = await sender.submit(envelope)
    resigned = await sender.submit(Envelope(envelope.signed, sender.signature(envelope.signed)))
    assert (first.status, again.status, resigned.status) == (201, 200, 200)
    one = first.message(api_pb2.SubmitResponse)
    for repeat in (again, resigned):
        two = repeat.message(api_pb2.SubmitResponse)
        assert two.repeated_submission
        assert (two.sequence, two.acceptance) == (one.sequence, one.acceptance)
    assert len([i for i in (await receiver.feed()).items if i.event == "accepted"]) == 1


async def test_the_same_bytes_at_the_same_time_count_once(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    envelope = sender.envelope(sender.document(receiver.code))
    answers = await asyncio.gather(*(sender.submit(envelope) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.message(api_pb2.SubmitResponse).sequence for answer in answers}) == 1
    assert len({answer.message(api_pb2.SubmitResponse).acceptance.signed for answer in answers}) == 1


async def test_a_repeat_is_answered_though_sender_and_recipient_were_suspended_since(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    sent = await sender.send(receiver.code)
    await axis.registry.suspend(receiver.code)
    await axis.registry.suspend(sender.code)
    again = await sender.submit(sent.envelope)
    assert Envelope.from_message(again.message(api_pb2.SubmitResponse).acceptance) == sent.acceptance
    refused = await sender.submit(sender.document(receiver.code))
    assert refused.code == "sender_suspended"


async def test_a_document_whose_node_was_offline_for_a_week_is_accepted(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    week = 7 * 24 * 3600 * 1000
    await sender.send(receiver.code, created_at=axis.now() - week)


async def test_an_old_code_leads_to_the_unit(axis: AxisNode) -> None:
    sender = await axis.organisation()
    receiver = await axis.organisation("T90", old_codes=["000.00.00.T90"])
    sent = await sender.send("000.00.00.T90")
    acceptance = cast(evidence_pb2.Acceptance, parse(sent.acceptance.signed, Kind.ACCEPTANCE))
    assert [d.unit for d in acceptance.deliveries] == [receiver.code]


async def test_urgent_documents_have_a_lane_of_their_own(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    document = sender.document(receiver.code)
    await sender.submit(document)
    urgent = sender.document(receiver.code)
    urgent.fields.other.priority = 3
    await sender.submit(urgent)
    page = await receiver.feed()
    lanes = [(item.urgent, item.event) for item in page.items]
    assert lanes == [(True, "accepted"), (False, "issued"), (False, "issued"), (False, "accepted")]
    rest = await receiver.feed(urgent_after=page.urgent_next, normal_after=page.normal_next)
    assert not rest.items


async def test_a_status_travels_like_a_document(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    sent = await sender.send(receiver.code)
    status = document_pb2.Status(
        axis_id=axis.axis_id,
        document_id=new_document_id(axis.now(), os.urandom(10)),
        sender_unit=receiver.code,
        acting_organisation=receiver.code,
        recipients=[sender.code],
        created_at=axis.now(),
        about_document_id=sent.document_id,
        code="03",
    )
    envelope = receiver.envelope(status, Kind.STATUS)
    assert [(await receiver.submit(envelope)).status for _ in range(2)] == [201, 200]
    item = (await sender.feed()).items[-1]
    assert (item.event, item.kind) == ("accepted", "status")
    accepted = Sent(envelope, Envelope.from_message(item.acceptance), item.sequence)
    receipt = sender.receipt(accepted, document_id=status.document_id)
    assert (await sender.give(receipt))[0].code == ""
    stranger = await axis.organisation()
    status.document_id = new_document_id(axis.now(), os.urandom(10))
    status.sender_unit = status.acting_organisation = stranger.code
    assert (await stranger.submit(stranger.envelope(status, Kind.STATUS))).code == "not_a_recipient"


async def test_a_download_can_go_on_where_it_broke_off(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    content = bytes(range(256)) * 2000
    sent = await sender.send(receiver.code, files=(content,))
    path = f"/v1/documents/{sent.document_id}/attachments/0"
    part = await receiver.get(path, Range="bytes=1000-")
    assert (part.status, part.body) == (206, content[1000:])
    assert part.headers["Content-Range"] == f"bytes 1000-{len(content) - 1}/{len(content)}"
    beyond = await receiver.get(path, Range=f"bytes={len(content)}-")
    assert beyond.status == 416
    outsider = await axis.organisation()
    assert (await outsider.get(path)).code == "document_unknown"
    assert (await receiver.get(path[:-1] + "1")).code == "document_unknown"


async def test_have_names_only_what_this_organisation_uploaded(axis: AxisNode) -> None:
    one, other = await axis.organisation(), await axis.organisation()
    content = b"only one of them has it"
    assert (await one.upload(content)).status == 201
    asked = api_pb2.BlobList(sha256=[hashlib.sha256(content).digest(), bytes(32)])
    for organisation, expected in ((one, asked.sha256[:1]), (other, [])):
        answer = await organisation.post("/v1/blobs/have", asked)
        assert answer.message(api_pb2.BlobList).sha256 == expected


async def test_every_answer_says_where_the_journal_stands(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    answer = await sender.submit(sender.document(receiver.code))
    head = answer.headers["Axis-Head"]
    journal_id, sequence, sha256 = head.split(":")
    assert int(sequence) >= answer.message(api_pb2.SubmitResponse).sequence
    assert abs(int(answer.headers["Axis-Time"]) - axis.now()) < 60_000
    assert (await sender.get("/v1/directory", Axis_Head=head)).status == 200
    ahead = f"{journal_id}:{int(sequence) + 1_000_000}:{sha256}"
    changed = f"{journal_id}:{sequence}:{'0' * 64}"
    foreign = f"00000000-0000-0000-0000-000000000000:{sequence}:{sha256}"
    for unknown in (ahead, changed, foreign):
        refused = await sender.get("/v1/directory", Axis_Head=unknown)
        assert (refused.status, refused.code) == (409, "head_unknown")
        assert refused.headers["Axis-Head"].startswith(journal_id)
    assert (await sender.get("/v1/directory", Axis_Head="nonsense")).code == "field_invalid"


async def test_the_trace_id_travels_with_the_document(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    trace = "ab" * 16
    await sender.submit(sender.document(receiver.code), traceparent=f"00-{trace}-{'cd' * 8}-01")
    item = (await receiver.feed()).items[-1]
    assert (item.event, item.trace_id) == ("accepted", trace)


async def test_the_directory_holds_units_and_certificates(axis: AxisNode) -> None:
    organisation = await axis.organisation(old_codes=["000.00.01.T99"])
    after, units, certificates = 0, {}, {}
    while True:
        answer = await organisation.get(f"/v1/directory?after={after}")
        page = answer.message(api_pb2.DirectoryPage)
        for entry in page.entries:
            if entry.HasField("unit"):
                units[entry.unit.code] = entry.unit
            else:
                certificates[entry.certificate.serial] = entry.certificate
        after = page.as_of
        if not page.more:
            break
    assert list(units[organisation.code].old_codes) == ["000.00.01.T99"]
    assert certificates[organisation.sign.serial].organisation == organisation.code
    assert {c.usage for c in certificates.values() if c.organisation == "axis"} == {"tls", "sign"}
    assert (await organisation.feed(wait=0)).directory_sequence <= after


async def test_documents_are_handed_in_together_with_their_contents(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    large = bytes(70_000)
    await sender.upload(large)
    envelope = sender.envelope(sender.document(receiver.code, files=(b"one", large)))
    one = api_pb2.Submission(envelope=envelope.to_message(), contents=[b"one"], trace_id="ab" * 16)
    two = sender.submission(receiver.code, files=(b"two", b""))
    first, second = await sender.hand_in(one, two)
    assert (first.code, second.code) == ("", "")
    # One frame for both; each has an acceptance of its own.
    assert second.accepted.sequence == first.accepted.sequence + 1
    frames = axis.running.node.journal.frames(axis.running.node.journal.head().number - 1)
    assert len(frames[-1].records) == 2
    again = await sender.hand_in(one, two)
    assert [each.accepted.acceptance for each in again] == [
        first.accepted.acceptance,
        second.accepted.acceptance,
    ]
    assert all(each.accepted.repeated_submission for each in again)
    items = [item for item in (await receiver.feed()).items if item.event == "accepted"]
    assert [item.sequence for item in items] == [first.accepted.sequence, second.accepted.sequence]
    assert items[0].trace_id == "ab" * 16
    assert len(items[1].trace_id) == 32
    document = cast(document_pb2.Document, parse(envelope.signed, Kind.DOCUMENT))
    for number, content in enumerate((b"one", large)):
        got = await receiver.get(f"/v1/documents/{document.document_id}/attachments/{number}")
        assert got.body == content


async def test_of_documents_together_each_bad_one_is_refused_by_itself(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    suspended = await axis.unit()
    await axis.registry.suspend(suspended)
    good = sender.submission(receiver.code, files=(b"content",))
    forged = sender.submission(receiver.code)
    forged.envelope.signature = good.envelope.signature
    kept_back = sender.submission(receiver.code, files=(b"kept back",))
    del kept_back.contents[:]
    results = await sender.hand_in(
        sender.submission("NONE"),
        sender.submission(receiver.code, suspended),
        forged,
        kept_back,
        api_pb2.Submission(),
        good,
    )
    assert [result.code for result in results] == [
        "recipient_unknown",
        "recipient_suspended",
        "signature_invalid",
        "attachment_missing",
        "header_malformed",
        "",
    ]
    assert "NONE" in results[0].detail
    assert suspended in results[1].detail
    items = [item for item in (await receiver.feed()).items if item.event == "accepted"]
    assert [item.sequence for item in items] == [results[-1].accepted.sequence]


async def test_a_batch_over_its_limits_is_refused_as_a_whole(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    one = sender.submission(receiver.code)
    for contents, count in (
        ([bytes(64 * 1024 + 1)], 1),
        ([bytes(64 * 1024)] * 65, 1),
        ([b""] * 201, 1),  # in number as in bytes: each costs a row
        ([b""] * 200, 6),
        ([], 65),
        ([], 0),
    ):
        batch = api_pb2.SubmissionBatch(submissions=[one] * count)
        for submission in batch.submissions if len(contents) == 200 else batch.submissions[:1]:
            submission.contents.extend(contents)
        assert (await sender.post("/v1/submissions", batch)).code == "field_invalid"
    huge = api_pb2.SubmissionBatch(submissions=[api_pb2.Submission(contents=[bytes(9 * 1024 * 1024)])])
    assert (await sender.post("/v1/submissions", huge)).code == "header_too_large"
    assert not [item for item in (await receiver.feed()).items if item.event == "accepted"]


async def test_a_suspended_sender_stores_nothing_and_each_envelope_says_why(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    known = sender.submission(receiver.code, files=(b"before",))
    (accepted,) = await sender.hand_in(known)
    await axis.registry.suspend(sender.code)
    repeat, refused = await sender.hand_in(known, sender.submission(receiver.code, files=(b"after",)))
    assert repeat.accepted.acceptance == accepted.accepted.acceptance
    assert refused.code == "sender_suspended"
    assert axis.running.node.blobs.size(hashlib.sha256(b"after").digest()) is None


async def test_a_page_brings_small_contents_to_those_they_are_for(axis: AxisNode) -> None:
    sender, receiver = await axis.organisation(), await axis.organisation()
    sent = await sender.send(receiver.code, files=(b"small", bytes(70_000), b""))
    answer = await receiver.get("/v1/feed?urgent_after=0&normal_after=0&contents=1")
    page = answer.message(api_pb2.FeedPage)
    assert [(each.key.document_id, each.key.number, each.data) for each in page.contents] == [
        (sent.document_id, 0, b"small"),
        (sent.document_id, 2, b""),
    ]
    assert not (await receiver.feed()).contents
    mine = await sender.get("/v1/feed?urgent_after=0&normal_after=0&contents=1")
    assert not mine.message(api_pb2.FeedPage).contents
    # The answer's head is as new as what it tells of.
    assert int(answer.headers["Axis-Head"].split(":")[1]) >= max(item.sequence for item in page.items)


async def test_small_contents_come_together_and_only_to_parties(axis: AxisNode) -> None:
    sender, receiver, outsider = [await axis.organisation() for _ in range(3)]
    small, large = b"small", bytes(70_000)
    sent = await sender.send(receiver.code, files=(small, large))
    keys = [api_pb2.ContentKey(document_id=sent.document_id, number=number) for number in range(3)]
    keys.append(api_pb2.ContentKey(document_id="unknown"))
    asked = api_pb2.ContentRequest(keys=keys)

    batch = (await receiver.post("/v1/contents", asked)).message(api_pb2.ContentBatch)
    assert [(content.key.number, content.data) for content in batch.contents] == [(0, small)]
    assert not (await outsider.post("/v1/contents", asked)).message(api_pb2.ContentBatch).contents
    many = await receiver.post("/v1/contents", api_pb2.ContentRequest(keys=keys[:1] * 201))
    assert many.code == "field_invalid"
