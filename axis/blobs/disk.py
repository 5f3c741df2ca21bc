"""What the blob folder asks of the operating system, with a full disk named as such."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from axis.durable import sync_folder
from axis.ports import StorageFull

__all__ = [
    "create",
    "folders",
    "full_named",
    "make_folders",
    "read_cached",
    "removed_on_error",
    "write",
]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def read_cached(file: FileIO, count: int, offset: int) -> bytes | None:
    """What the page cache holds, at once; None where the disk would have to be waited for."""
    buffer = bytearray(count)
    try:
        came = os.preadv(file.fileno(), [buffer], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
            return None
        raise
    del buffer[came:]
    return bytes(buffer)


def create(path: Path) -> FileIO:
    """Open a new file for writing; or the null device, which takes everything."""
    with full_named():
        if path == Path(os.devnull):
            return FileIO(path, "w")
        return FileIO(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600))


def write(file: FileIO, data: bytes) -> None:
    """Write all of it; StorageFull."""
    left = memoryview(data)
    with full_named():
        while left:
            left = left[file.write(left) :]


@contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Remove the file, where there is one, if the block fails."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def full_named() -> Iterator[None]:
    """Turn the operating system's ways of saying "no room" into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(str(error)) from error
        raise


def make_folders(root: Path) -> None:
    """Make what is missing of the layout, durably, and empty its `tmp`."""
    new = not root.is_dir()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (root / "tmp", *folders(root)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            new = True
    if new:
        sync_folder(root)
        sync_folder(root.absolute().parent)
    for left_over in (root / "tmp").iterdir():
        left_over.unlink()


def folders(root: Path) -> Iterator[Path]:
    """The 256 folders that blobs lie in."""
    return (root / f"{first:02x}" for first in range(256))
