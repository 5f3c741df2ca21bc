"""Reading an archive into a new home: nothing of it is believed before all of it is verified.

Everything goes into a draft folder beside the home. Only when each member has the size and SHA-256 that the
manifest gives, the manifest names no other, the caller's own checks agree, and all is fsynced, the draft gets
the home's name. Whatever fails, no home appears.

What this does not do: prove who made the archive. Whoever can write to it can also write a manifest; the
journal inside is checked by its own chain, and by every agency that has seen its head.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final

from axis.archive.blocks import BLOCK_BYTES, MANIFEST, ArchiveInvalid, Member, padding, read_header
from axis.archive.write import FORMAT

__all__ = ["HomeThere", "Restored", "is_draft", "restoring"]

_CHUNK: Final = 1024 * 1024
_LINE_LIMIT: Final = 64 * 1024
_SEEN: Final = ".members"


class HomeThere(Exception):
    """There is something at the home's path already."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A verified draft: its folder, and the first line of the manifest."""

    folder: Path
    about: dict[str, Any]


def is_draft(folder: Path) -> bool:
    """Whether this is what a restore left behind that broke off: not verified, and no home."""
    return (folder / _SEEN).exists() or (folder / MANIFEST).exists()


@contextmanager
def restoring(
    archive: Path,
    home: Path,
    *,
    kind: str,
    allowed: re.Pattern[str],
    progress: Callable[[str, int], None] = lambda _name, _bytes: None,
) -> Iterator[Restored]:
    """Unpack and verify; the block checks what it means; when that ends well the home appears.

    `kind` is what the manifest must say it is a copy of, `allowed` the members' names of such a home.
    Raises ArchiveInvalid, HomeThere, OSError.
    """
    if os.path.lexists(home):
        raise HomeThere(f"{home} is there already: a copy is restored as a new home")
    parent = home.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.restore-", dir=parent))  # mode 0700
    try:
        with archive.open("rb") as source, (draft / _SEEN).open("w+b") as seen:
            _unpack(source, draft, seen, allowed, progress)
            about = _compare(draft / MANIFEST, seen)
        if about.get("kind") != kind:
            raise ArchiveInvalid(f"this is the copy of another kind of home: {about.get('kind')!r}")
        (draft / _SEEN).unlink()  # the manifest goes on saying that this is a draft
        yield Restored(draft, about)
        (draft / MANIFEST).unlink(missing_ok=True)
        _sync_tree(draft)
        _place(draft, home)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _unpack(
    source: IO[bytes],
    draft: Path,
    seen: IO[bytes],
    allowed: re.Pattern[str],
    progress: Callable[[str, int], None],
) -> None:
    """Every member under its name, and in `seen` the lines that the manifest should have."""
    done = 0
    while (member := read_header(source.read(BLOCK_BYTES))) is not None:
        if member.name != MANIFEST and not allowed.fullmatch(member.name):
            raise ArchiveInvalid(f"{member.name} does not belong into such a copy")
        line = {"name": member.name, "size": member.size, "sha256": _take(source, member, draft)}
        if member.name == MANIFEST:
            # The last one: what came after it, it could not name.
            if read_header(source.read(BLOCK_BYTES)) is not None:
                raise ArchiveInvalid("there is more behind the manifest")
            return
        seen.write(json.dumps(line).encode() + b"\n")
        done += member.size
        progress(member.name, done)
    raise ArchiveInvalid("there is no manifest: the file is not whole")


def _take(source: IO[bytes], member: Member, draft: Path) -> str:
    """Write one member, fsynced; its SHA-256."""
    path = draft / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), member.size
    try:
        # O_EXCL: a name that came twice fails, and no link is followed.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise ArchiveInvalid(f"{member.name} is there twice") from error
    with os.fdopen(descriptor, "wb") as file:
        while left:
            piece = source.read(min(_CHUNK, left))
            if not piece:
                raise ArchiveInvalid(f"the file ends within {member.name}")
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())
    if len(source.read(padding(member.size))) != padding(member.size):
        raise ArchiveInvalid(f"the file ends after {member.name}")
    return digest.hexdigest()


def _compare(manifest: Path, seen: IO[bytes]) -> dict[str, Any]:
    """The manifest's first line, once every other is what was found, in order."""
    seen.seek(0)
    with manifest.open("rb") as lines:
        about = _object(lines.readline(_LINE_LIMIT))
        if about.get("format") != FORMAT:
            raise ArchiveInvalid(f"this version reads {FORMAT}, not {about.get('format')!r}")
        for said, found in zip_longest(_lines(lines), _lines(seen)):
            if said != found:
                name = (found or said or {}).get("name")
                raise ArchiveInvalid(f"{name} is not what the manifest says: {said} is said, {found} found")
    return about


def _lines(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    while line := file.readline(_LINE_LIMIT):
        yield _object(line)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ArchiveInvalid(f"the manifest is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ArchiveInvalid("the manifest is damaged")
    return found


def _place(draft: Path, home: Path) -> None:
    try:
        draft.rename(home)
    except OSError as error:
        if os.path.lexists(home):
            raise HomeThere(f"{home} appeared meanwhile") from error
        raise
    _sync(home.absolute().parent)


def _sync_tree(folder: Path) -> None:
    """The names; the files' data was synced when they were written."""
    for path, _folders, files in os.walk(folder, topdown=False):
        for name in files:
            if name.endswith((".sqlite", ".toml")):  # the caller may have opened these once more
                _sync(Path(path) / name)
        _sync(Path(path))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
