"""edXML packets in and out of the node: handed in and taken apart, given back byte for byte.

A packet travels as one of the document's attachments, so what the sender's software wrote is what the
receiver's software gets; its attachments travel beside it, for receivers who speak no edXML. For a document
that was made from fields the packet is written when somebody asks for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final, cast

from axispb.v1 import document_pb2

from agencies.attachments import AttachmentRow
from agencies.desk.service import Service, Submission
from agencies.desk.spool import Spool, TakenFile, no_room_named
from agencies.desk.statuses import Statuses
from agencies.edxml.packet import Attachment, DocumentPacket, StatusPacket
from agencies.edxml.reader import read_packet
from agencies.edxml.refusal import refused
from agencies.edxml.signature import PacketSignature
from agencies.edxml.writer import (
    ATTACHMENT_END,
    DOCUMENT_END,
    ContentWriter,
    attachment_start,
    document_start,
    status_message,
)
from agencies.link.directory_sync import DirectorySync
from agencies.packet_signatures import PacketSignatures, as_stored, shown
from agencies.store.answers import content_hash
from agencies.store.database import Store
from axis.blobs.rules import SMALL_BYTES
from axis.core.document import MAX_ATTACHMENT_BYTES, MAX_STATUS_PACKET
from axis.core.envelope import Kind, parse
from axis.core.errors import Refusal
from axis.ports import BlobMissing, Blobs

__all__ = ["EDXML_TYPE", "Handed", "Packets", "Stored"]

Json = dict[str, Any]

EDXML_TYPE: Final = "application/vnd.vn.edxml+xml"
_NAME: Final = "packet.edxml"
_PIECE: Final = 256 * 1024
#: Of a header's fields: what is signed has at most 256 KiB, with attachments and recipients.
_MOST_FIELDS: Final = 128 * 1024
#: Small contents of one packet are kept in memory up to here, and stored together with its entry.
_KEPT_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """A packet to be given out; `size` in bytes where it is known before it is written."""

    size: int | None
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Handed:
    """A packet that was handed in: what it says, its attachments' contents, and its own bytes in a file."""

    packet: DocumentPacket | StatusPacket
    contents: Sequence[Iterator[bytes]]
    row: AttachmentRow  # as an attachment of the document
    file: IO[bytes]
    signature: PacketSignature


