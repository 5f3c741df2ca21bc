"""Tar headers, strictly: regular files with short plain names, and nothing else that the format can say.

`tarfile` makes and parses single headers; its readers are not used, since they follow links, read extended
headers of any size into memory, and keep every member.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from typing import Final

__all__ = ["BLOCK_BYTES", "MANIFEST", "ArchiveInvalid", "Member", "check_name", "padding", "read_header"]

BLOCK_BYTES: Final = 512
MANIFEST: Final = "manifest.jsonl"

#: Relative, no part begins with a dot: no traversal, no hidden file, nothing to normalise.
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}")
_NAME_LIMIT: Final = 100  # a longer one needs an extended header


class ArchiveInvalid(Exception):
    """This is no archive of ours, or it is damaged, or somebody changed it; says what is wrong where."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its name, its size in bytes."""

    name: str
    size: int

    @property
    def header(self) -> bytes:
        """The block that stands before its bytes. Owner, time and mode say nothing: a restore sets them."""
        check_name(self.name)
        info = tarfile.TarInfo(self.name)
        info.size, info.mode = self.size, 0o600
        block = info.tobuf(tarfile.GNU_FORMAT, "ascii")
        if len(block) != BLOCK_BYTES:
            raise ArchiveInvalid(f"{self.name!r} does not fit into a header")
        return block


def read_header(block: bytes) -> Member | None:
    """What a header says; None for the empty block that ends the archive. Raises ArchiveInvalid."""
    if len(block) != BLOCK_BYTES:
        raise ArchiveInvalid("the file ends early")
    if not any(block):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise ArchiveInvalid(f"not an archive, or a damaged one: {error}") from error
    if info.type != tarfile.REGTYPE or info.linkname or info.size < 0:
        raise ArchiveInvalid(f"{info.name!r} is not a plain file")
    check_name(info.name)
    return Member(info.name, info.size)


def check_name(name: str) -> None:
    """Raise ArchiveInvalid unless the name is one that we would write."""
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise ArchiveInvalid(f"a member's name is not allowed: {name[:_NAME_LIMIT]!r}")


def padding(size: int) -> int:
    """How many zero bytes follow a member."""
    return -size % BLOCK_BYTES
