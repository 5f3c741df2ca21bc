"""Reading a packet: whatever real senders write is taken, whatever could harm is refused.

A packet is read as a stream: attachments go to files of the caller's as they are decoded, and only the header
is ever in memory. What is refused names the element and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

from agencies.edxml.content import Content, unwrapped
from agencies.edxml.headers import (
    Warnings,
    check_description,
    fields_of,
    organ_id,
    recipients,
    response_for,
    staff,
)
from agencies.edxml.packet import Attachment, DocumentPacket, StatusPacket
from agencies.edxml.refusal import BAD_CONTENT, refused
from agencies.edxml.tree import Node, parse
from axis.core.document import MAX_ATTACHMENTS, MAX_NAME, STATUS_CODES

__all__ = ["MOST_TOGETHER", "Scratch", "Taken", "read_packet"]

#: Makes a file that is open for writing and reading, for one attachment's bytes.
Scratch = Callable[[], BinaryIO]
#: An attachment, and its content in pieces.
Taken = tuple[Attachment, Iterator[bytes]]

#: Of a packet's attachments together, in bytes: 200 of 2 GiB each would fill any disk.
MOST_TOGETHER: Final = 4 * 1024**3

_MOST_WARNINGS: Final = 50
_FORBIDDEN: Final = re.compile(r"[/\\\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)


class _Contents:
    """What came in `ContentTransferEncoded`, one file for each attachment."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._now: Content | None = None
        self.files: dict[int, tuple[BinaryIO, int]] = {}

    def begin(self, attachment: Node, line: int) -> None:
        """Decode into a file of its own."""
        if len(self.files) >= MAX_ATTACHMENTS:
            raise refused("Attachment", line, f"over {MAX_ATTACHMENTS} attachments", "quá nhiều tệp đính kèm")
        if id(attachment) in self.files:
            raise refused(
                "ContentTransferEncoded", line, "it stands there twice", "nội dung bị lặp", BAD_CONTENT
            )
        file = self._scratch()
        self.files[id(attachment)] = file, line
        self._now = Content(file, line)

    def text(self, text: str) -> None:
        """Decode more."""
        if self._now is not None:
            self._now.feed(text)

    def end(self) -> None:
        """All of it has come."""
        if self._now is not None:
            self._now.finish()
        self._now = None


def read_packet(
    chunks: Iterable[bytes], scratch: Scratch, *, most: int = MOST_TOGETHER
) -> tuple[DocumentPacket, list[Iterator[bytes]]] | tuple[StatusPacket, list[Iterator[bytes]]]:
    """A document packet with its attachments' contents, in their order; or a status packet with none.

    The files that `scratch` made are the caller's to close, once the contents are read. `most`: bytes of all
    attachments together, out of their ZIPs. Refusal
    `field_invalid` with `extra` "vxp" 22 (no edXML) or 21 (an attachment cannot be processed).
    """
    contents = _Contents(scratch)
    root = parse(chunks, contents)
    header = root.find("edXMLEnvelope/edXMLHeader/MessageHeader")
    if root.name != "edXML" or header is None:
        raise refused("MessageHeader", root.line, "this is no edXML packet", "không phải gói tin edXML")
    sender = header.find("From")
    if sender is None:
        raise refused("From", header.line, "the sender is missing", "thiếu đơn vị gửi")
    code = organ_id(sender)
    warnings: Warnings = []
    if header.find("StatusCode") is not None:
        return _status(header, code, warnings), []
    to = tuple(organ_id(one) for one in recipients(header))
    if len(to) < len(header.all("To")):
        warnings.append("To: one names nobody and is left out")
    fields = fields_of(header, root.find("edXMLEnvelope/edXMLHeader/TraceHeaderList"), warnings)
    attachments, pieces = _attachments(root, contents, warnings, most)
    return DocumentPacket(code, to, fields, attachments, _some(warnings)), pieces


def _status(header: Node, sender: str, warnings: Warnings) -> StatusPacket:
    about = header.find("ResponseFor")
    if about is None:
        raise refused("ResponseFor", header.line, "which document is meant is missing", "thiếu ResponseFor")
    code = header.get("StatusCode").strip()
    if code not in STATUS_CODES:
        line = (header.find("StatusCode") or header).line
        raise refused("StatusCode", line, f"{code[:20]!r} is no status", "mã trạng thái không hợp lệ")
    found = header.find("StaffInfo")
    check_description("Description", header.get("Description"), warnings)
    return StatusPacket(
        sender=sender,
        addressee=organ_id(about),  # a status travels to whom this names
        about=response_for(about, warnings),
        staff=staff(found or Node("StaffInfo", header.line)),
        code=code,
        description=header.get("Description"),
        timestamp=header.get("Timestamp"),
        warnings=_some(warnings),
    )


def _some(warnings: Warnings) -> tuple[str, ...]:
    """As many as a person may read."""
    more = len(warnings) - _MOST_WARNINGS
    return (*warnings[:_MOST_WARNINGS], *([f"and {more} more"] if more > 0 else []))


def _attachments(
    root: Node, contents: _Contents, warnings: Warnings, room: int
) -> tuple[tuple[Attachment, ...], list[Iterator[bytes]]]:
    encoded = root.find("AttachmentEncoded")
    nodes = encoded.all("Attachment") if encoded is not None else []
    attachments, pieces = [], []
    for node in nodes:
        name = _name(node)
        if id(node) not in contents.files:
            raise refused(
                "Attachment", node.line, f"{name}: there is no content", "thiếu nội dung tệp", BAD_CONTENT
            )
        file, line = contents.files[id(node)]
        size, sha256, content = unwrapped(file, line, room)
        room -= size
        check_description(f"Attachment {name[:60]!r}, Description", node.get("Description"), warnings)
        media_type = node.get("ContentType").strip()
        attachments.append(
            Attachment(
                name=name,
                media_type=media_type if _is_media_type(media_type) else "application/octet-stream",
                description=node.get("Description"),
                content_id=node.get("ContentId"),
                size=size,
                sha256=sha256,
            )
        )
        pieces.append(content)
    _check_manifest(root, {one.content_id for one in attachments}, warnings)
    return tuple(attachments), pieces


def _check_manifest(root: Node, ids: set[str], warnings: Warnings) -> None:
    """Every file that the signed header's manifest names must have come."""
    manifest = root.find("edXMLEnvelope/edXMLBody/edXMLManifest")
    references = manifest.all("Reference") if manifest is not None else []
    for reference in references:
        content_id = reference.get("ContentId")
        if content_id not in ids:
            raise refused(
                "Reference/ContentId",
                reference.line,
                f"{content_id[:60]!r} names no attachment",
                "tệp nêu trong edXMLManifest không có trong gói tin",
                BAD_CONTENT,
            )
    named = {reference.get("ContentId") for reference in references}
    warnings.extend(f"Attachment {one[:60]!r} is not in the manifest" for one in sorted(ids - named))


def _name(node: Node) -> str:
    """The file's name. One that could be taken for a path is refused, not repaired: it was meant to harm."""
    found = node.find("AttachmentName")
    name = found.text if found is not None else ""
    line = found.line if found is not None else node.line
    if not name or len(name) > MAX_NAME:
        raise refused(
            "AttachmentName", line, f"a name has 1 to {MAX_NAME} characters", "tên tệp trống hoặc quá dài"
        )
    if _FORBIDDEN.search(name) or name.strip() in ("", ".", ".."):
        raise refused(
            "AttachmentName", line, f"{name[:60]!r} is a path, not a name", "tên tệp chứa đường dẫn"
        )
    return name


def _is_media_type(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and _PRINTABLE.fullmatch(text) is not None
