"""One attachment's content out of `ContentTransferEncoded`: base64 in pieces, then out of its ZIP, if any.

Senders put a file there as it is, or a ZIP with the one file in it, and say nowhere which. So the bytes
decide: a ZIP with exactly one entry is a wrapping, a ZIP with several (a .docx, say) is the file itself.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Final

from agencies.edxml.refusal import BAD_CONTENT, refused
from axis.core.document import MAX_ATTACHMENT_BYTES

__all__ = ["ZIP_MARK", "Content", "unwrapped"]

_ELEMENT: Final = "ContentTransferEncoded"
_BLANK: Final = re.compile(r"[ \t\r\n]+")
#: How every ZIP with something in it begins (APPNOTE 4.3.7), and how its end is marked (4.3.16, 4.3.15).
ZIP_MARK: Final = b"PK\x03\x04"
_END_MARK: Final = b"PK\x05\x06"
_ZIP64_MARK: Final = b"PK\x06\x07"
_END: Final = struct.Struct("<4s4H2LH")
#: The end stands within a comment's length of the file's.
_MOST_TAIL: Final = _END.size + 65_535
#: Of the directory of one entry.
_MOST_DIRECTORY: Final = 256 * 1024
_PIECE: Final = 256 * 1024
#: A ZIP may expand so many times once it is over the size below: deflate reaches 1,032, documents do not.
_MOST_EXPANSION: Final = 100
_EXPANDED_FREELY: Final = 8 * 1024 * 1024


class Content:
    """Decodes base64 text that comes in pieces into a file."""

    def __init__(self, file: BinaryIO, line: int) -> None:
        self.size = 0
        self._file = file
        self._line = line
        self._rest = ""
        self._ended = False

    def feed(self, text: str) -> None:
        """More of the element's text. Refusal (21) for what is no base64, or is over 2 GiB."""
        text = self._rest + _BLANK.sub("", text)
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        if whole:
            self._decode(text[:whole])

    def finish(self) -> None:
        """The element has ended."""
        if self._rest:
            self._refuse("the base64 is cut off", "base64 bị cắt cụt")

    def _decode(self, text: str) -> None:
        if self._ended:
            self._refuse("there is more base64 after its end", "còn dữ liệu sau khi base64 kết thúc")
        try:
            data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            self._refuse("this is no base64", "nội dung không phải base64")
        self._ended = text.endswith("=")
        self.size += len(data)
        if self.size > MAX_ATTACHMENT_BYTES:
            self._refuse(f"over {MAX_ATTACHMENT_BYTES} bytes", "tệp đính kèm quá lớn")
        self._file.write(data)

    def _refuse(self, what: str, vietnamese: str) -> None:
        raise refused(_ELEMENT, self._line, what, vietnamese, BAD_CONTENT)


def unwrapped(file: BinaryIO, line: int, room: int) -> tuple[int, bytes, Iterator[bytes]]:
    """(size, SHA-256, pieces) of the attachment whose decoded bytes are in `file`.

    Refusal (21) for a ZIP that is damaged or expands beyond reason, and for over `room` bytes. The pieces are
    read once more from the file; they do not fail after this has returned.
    """
    if _holds_one(file, line):
        try:
            archive = zipfile.ZipFile(file)
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise _damaged(line) from error
        if len(entries) == 1:
            size, digest = _measured(_expanded(archive, entries[0], line), line, room)
            return size, digest, _expanded(archive, entries[0], line)
    size, digest = _measured(_plain(file), line, room)
    return size, digest, _plain(file)


def _holds_one(file: BinaryIO, line: int) -> bool:
    """Whether it is a ZIP that says to hold one entry. Refusal for one without an end.

    Looked up at the end itself: to open a ZIP of a million entries, only to count them, takes all memory.
    """
    file.seek(0)
    if file.read(len(ZIP_MARK)) != ZIP_MARK:
        return False
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_TAIL))
    tail = file.read(_MOST_TAIL)
    place = tail.rfind(_END_MARK)
    if place < 0 or len(tail) - place < _END.size:
        raise _damaged(line)
    _, _, _, _, entries, directory, _, _ = _END.unpack_from(tail, place)
    return entries == 1 and directory <= _MOST_DIRECTORY and tail[place - 20 : place - 16] != _ZIP64_MARK


def _measured(pieces: Iterator[bytes], line: int, room: int) -> tuple[int, bytes]:
    size, digest = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        if size > room:
            raise refused(
                _ELEMENT,
                line,
                "the attachments together are too large",
                "tổng dung lượng các tệp đính kèm quá lớn",
                BAD_CONTENT,
            )
        digest.update(piece)
    return size, digest.digest()


def _plain(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _expanded(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, line: int) -> Iterator[bytes]:
    """The entry's bytes. What it says of its own size is not believed."""
    limit = min(MAX_ATTACHMENT_BYTES, max(_EXPANDED_FREELY, _MOST_EXPANSION * max(1, entry.compress_size)))
    size = 0
    try:
        with archive.open(entry) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > limit:
                    raise refused(
                        _ELEMENT,
                        line,
                        "the ZIP expands beyond reason",
                        "tệp ZIP giải nén lớn bất thường",
                        BAD_CONTENT,
                    )
                yield piece
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise _damaged(line) from error
    except Exception as error:
        if type(error).__module__ in ("zlib", "_lzma", "_bz2"):
            raise _damaged(line) from error
        raise


def _damaged(line: int) -> Exception:
    return refused(_ELEMENT, line, "the ZIP is damaged", "tệp ZIP bị hỏng", BAD_CONTENT)
