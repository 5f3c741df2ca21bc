"""Writing an archive: a draft beside the file that is wanted, fsynced, then renamed.

Members are streamed. Of each only one line is kept, on the disk. Not for use on an event loop.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from axis.archive.blocks import BLOCK_BYTES, MANIFEST, ArchiveInvalid, Member, padding
from axis.durable import sync_folder

__all__ = ["FORMAT", "ArchiveExists", "Writer", "writing"]

#: The manifest's first line says which layout this is; a reader knows one.
FORMAT: Final = "document-axis-backup/1"
_CHUNK: Final = 1024 * 1024


class ArchiveExists(Exception):
    """The file is there already."""


class Writer:
    """An archive that is being written. `folder` takes what must be on disk before it can be added."""

    def __init__(self, file: IO[bytes], folder: Path, progress: Callable[[str, int], None]) -> None:
        self.folder = folder
        #: Of the members' contents, so far.
        self.members = 0
        self.bytes = 0
        self._file = file
        self._progress = progress
        self._lines = (folder / MANIFEST).open("w+b")

    def add(self, name: str, path: Path) -> None:
        """Add a file under a name. Raises FileNotFoundError; ArchiveInvalid if its size changes meanwhile."""
        with path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            self.add_pieces(name, size, _pieces(source, size))

    def add_pieces(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """Add what comes in pieces, `size` bytes in all. Raises ArchiveInvalid if they are not."""
        digest = self._put(Member(name, size), pieces)
        line = {"name": name, "size": size, "sha256": digest}
        self._lines.write(json.dumps(line).encode() + b"\n")
        self.members += 1
        self.bytes += size
        self._progress(name, self.bytes)

    def finish(self, about: Mapping[str, Any]) -> None:
        """The manifest, and the end. `about` says what the archive is a copy of."""
        head = {"format": FORMAT, **about, "members": self.members, "bytes": self.bytes}
        self._lines.seek(0)
        path = self.folder / f"{MANIFEST}.whole"
        with path.open("w+b") as whole:
            whole.write(json.dumps(head, ensure_ascii=False).encode() + b"\n")
            shutil.copyfileobj(self._lines, whole, _CHUNK)
            size = whole.tell()
            whole.seek(0)
            self._put(Member(MANIFEST, size), _pieces(whole, size))
        self._file.write(bytes(2 * BLOCK_BYTES))

    def close(self) -> None:
        """Let the manifest's draft go."""
        self._lines.close()

    def _put(self, member: Member, pieces: Iterable[bytes]) -> str:
        self._file.write(member.header)
        digest, left = hashlib.sha256(), member.size
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            self._file.write(piece)
        if left:
            raise ArchiveInvalid(f"{member.name} came shorter, or longer, than it was to be")
        self._file.write(bytes(padding(member.size)))
        return digest.hexdigest()


def _pieces(source: IO[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file, or what there is of them."""
    left = size
    while left and (piece := source.read(min(_CHUNK, left))):
        left -= len(piece)
        yield piece


@contextmanager
def writing(
    out: Path, *, replace: bool = False, progress: Callable[[str, int], None] = lambda _name, _bytes: None
) -> Iterator[Writer]:
    """An archive that appears at `out`, mode 0600, when the block ends well; else nothing of it stays.

    Raises ArchiveExists unless `replace`; OSError.
    """
    if os.path.lexists(out) and not replace:
        raise ArchiveExists(f"{out} is there already: name another file, or replace it with --force")
    # Beside the target: the rename must not cross file systems, and there is room if there is any.
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
    try:
        draft = folder / "archive"
        with draft.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            writer = Writer(file, folder, progress)
            try:
                yield writer
            finally:
                writer.close()
            file.flush()
            os.fsync(file.fileno())
        _place(draft, out, replace=replace)
    finally:
        shutil.rmtree(folder)


def _place(draft: Path, out: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(out)
    else:
        try:
            os.link(draft, out)  # unlike a rename it never replaces what came meanwhile
        except FileExistsError as error:
            raise ArchiveExists(
                f"{out} is there already: name another file, or replace it with --force"
            ) from error
    sync_folder(out.absolute().parent)