class Packets:
    """Takes and gives packets."""

    def __init__(
        self,
        *,
        spool: Spool,
        service: Service,
        statuses: Statuses,
        store: Store,
        blobs: Blobs,
        directory: DirectorySync,
        signatures: PacketSignatures,
    ) -> None:
        self._spool = spool
        self._statuses = statuses
        self._service = service
        self._store = store
        self._blobs = blobs
        self._directory = directory
        self._signatures = signatures

    @asynccontextmanager
    async def handed_in(self, body: AsyncIterator[bytes]) -> AsyncIterator[Handed]:
        """A packet, taken apart; nothing of it is kept beyond the block unless it is sent.

        Raises Refusal `field_invalid` with `extra` "vxp", "element" and "line" for what is no edXML,
        `packet_signature_invalid` where the setting says so, `header_too_large`, `storage_full`. Constant
        memory, however large the packet; one up to 20 MiB is held while its signature is judged.
        """
        with ExitStack() as opened, no_room_named():
            file = opened.enter_context(self._spool.scratch())
            row = await _spooled(file, body)

            def scratch() -> BinaryIO:
                return cast(BinaryIO, opened.enter_context(self._spool.scratch()))

            packet, contents = await asyncio.to_thread(read_packet, _pieces(file), scratch)
            if not isinstance(packet, DocumentPacket) and row.size > MAX_STATUS_PACKET:
                raise refused("StatusCode", 1, "a status has at most 64 KiB", "gói trạng thái quá lớn")
            signature = await self._signatures.judge(_pieces(file), row.size)
            self._signatures.require(signature)
            yield Handed(packet, contents, row, file, signature)

    async def send(
        self,
        handed: Handed,
        *,
        key: str,
        trace_id: str,
        sender: str | None = None,
        recipients: Sequence[str] | None = None,
    ) -> Json:
        """Put a packet into the outbox. {"document_id", "state", "warnings", "packet_signature"}.

        `sender` and `recipients` stand in for a document's own From and To. Durable when it returns. Raises
        whatever `Service.send` and `Statuses.say_packet` raise.
        """
        packet, row, signature = handed.packet, handed.row, handed.signature
        if not isinstance(packet, DocumentPacket):
            raw = b"".join(_pieces(handed.file))
            said = await self._statuses.say_packet(packet, raw, as_stored(signature), key, trace_id)
            return said | {"packet_signature": shown(signature)}
        if not (recipients or packet.recipients):
            raise refused("To", 1, "the recipients are missing", "thiếu nơi nhận")
        taken = await self._taken(packet.attachments, handed.contents, row, handed.file)
        warnings = list(packet.warnings)
        if packet.fields.ByteSize() > _MOST_FIELDS:
            _shorten(packet.fields)
            warnings.append("To: too much is said of the recipients; the header has their codes alone")
        from_ = sender or packet.sender
        asked = list(recipients or packet.recipients)
        to = asked if recipients else self._once_each(asked, warnings)
        answer = await self._service.send(
            Submission(
                sender=from_,
                recipients=to,
                fields=packet.fields,
                taken=taken,
                idempotency_key=key,
                content=content_hash([from_, asked], [row]) if key else b"",
                trace_id=trace_id,
                packet=len(taken),
                packet_signature=as_stored(signature),
            )
        )
        return answer | {"warnings": warnings, "packet_signature": shown(signature)}

    def _once_each(self, codes: Sequence[str], warnings: list[str]) -> list[str]:
        """Who a packet names, each unit once: senders name one under its old and its new code."""
        directory = self._directory.directory
        units: dict[str, str] = {}
        for code in codes:
            unit = directory.resolve(code) or code
            if unit in units:
                warnings.append(f"To: {code} is named already, as {units[unit]}; it is sent once")
            units.setdefault(unit, code)
        return list(units.values())

    async def _taken(
        self,
        attachments: Sequence[Attachment],
        contents: Sequence[Iterator[bytes]],
        packet: AttachmentRow,
        file: IO[bytes],
    ) -> list[TakenFile]:
        """The packet's attachments, and last the packet itself."""
        taken: list[TakenFile] = []
        room = _KEPT_BYTES
        listed = [
            AttachmentRow(a.name, a.media_type, a.size, a.sha256, a.description, a.content_id)
            for a in attachments
        ]
        for row, pieces in zip([*listed, packet], [*contents, _pieces(file)], strict=True):
            if row.size <= min(SMALL_BYTES, room):
                content = b"".join(await asyncio.to_thread(list, pieces))
                if hashlib.sha256(content).digest() != row.sha256:
                    raise Refusal("unavailable", f"file {row.name}: it was not kept whole while it was read")
                taken.append(TakenFile(row, content))
                room -= row.size
            else:
                await self._spool.put(row, _in_thread(pieces))
                taken.append(TakenFile(row, None))
        return taken

    def find(self, side: str, document_id: str) -> Stored:
        """The packet of a document, `sent` or `received`. Refusal `document_unknown`, later `unavailable`."""
        row = self._store.row(f"SELECT kind, signed FROM {side} WHERE document_id = ?", document_id)
        if row is None:
            raise Refusal("document_unknown", f"no document {document_id[:64]} here")
        if row["kind"] == Kind.STATUS:
            status = cast(document_pb2.Status, parse(row["signed"], Kind.STATUS))
            return _whole(status.packet or self._status_packet(status))
        document = cast(document_pb2.Document, parse(row["signed"], Kind.DOCUMENT))
        if document.packet:
            attachment = document.attachments[document.packet - 1]
            return Stored(attachment.size, self._content(attachment.sha256))
        return Stored(None, self._written(document))

    def _status_packet(self, status: document_pb2.Status) -> bytes:
        """A message made for a status that came without one."""
        about = status.response_for
        if not about.document_id:
            about = self._named(status.about_document_id, status.recipients[0])
        codes = (status.sender_unit, about.organ_id)
        return status_message(status, about, self._names(codes))

    def _named(self, document_id: str, other: str) -> document_pb2.ResponseFor:
        """How edXML names a document of ours: by its issuer's words for it."""
        found = document_pb2.ResponseFor(organ_id=other)
        for table in ("received", "sent"):
            row = self._store.row(
                f"SELECT signed FROM {table} WHERE document_id = ? AND kind = 'document'", document_id
            )
            if row is not None:
                fields = cast(document_pb2.Document, parse(row["signed"], Kind.DOCUMENT)).fields
                found.document_id = fields.issuer_document_id or document_id
                found.code = "/".join(part for part in (fields.code_number, fields.code_notation) if part)
                found.promulgation_date = fields.promulgation_date
        return found

    def _names(self, codes: Iterable[str]) -> dict[str, str]:
        directory = self._directory.directory
        units = {code: directory.unit(directory.resolve(code) or code) for code in codes}
        return {code: unit.name for code, unit in units.items() if unit is not None}

    async def _content(self, sha256: bytes) -> AsyncIterator[bytes]:
        try:
            async with self._blobs.open(sha256) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BlobMissing as error:
            raise Refusal("unavailable", "the content is gone from this node") from error

    async def _written(self, document: document_pb2.Document) -> AsyncIterator[bytes]:
        """A packet made for a document that came without one."""
        attachments = [
            Attachment(a.name, a.media_type, a.description, a.content_id, a.size, a.sha256)
            for a in document.attachments
        ]
        names = self._names((document.sender_unit, *document.recipients))
        yield document_start(
            document.fields, document.sender_unit, list(document.recipients), attachments, names
        )
        for number, attachment in enumerate(attachments, 1):
            yield attachment_start(number, attachment)
            encoder = ContentWriter()
            async for chunk in self._content(attachment.sha256):
                yield encoder.feed(chunk)
            yield encoder.finish() + ATTACHMENT_END
        yield DOCUMENT_END


def _shorten(fields: document_pb2.Fields) -> None:
    """Keep of the recipients' contacts what routing needs; the packet itself has them all."""
    codes = [contact.organ_id for contact in fields.to]
    del fields.to[:]
    fields.to.extend(document_pb2.Contact(organ_id=code) for code in codes)


async def _spooled(file: IO[bytes], body: AsyncIterator[bytes]) -> AttachmentRow:
    """The packet as it came, in a file; Refusal `header_too_large` over 2 GiB."""
    digest, size = hashlib.sha256(), 0
    async for chunk in body:
        size += len(chunk)
        if size > MAX_ATTACHMENT_BYTES:
            raise Refusal("header_too_large", f"a packet has at most {MAX_ATTACHMENT_BYTES} bytes")
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    return AttachmentRow(_NAME, EDXML_TYPE, size, digest.digest())


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The whole file from its beginning."""
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _whole(packet: bytes) -> Stored:
    async def chunks() -> AsyncIterator[bytes]:
        yield packet

    return Stored(len(packet), chunks())


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
