"""Header → edXML → header is the identity."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from axispb.v1 import document_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agencies.edxml.packet import Attachment, DocumentPacket
from agencies.edxml.reader import read_packet
from agencies.edxml.writer import (
    ATTACHMENT_END,
    DOCUMENT_END,
    ContentWriter,
    attachment_start,
    document_start,
)
from tests.support.edxml import scratch

#: What XML can write, blanks of all kinds at both ends included.
texts = st.text(
    st.characters(
        exclude_categories=["Cs"],
        exclude_characters=[chr(c) for c in range(32) if chr(c) not in "\t\n\r"] + ["\ufffe", "\uffff"],
    )
    | st.sampled_from(" \t\n\r\xa0<>&"),
    max_size=60,
)
short_texts = texts.map(lambda text: text[:35])
codes = st.from_regex(r"[A-Z][0-9]{2}(\.[0-9]{2}){0,3}", fullmatch=True)
dates = st.dates().map(lambda day: day.isoformat()) | st.just("")


def message(kind: Any, **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


contacts = message(
    document_pb2.Contact,
    organ_id=codes,
    organ_name=texts,
    organization_in_charge=texts,
    email=texts,
    fax=texts,
)
staffs = message(document_pb2.Staff, department=texts, staff=texts, email=texts, mobile=texts)
businesses = message(
    document_pb2.Business,
    document_id=texts,
    doc_type=st.integers(0, 3),
    reason=texts,
    paper=st.booleans(),
    document_info=st.booleans(),
    document_receiver=st.booleans(),
    receivers=st.lists(message(document_pb2.ReceiverInfo, organ_id=codes, receiver_type=texts), max_size=2),
    replacements=st.lists(
        message(document_pb2.ReplacementInfo, document_id=texts, organ_ids=st.lists(codes, max_size=2)),
        max_size=2,
    ),
    staff=staffs,
)
fields = st.builds(
    document_pb2.Fields,
    issuer_document_id=texts,
    code_number=texts,
    code_notation=texts,
    promulgation_place=texts,
    promulgation_date=dates,
    type=message(document_pb2.DocumentType, group=texts, detail=texts, name=texts),
    subject=texts,
    content=texts,
    signer=message(document_pb2.Signer, competence=texts, position=texts, full_name=texts),
    due_date=dates,
    to_places=st.lists(texts.filter(bool), max_size=3),
    other=message(
        document_pb2.OtherInfo,
        priority=st.integers(0, 3),
        sphere_of_promulgation=texts,
        typer_notation=texts,
        page_amount=texts,
        direction=texts,
        appendixes=st.lists(texts.filter(bool), max_size=2),
    ),
    response_for=st.lists(
        message(
            document_pb2.ResponseFor, organ_id=codes, code=texts, promulgation_date=dates, document_id=texts
        ),
        max_size=2,
    ),
    steering_type=st.integers(0, 2),
    business=businesses,
    trace_headers=st.lists(
        message(document_pb2.TraceHeader, organ_id=short_texts, timestamp=texts), max_size=2
    ),
    to=st.lists(contacts, min_size=1, max_size=3, unique_by=lambda contact: contact.organ_id),
)


def one_file_zipped() -> bytes:
    """A file of its own that a reader might take for a wrapping."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", b"inside")
    return file.getvalue()


contents_of_files = st.binary(max_size=200) | st.just(one_file_zipped()) | st.just(b"PK\x03\x04 nothing more")


def plain(message: Any) -> Any:
    """Without the difference between an empty message and none, which no packet shows."""

    def pruned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept for name, one in value.items() if (kept := pruned(one)) not in ({}, [])}
        return [pruned(one) for one in value] if isinstance(value, list) else value

    return pruned(MessageToDict(message))


@settings(deadline=None, max_examples=60)
@given(fields, contacts, st.lists(contents_of_files, max_size=3))
@example(
    document_pb2.Fields(to=[document_pb2.Contact(organ_id="H41")]),
    document_pb2.Contact(organ_id="G22"),
    [b"PK\x03\x04 nothing more", one_file_zipped(), b"PK\x03", b"PK\x03\x04"],
)
def test_header_to_edxml_to_header_is_the_identity(
    header: document_pb2.Fields, sender: document_pb2.Contact, contents: list[bytes]
) -> None:
    getattr(header, "from").CopyFrom(sender)
    recipients = [contact.organ_id for contact in header.to]
    attachments = [
        Attachment(f"Tệp {n}.pdf", "application/pdf", "mô tả", f"cid:{n}", len(content), b"")
        for n, content in enumerate(contents)
    ]
    packet = [document_start(header, sender.organ_id, recipients, attachments, {})]
    for number, (attachment, content) in enumerate(zip(attachments, contents, strict=True), 1):
        encoder = ContentWriter()
        packet += [attachment_start(number, attachment), encoder.feed(content[:7]), encoder.feed(content[7:])]
        packet += [encoder.finish(), ATTACHMENT_END]
    packet.append(DOCUMENT_END)
    read, found = read_packet(packet, scratch)
    assert isinstance(read, DocumentPacket)
    assert (read.sender, list(read.recipients)) == (sender.organ_id, recipients)
    assert [b"".join(content) for content in found] == contents
    assert [(a.name, a.description, a.content_id) for a in read.attachments] == [
        (a.name, a.description, a.content_id) for a in attachments
    ]
    assert plain(read.fields) == plain(header)
