"""Files handed in by the agency's software: from a stream of unknown length into the blobs, by their hash.

What fits is kept in memory; the rest goes to `HOME/spool` first, because a blob's name is known only when
all of it has come. Nothing here is promised before the blob is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import mimetypes
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast
from urllib.parse import quote, unquote

from agencies.attachments import AttachmentRow
from agencies.flow.fetch import OWNER
from agencies.times import DAY_MS
from axis.blobs.rules import SMALL_BYTES
from axis.core.document import MAX_ATTACHMENT_BYTES, MAX_NAME
from axis.core.errors import Refusal
from axis.ports import Blobs, Clock, StorageFull

__all__ = ["Spool", "TakenFile", "no_room_named", "safe_name"]

_IN_MEMORY: Final = 256 * 1024
_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file as it is listed, and a small one's bytes where they are still to be stored."""

    row: AttachmentRow
    content: bytes | None


class Spool:
    """Takes files. The folder is emptied at start: whoever was interrupted got no answer and repeats."""

    def __init__(self, folder: Path, blobs: Blobs, clock: Clock) -> None:
        self._folder = folder
        self._blobs = blobs
        self._clock = clock
        folder.mkdir(mode=0o700, exist_ok=True)
        for left_over in folder.iterdir():
            left_over.unlink()

    async def take(
        self, name: str, media_type: str, chunks: AsyncIterator[bytes], *, keep: bool = False
    ) -> TakenFile:
        """Take one file; durable when this returns, but for a small one with `keep`.

        Refusal `field_invalid` (name, size) or `storage_full`.
        """
        name = _checked_name(name)
        media_type = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        with no_room_named():
            return await self._take(name, media_type, chunks, keep)

    async def _take(self, name: str, media_type: str, chunks: AsyncIterator[bytes], keep: bool) -> TakenFile:
        digest = hashlib.sha256()
        head = bytearray()
        file: IO[bytes] | None = None
        size = 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_ATTACHMENT_BYTES:
                    raise Refusal("field_invalid", f"file {name}: over {MAX_ATTACHMENT_BYTES} bytes")
                digest.update(chunk)
                if file is None and size <= _IN_MEMORY:
                    head += chunk
                    continue
                if file is None:
                    file = _scratch(self._folder)
                    await asyncio.to_thread(file.write, head)
                await asyncio.to_thread(file.write, chunk)
            row = AttachmentRow(name, media_type, size, digest.digest())
            if keep and size <= SMALL_BYTES:
                return TakenFile(row, bytes(head))
            content = _of_file(file) if file is not None else _of_bytes(bytes(head))
            await self._store(row.sha256, size, content)
        finally:
            if file is not None:
                file.close()
        return TakenFile(row, None)

    def scratch(self) -> IO[bytes]:
        """A file for whoever takes something apart: in memory while it is small, gone when it is closed."""
        return cast(IO[bytes], tempfile.SpooledTemporaryFile(SMALL_BYTES, "w+b", dir=str(self._folder)))

    async def put(self, row: AttachmentRow, content: AsyncIterator[bytes]) -> None:
        """Store a content whose size and hash are known, durably. Refusal `storage_full`."""
        await self._store(row.sha256, row.size, content)

    async def _store(self, sha256: bytes, size: int, content: AsyncIterator[bytes]) -> None:
        now = self._clock.now()
        try:
            await self._blobs.put(sha256, size, content, owner=OWNER, now=now, pin_until=now + DAY_MS)
        except StorageFull as error:
            raise Refusal("storage_full", "no room for a file", retry_after=30) from error


@contextlib.contextmanager
def no_room_named() -> Iterator[None]:
    """Where a scratch file finds no room: Refusal `storage_full`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal("storage_full", "there is no room for a file", retry_after=30) from error
        raise


def _scratch(folder: Path) -> IO[bytes]:
    """A file without a name: it is gone when it is closed, however that happens."""
    path = folder / secrets.token_hex(8)
    file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by the caller
    os.unlink(path)
    return file


async def _of_file(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk


async def _of_bytes(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


def _checked_name(name: str) -> str:
    """The sender's file name without any folder. Refusal `field_invalid` for one that is none."""
    name = _form_name(name).replace("\\", "/").rpartition("/")[2].strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name in (".", ".."):
        raise Refusal("field_invalid", f"file: {name[:60]!r} is no file name of 1 to {MAX_NAME} characters")
    return name


def _form_name(name: str) -> str:
    """A form's file name as it was meant: some clients percent-encode all of it, others only `"`."""
    with contextlib.suppress(UnicodeDecodeError):
        plain = unquote(name, errors="strict")
        if quote(plain, safe="") == name:
            return plain
    return name.replace("%22", '"')


def safe_name(name: str, number: int) -> str:
    """A name under which an attachment may be written: in its folder, visible, not over 255 bytes.

    Names come from a sender: a path, a leading dot or a control character must not choose where we write.
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(c if c.isprintable() else "_" for c in name).strip().lstrip(".")
    if not name:
        return f"attachment-{number}"
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    while len(name.encode()) > 200:
        stem = stem[:-1]
        name = f"{stem}{dot}{extension}" if stem else name[-40:]
    return name
