"""Packets as real senders write them, and as those who mean harm would."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest
from axispb.v1 import document_pb2

from agencies.edxml.packet import DocumentPacket, StatusPacket
from agencies.edxml.reader import read_packet
from axis.core.errors import Refusal
from tests.support.edxml import SAMPLES, scratch

PDF_AND_TEXT = (SAMPLES / "new-raw-two-files.edxml").read_bytes()
ZIPPED = (SAMPLES / "new-zip.edxml").read_bytes()
STATUSES = sorted(path.stem for path in SAMPLES.glob("status-*.edxml"))

#: Code of the VXP API, element and line of each bad sample.
BAD = {
    "bad-base64": (21, "ContentTransferEncoded", 28),
    "bad-entity-bomb": (22, "DOCTYPE", 2),
    "bad-external-entity": (22, "DOCTYPE", 2),
    "bad-manifest-without-attachment": (21, "Reference/ContentId", 26),
    "bad-mismatched-tag": (22, "XML", 12),
    "bad-no-sender": (22, "From/OrganId", 6),
    "bad-path-in-name": (22, "AttachmentName", 28),
    "bad-unbound-prefix": (22, "Subject", 12),
    "bad-zip-bomb": (21, "ContentTransferEncoded", 28),
}


def in_pieces(packet: bytes, size: int) -> Iterator[bytes]:
    return (packet[start : start + size] for start in range(0, len(packet), size))


def document(packet: bytes, size: int = 1 << 16) -> tuple[DocumentPacket, list[bytes]]:
    read, contents = read_packet(in_pieces(packet, size), scratch)
    assert isinstance(read, DocumentPacket)
    return read, [b"".join(content) for content in contents]


def refused(packet: bytes, size: int = 1 << 16) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_packet(in_pieces(packet, size), scratch)
    return caught.value


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_however_the_bytes_come_the_packet_is_the_same(size: int) -> None:
    whole, contents = document(PDF_AND_TEXT)
    assert document(PDF_AND_TEXT, size) == (whole, contents)
    assert [a.name for a in whole.attachments] == ["cong-van.pdf", "phu-luc.txt"]
    assert contents[1].decode() == "Phụ lục số liệu\n"
    assert [a.size for a in whole.attachments] == [len(content) for content in contents]


def test_the_header_is_kept_as_sent() -> None:
    packet, contents = document(ZIPPED)
    fields = packet.fields
    assert packet.sender == "000.00.00.G22"
    assert packet.recipients == ("000.00.00.H41", "000.00.00.H14", "000.00.00.H53")
    assert fields.issuer_document_id == "000.00.00.G22,2020/07/20,5816/VPCP-KSTT"
    assert (fields.code_number, fields.code_notation) == ("5816", "VPCP-KSTT")
    assert (fields.promulgation_date, fields.due_date) == ("2020-07-20", "2020-08-15")
    assert (fields.type.group, fields.type.detail, fields.type.name) == ("2", "18", "Công văn")
    assert fields.signer.competence == "KT. BỘ TRƯỞNG"
    assert list(fields.to_places) == ["Như trên", "Lưu: VT"]
    assert (fields.steering_type, fields.other.typer_notation) == (1, "CV")
    assert fields.business.staff.department == "Văn thư"
    assert fields.trace_headers[0].timestamp == "2020/07/20 08:15:00"
    assert contents[0].startswith(b"%PDF-")  # out of its ZIP
    assert packet.warnings == ()


def test_no_prefix_another_order_a_bom_and_relays_without_a_name() -> None:
    packet, _ = document((SAMPLES / "new-no-prefix-reordered.edxml").read_bytes())
    assert packet.sender == "000.00.00.G22"
    assert [trace.organ_id for trace in packet.fields.trace_headers] == ["000.00.00.G22", "null", ""]
    assert packet.fields.business.reason == "Văn bản điện tử mới"


def test_recall_update_and_replacement_name_their_original() -> None:
    original = "000.00.00.G22,2020/07/20,5816/VPCP-KSTT"
    recall, _ = document((SAMPLES / "recall.edxml").read_bytes())
    assert recall.fields.business.doc_type == 1
    assert recall.fields.response_for[0].document_id == original
    update, _ = document((SAMPLES / "update.edxml").read_bytes())
    assert (update.fields.business.doc_type, update.fields.business.document_id) == (2, original)
    assert [r.organ_id for r in update.fields.business.receivers] == ["000.00.00.H41", "000.00.00.H14"]
    replacement, _ = document((SAMPLES / "replacement.edxml").read_bytes())
    assert replacement.fields.business.doc_type == 3
    assert replacement.fields.business.replacements[0].document_id == original


@pytest.mark.parametrize("name", STATUSES)
def test_statuses(name: str) -> None:
    packet, contents = read_packet([(SAMPLES / f"{name}.edxml").read_bytes()], scratch)
    assert isinstance(packet, StatusPacket)
    assert (packet.code, contents) == (name[-2:], [])
    expected = (
        ("000.00.00.G22", "000.00.00.H41") if packet.code == "13" else ("000.00.00.H41", "000.00.00.G22")
    )
    assert (packet.sender, packet.addressee) == expected
    assert packet.about.document_id == "000.00.00.G22,2020/07/20,5816/VPCP-KSTT"
    assert packet.description


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("bad-*.edxml")))
@pytest.mark.parametrize("size", [3, 1 << 16])
def test_bad_samples_are_refused_naming_element_and_line(name: str, size: int) -> None:
    refusal = refused((SAMPLES / f"{name}.edxml").read_bytes(), size)
    vxp, element, line = BAD[name]
    assert (refusal.name, refusal.extra["vxp"]) == ("field_invalid", vxp)
    assert (refusal.extra["element"], refusal.extra["line"]) == (element, line)
    assert element in refusal.detail
    assert str(line) in refusal.detail
    assert str(line) in str(refusal.extra["vi"])


def test_a_packet_that_is_cut_off_anywhere_is_refused() -> None:
    for end in range(0, len(PDF_AND_TEXT) - 10, 13):
        assert refused(PDF_AND_TEXT[:end]).name == "field_invalid"


def with_content(content: bytes) -> bytes:
    start = PDF_AND_TEXT.index(b">", PDF_AND_TEXT.index(b"ContentTransferEncoded xmlns")) + 1
    return (
        PDF_AND_TEXT[:start] + base64.encodebytes(content) + PDF_AND_TEXT[PDF_AND_TEXT.index(b"<", start) :]
    )


def zipped(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def test_a_zip_of_several_is_the_file_itself_and_of_one_a_wrapping() -> None:
    several = zipped(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>"))
    assert document(with_content(several))[1][0] == several
    assert document(with_content(zipped(("../../x", b"one"))))[1][0] == b"one"
    assert document(with_content(b"PK is no ZIP"))[1][0] == b"PK is no ZIP"
    many = zipped(*((f"{n}", b"") for n in range(5000)))
    assert document(with_content(many))[1][0] == many


@pytest.mark.parametrize(
    "content",
    [
        zipped(("a", bytes(1000)))[:-30],
        b"PK\x03\x04 nothing more",
        zipped(("a", bytes(40_000_000))),
        zipped(("a", bytes(40_000_000)), compression=zipfile.ZIP_LZMA),
    ],
    ids=["cut off", "only a mark", "bomb", "bomb in LZMA"],
)
def test_a_damaged_zip_or_a_bomb_is_refused(content: bytes) -> None:
    assert refused(with_content(content)).extra["vxp"] == 21


@pytest.mark.parametrize("name", ["a/b.pdf", "..", "a\\b", "a\tb", "a\u202etxt.exe", "", "x" * 256])
def test_a_file_name_is_never_a_path(name: str) -> None:
    packet = PDF_AND_TEXT.replace(b"<AttachmentName>cong-van.pdf", f"<AttachmentName>{name}".encode(), 1)
    assert refused(packet).extra["element"] == "AttachmentName"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<edXML:OrganId>000.00.00.G22", b"<edXML:OrganId>" + b"1" * 36),
        (b"<edXML:OrganId>000.00.00.G22", b"<edXML:OrganId>a b"),
        (b"edXML:MessageHeader>", b"edXML:Other>"),
        (b"<edXML:Subject>", b"<edXML:Subject>" + b"<edXML:x>" * 30),
        (b"<edXML:Subject>", b"<edXML:Subject>" + b"x" * 1_100_000),
        (b"<edXML:Subject>", b"<edXML:Subject>" + b"<edXML:x/>" * 50_000),
    ],
    ids=["long code", "malformed code", "no header", "deep", "long text", "many elements"],
)
def test_what_is_over_a_limit_is_refused(before: bytes, after: bytes) -> None:
    assert refused(PDF_AND_TEXT.replace(before, after)).extra["vxp"] == 22


@pytest.mark.parametrize(
    "what",
    [b"<!--" + b"x" * 3_000_000 + b"-->", b'<x a="' + b"y" * 3_000_000 + b'"/>'],
    ids=["comment", "tag"],
)
def test_what_does_not_end_is_not_kept_in_memory(what: bytes) -> None:
    packet = PDF_AND_TEXT.replace(b"<edXML:Subject>", what + b"<edXML:Subject>")
    assert refused(packet).extra["element"] == "XML"


def test_what_is_only_odd_is_kept_with_a_warning() -> None:
    packet = PDF_AND_TEXT.replace(b"Priority>3", b"Priority>9")
    read, _ = document(packet.replace(b"CodeNumber>09", b"CodeNumber>" + b"9" * 12))
    assert read.fields.other.priority == 0
    assert read.fields.code_number == "9" * 12
    assert len(read.warnings) == 2
    assert document(PDF_AND_TEXT.replace(b"Priority>3", b"Priority>4"))[0].warnings


def changed(before: str, after: str, packet: bytes = ZIPPED) -> bytes:
    assert before.encode() in packet
    return packet.replace(before.encode(), after.encode(), 1)


TO_H41 = "<edXML:To><edXML:OrganId>000.00.00.H41"
NAMED = "<AttachmentName>cong-van.pdf</AttachmentName><Description>"


@pytest.mark.parametrize("surplus", ["<edXML:To/>", "<edXML:To><edXML:OrganId> </edXML:OrganId></edXML:To>"])
def test_a_recipient_who_is_nobody_is_left_out(surplus: str) -> None:
    packet, _ = document(changed(TO_H41, surplus + TO_H41))
    assert packet.recipients == document(ZIPPED)[0].recipients
    assert len(packet.fields.to) == 3
    assert packet.warnings == ("To: one names nobody and is left out",)
    assert refused(changed(TO_H41, TO_H41 + "!!")).extra["element"] == "To/OrganId"


@pytest.mark.parametrize(
    ("organ_id", "kept"), [("", ""), ("khong ro", "khong ro"), ("null", "null"), ("1" * 36, "")]
)
def test_whose_the_answered_document_is_need_be_no_code(organ_id: str, kept: str) -> None:
    original = f"<edXML:ResponseFor><edXML:OrganId>{organ_id}</edXML:OrganId></edXML:ResponseFor>"
    packet, _ = document(changed("<edXML:SteeringType>", original + "<edXML:SteeringType>"))
    assert packet.fields.response_for[0].organ_id == kept
    assert len(packet.warnings) == (organ_id not in ("", "null"))
    # A status travels to whom its own ResponseFor names.
    status = (SAMPLES / "status-03.edxml").read_bytes()
    if organ_id != "null":
        assert refused(changed("000.00.00.G22", organ_id, status)).extra["element"] == "ResponseFor/OrganId"


def test_a_receiver_who_is_nobody_or_no_code_and_a_relay_with_a_long_name() -> None:
    update = (SAMPLES / "update.edxml").read_bytes()
    receiver = "<edXML:Receiver><edXML:OrganId>{}</edXML:OrganId></edXML:Receiver>"
    end = "</edXML:ReceiverList>"
    packet, _ = document(changed(end, receiver.format("") + receiver.format("a b") + end, update))
    assert [one.organ_id for one in packet.fields.business.receivers][2:] == ["a b"]
    assert len(packet.warnings) == 2
    trace = f"<edXML:TraceHeader><edXML:OrganId>{'x' * 36}</edXML:OrganId></edXML:TraceHeader>"
    packet, _ = document(changed("</edXML:TraceHeaderList>", trace + "</edXML:TraceHeaderList>"))
    assert packet.fields.trace_headers[-1].organ_id == ""
    assert len(packet.warnings) == 1


def test_of_many_warnings_some_are_said() -> None:
    update = (SAMPLES / "update.edxml").read_bytes()
    end = "</edXML:ReceiverList>"
    packet, _ = document(changed(end, "<edXML:Receiver/>" * 1000 + end, update))
    assert (len(packet.warnings), packet.warnings[-1]) == (51, "and 950 more")


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("OrganName>", "OrganName>" + "x" * 201, "From/OrganName"),
        (NAMED, NAMED + "x" * 501, "Description"),
        ("Place>Như trên", "Place>" + "x" * 995, "ToPlaces"),
        ("TypeName>Công văn", "TypeName>Báo cáo", "the name counts"),
        ("Type>2<", "Type>1<", "the name counts"),
        ("Priority>0", "Priority>4", "priority 4: one vendor's"),
    ],
)
def test_what_is_over_a_limit_of_decree_30_or_on_no_list_is_said(before: str, after: str, what: str) -> None:
    packet, _ = document(changed(before, after))
    assert len(packet.warnings) == 1
    assert what in packet.warnings[0]


def test_a_long_description_of_a_status_is_said() -> None:
    status = (SAMPLES / "status-02.edxml").read_bytes()
    read, _ = read_packet([status.replace(b"Description>", b"Description>" + b"x" * 501, 1)], scratch)
    assert "Description" in read.warnings[0]


def test_blanks_around_a_text_are_layout_unless_they_are_said_to_count() -> None:
    spaced = changed("<edXML:Subject>V/v", "<edXML:Subject>\n   V/v")
    assert document(spaced)[0].fields.subject == document(ZIPPED)[0].fields.subject
    exact = changed("<edXML:Subject>", '<edXML:Subject xml:space="preserve"> ')
    assert document(exact)[0].fields.subject == " " + document(ZIPPED)[0].fields.subject
    code = changed(TO_H41, TO_H41.replace("OrganId>", 'OrganId xml:space="preserve"> '))
    assert document(code)[0].recipients == document(ZIPPED)[0].recipients


@pytest.mark.parametrize("content", [bytes(2000), zipped(("a", bytes(2000)))], ids=["plain", "in a ZIP"])
def test_all_attachments_together_have_a_limit(content: bytes) -> None:
    packet = with_content(content)
    whole = sum(len(one) for one in document(packet)[1])
    read, _ = read_packet([packet], scratch, most=whole)
    assert sum(one.size for one in read.attachments) == whole  # type: ignore[union-attr]
    with pytest.raises(Refusal) as caught:
        read_packet([packet], scratch, most=whole - 1)
    assert (caught.value.extra["vxp"], caught.value.extra["element"]) == (21, "ContentTransferEncoded")
    assert "together" in caught.value.detail


BIG = """
import base64, resource, sys, tempfile
from agencies.edxml.reader import read_packet

packet = open(sys.argv[1], "rb").read()
start = packet.index(b">", packet.index(b"ContentTransferEncoded xmlns")) + 1
piece = base64.b64encode(bytes(range(256)) * 768)

def chunks():
    yield packet[:start]
    for _ in range(800):
        yield piece
    yield packet[packet.index(b"<", start):]

with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
    files = [two, one]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, contents = read_packet(chunks(), files.pop)
    assert sum(map(len, contents[0])) == read.attachments[0].size == 800 * 256 * 768
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_packet_of_200_mib_is_never_in_memory() -> None:
    sample = str(SAMPLES / "new-raw-two-files.edxml")
    done = subprocess.run(
        [sys.executable, "-c", BIG, sample], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 64 * 1024


def test_fields_are_of_the_protocols_message() -> None:
    assert isinstance(document(ZIPPED)[0].fields, document_pb2.Fields)
