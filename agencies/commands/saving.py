"""Writing what came from others into a folder that may hold other files: nothing there is ever replaced.

Names come from a sender, so one of them may be any name that is in the folder already, a symbolic link's
included. Content goes into a new file of a random name, is synced, and is then linked under the first name
that is free, which fails where somebody else was faster. Where the very same content is there already under
that name, it is kept: saving a document again changes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import unicodedata
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

__all__ = ["Folder"]

_CHUNK: Final = 256 * 1024
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What file systems without hard links answer to `link`.
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)


class Folder:
    """A folder to save one document's attachments in."""

    def __init__(self, path: Path) -> None:
        """Make the folder where there is none. Raises OSError."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._there = {_folded(name) for name in os.listdir(self._descriptor)}
        self._written: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    async def save(self, name: str, number: int, fill: Callable[[BinaryIO], Awaitable[None]]) -> Path:
        """Write what `fill` gives, whole or not at all, as `name` or a name like it; the path it has."""
        scratch = f".{secrets.token_hex(16)}.part"
        with os.fdopen(os.open(scratch, _NEW, 0o666, dir_fd=self._descriptor), "w+b") as file:
            try:
                await fill(file)
                file.flush()
                os.fsync(file.fileno())
                placed = next(one for one in _names(name, number) if self._place(file, scratch, one))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(scratch, dir_fd=self._descriptor)
        os.fsync(self._descriptor)
        return self._path / placed

    def _place(self, file: BinaryIO, scratch: str, name: str) -> bool:
        """Give the content this name, unless it is another's."""
        folded = _folded(name)
        if folded in self._written:
            return False
        placed = self._same(file, name) if folded in self._there else self._linked(file, scratch, name)
        if placed:
            self._written.add(folded)
        return placed

    def _linked(self, file: BinaryIO, scratch: str, name: str) -> bool:
        there = self._descriptor
        try:
            os.link(scratch, name, src_dir_fd=there, dst_dir_fd=there, follow_symlinks=False)
        except FileExistsError:  # since we looked
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._copied(file, name)
        return True

    def _copied(self, file: BinaryIO, name: str) -> bool:
        """Where the file system has no links."""
        try:
            descriptor = os.open(name, _NEW, 0o666, dir_fd=self._descriptor)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as target:
            try:
                file.seek(0)
                shutil.copyfileobj(file, target)
                target.flush()
                os.fsync(target.fileno())
            except BaseException:
                os.unlink(name, dir_fd=self._descriptor)
                raise
        return True

    def _same(self, file: BinaryIO, name: str) -> bool:
        """Whether a regular file of exactly this name and content is there. A link is none."""
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
            with os.fdopen(descriptor, "rb") as other:
                return _digest(other) == _digest(file)
        return False


def _digest(file: BinaryIO) -> bytes:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.digest()


def _names(name: str, number: int) -> Iterator[str]:
    """The name, then others like it, without end."""
    yield name
    yield f"{number}-{name}"
    for count in itertools.count(2):
        yield f"{number}-{count}-{name}"


def _folded(name: str) -> str:
    """What some file systems take for the same name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
