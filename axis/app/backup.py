"""A copy of an axis home as one file, beside a running node or a stopped one; and a home from such a file.

The journal is copied first, as one state; then the blobs. What the copied journal names cannot vanish
meanwhile, since a blob that is named is never collected. Of a home in a cluster those that other nodes took
come from there. The views are not copied: they are made anew.

The certificate authority is copied only when asked for: who has its keys can act as any agency, and a
backup goes to more places and hands than the machine that holds them (design decision 12).
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Final

from axis import config
from axis.app.attachments import SharedAttachments, shared_attachments
from axis.app.home import CLUSTER_KEYS, Home, read_home
from axis.app.marks import Marks
from axis.app.named import named_blobs
from axis.app.whole import NotWhole, whole
from axis.archive.blocks import ArchiveInvalid
from axis.archive.databases import copy_database, open_copy
from axis.archive.read import restoring
from axis.archive.write import Writer, writing
from axis.blobs.copying import add_small, files_to_copy, has_blob
from axis.blobs.rules import SMALL_BYTES
from axis.core import merkle
from axis.core.frame import Head
from axis.durable import write_whole
from axis.journal.sqlite import SqliteJournal
from axis.ports import BlobMismatch, BlobMissing, JournalBroken
from axis.readonly import open_readonly

__all__ = ["KIND", "AuthorityElsewhere", "Progress", "back_up", "restore"]

KIND: Final = "axis"
#: What is being done, and bytes so far.
Progress = Callable[[str, int], None]

_ALLOWED: Final = re.compile(
    r"axis\.toml|journal\.sqlite|blobs/blobs\.sqlite|blobs/[0-9a-f]{2}/[0-9a-f]{62}"
    rf"|keys/[A-Za-z0-9._-]+|keys/{CLUSTER_KEYS}/[A-Za-z0-9._-]+|pki/[A-Za-z0-9._-]+"
)
_BATCH: Final = 64
_TOGETHER: Final = 64  # small blobs that come from the cluster between two looks at what is lacking: 4 MiB
_BUSY_SECONDS: Final = 10.0


class AuthorityElsewhere(Exception):
    """The authority is not in this home: it is backed up where it lives."""


@dataclass(frozen=True, slots=True)
class _Tree:
    head: Head
    root: str


def back_up(
    path: Path,
    out: Path,
    *,
    with_authority: bool = False,
    replace: bool = False,
    progress: Progress = lambda _what, _bytes: None,
) -> dict[str, Any]:
    """Write the copy; what the manifest says of it.

    Raises config.ConfigError, archive.ArchiveExists, ArchiveInvalid (a blob that the journal names is neither
    in the home nor in its cluster, or is damaged there), AuthorityElsewhere, OSError, sqlite3.Error,
    JournalBroken; Refusal `unavailable` when the cluster would be needed and does not answer.
    """
    home = read_home(path)
    if with_authority and (home.settings.issuer_home or not home.pki_path.is_dir()):
        raise AuthorityElsewhere(
            f"the certificate authority is not at {path / 'pki'}: copy it where it lives"
        )
    with writing(out, replace=replace, progress=progress) as writer:
        # Read before the journal: a set that comes into use meanwhile has certificates that the copy lacks.
        own = home.own.current.files
        journal = _copy_journal(home, writer, progress)
        tree = _tree(journal)
        writer.add("axis.toml", path / config.SETTINGS_FILE)
        for name in ("anchors.pem", "chain.pem"):
            writer.add(f"keys/{name}", home.keys_path / name)
        for name, pem in own.items():
            draft = writer.folder / name
            write_whole(draft, pem, 0o600)
            writer.add(f"keys/{name}", draft)
        if home.cluster_keys_path.is_dir():
            for key in sorted(_plain(home.cluster_keys_path)):
                writer.add(f"keys/{CLUSTER_KEYS}/{key.name}", key)
        writer.add("journal.sqlite", journal)
        _add_blobs(home, writer, journal, progress)
        if with_authority:
            _add_authority(home, writer)
        about = {
            "kind": KIND,
            "axis_id": home.anchors.axis_id,
            "journal_id": tree.head.journal_id,
            "head": str(tree.head),
            "root_hash": tree.root,
            "authority": with_authority,
            "version": metadata.version("document-axis"),
            "at": _now(),
        }
        writer.finish(about)
        return about | {"members": writer.members, "bytes": writer.bytes, "file": str(out)}


def restore(archive: Path, path: Path, *, progress: Progress = lambda _what, _bytes: None) -> dict[str, Any]:
    """Make a home from a copy, all of it verified before it appears; what the manifest said.

    Raises archive.ArchiveInvalid, archive.HomeThere, OSError.
    """
    with restoring(archive, path, kind=KIND, allowed=_ALLOWED, progress=progress) as found:
        try:
            home = read_home(found.folder)
        except config.ConfigError as error:
            raise ArchiveInvalid(str(error)) from error
        _verify(home, found.about, progress)
        if home.settings.journal:
            # A missing stream is a loss then, and other nodes may have frames that the copy lacks.
            Marks(found.folder).joins()
    return found.about | {"home": str(path)}


def _copy_journal(home: Home, writer: Writer, progress: Progress) -> Path:
    target = writer.folder / "journal.sqlite"
    copy_database(home.journal_path, target, lambda done, pages: progress(f"journal {done}/{pages} pages", 0))
    return target


def _tree(journal: Path) -> _Tree:
    """The copied journal's head and root, the head verified against its frame."""
    opened = SqliteJournal.open(journal, readonly=True)
    try:
        head = opened.head()
        return _Tree(head, merkle.root(opened.peaks(), head.sequence).hex())
    finally:
        _close(opened)


def _add_blobs(home: Home, writer: Writer, journal: Path, progress: Progress) -> None:
    rows_copy = writer.folder / "blobs.sqlite"
    copy_database(home.blobs_path / "blobs.sqlite", rows_copy)
    with _lacking(home, journal, rows_copy) as lacking, shared_attachments(home) as shared:
        if not home.settings.journal:
            for sha256, _ in lacking():
                raise ArchiveInvalid(f"the journal names blob {sha256.hex()}, and it is not there")
        with _cluster_named():
            small = (each for each in lacking() if each[1] <= SMALL_BYTES)
            _add_small(rows_copy, shared, small, progress)
        writer.add("blobs/blobs.sqlite", rows_copy)
        _add_files(home, writer, journal, rows_copy)
        with _cluster_named():
            _add_shared(writer, shared, (each for each in lacking() if each[1] > SMALL_BYTES))


def _add_files(home: Home, writer: Writer, journal: Path, rows_copy: Path) -> None:
    """The large blobs of the home's own folder."""
    with closing(open_copy(journal)) as facts, closing(open_copy(rows_copy)) as rows:

        def is_named(sha256: bytes) -> bool:
            query = "SELECT 1 FROM facts WHERE key = ? AND value <> x''"
            return facts.execute(query, (f"blob/{sha256.hex()}",)).fetchone() is not None

        for sha256, file in files_to_copy(home.blobs_path, rows, is_named):
            try:
                writer.add(_member(sha256), file)
            except FileNotFoundError:
                if is_named(sha256):
                    raise


def _add_shared(writer: Writer, shared: SharedAttachments, large: Iterable[tuple[bytes, int]]) -> None:
    """The large blobs that only the cluster has, streamed from there."""
    for sha256, size in large:
        writer.add_pieces(_member(sha256), size, shared.read(sha256, size))


def _member(sha256: bytes) -> str:
    name = sha256.hex()
    return f"blobs/{name[:2]}/{name[2:]}"


def _add_small(
    rows_copy: Path, shared: SharedAttachments, small: Iterator[tuple[bytes, int]], progress: Progress
) -> None:
    """Those that only the cluster has become rows like the home's own."""
    count, came = 0, 0
    while some := list(islice(small, _TOGETHER)):
        # Not while the rows are read: to see what they lack.
        add_small(rows_copy, shared.read_small(some))
        count, came = count + len(some), came + sum(size for _, size in some)
        progress(f"{count} small attachments from the cluster", came)


@contextmanager
def _cluster_named() -> Iterator[None]:
    """What the cluster lacks, or has damaged, as what is wrong with the copy."""
    try:
        yield
    except BlobMissing as error:
        raise ArchiveInvalid(f"neither this home nor the cluster has blob {error}, which is named") from error
    except BlobMismatch as error:
        raise ArchiveInvalid(f"not in this home, and damaged in the cluster: blob {error}") from error


@contextmanager
def _lacking(
    home: Home, journal: Path, rows_copy: Path
) -> Iterator[Callable[[], Iterator[tuple[bytes, int]]]]:
    """Gives (SHA-256, size) of every blob that the copied journal names and the home's folder lacks."""
    opened = SqliteJournal.open(journal, readonly=True)
    try:
        with closing(open_readonly(rows_copy, timeout=_BUSY_SECONDS)) as rows:
            yield lambda: named_blobs(opened, lambda sha256: not has_blob(home.blobs_path, rows, sha256))
    finally:
        _close(opened)


def _named(facts: sqlite3.Connection) -> Iterator[bytes]:
    """Every blob that the journal names."""
    query = "SELECT key FROM facts WHERE key >= 'blob/' AND key < 'blob0' AND value <> x'' ORDER BY key"
    for (key,) in facts.execute(query):
        yield bytes.fromhex(key.removeprefix("blob/"))


def _add_authority(home: Home, writer: Writer) -> None:
    for file in sorted(_plain(home.pki_path)):
        if file.suffix != ".sqlite":
            writer.add(f"pki/{file.name}", file)
    listed = home.pki_path / "issued.sqlite"
    if listed.exists():
        # After the journal: the list has at least what the copied journal has.
        copy_database(listed, writer.folder / "issued.sqlite")
        writer.add("pki/issued.sqlite", writer.folder / "issued.sqlite")


def _plain(folder: Path) -> Iterator[Path]:
    """A folder's own files, without drafts and what SQLite keeps beside a database."""
    for path in folder.iterdir():
        if (
            path.is_file()
            and not path.name.startswith(".")
            and not path.name.endswith(("-wal", "-shm", "-journal"))
        ):
            yield path


def _verify(home: Home, about: dict[str, Any], progress: Progress) -> None:
    """The journal is whole, chains up to the head that the manifest names, and every blob is there."""
    try:
        head, root = whole(home, progress)
    except (NotWhole, JournalBroken) as error:
        raise ArchiveInvalid(str(error)) from error
    if str(head) != about.get("head") or head.journal_id != about.get("journal_id"):
        raise ArchiveInvalid(f"the journal stands at {head}, the manifest says {about.get('head')}")
    if root != about.get("root_hash"):
        raise ArchiveInvalid(f"the records' root hash is {root}, not {about.get('root_hash')}")
    if home.anchors.axis_id != about.get("axis_id"):
        raise ArchiveInvalid("the anchors are of another axis than the manifest says")


def _close(journal: SqliteJournal) -> None:
    import asyncio

    asyncio.run(journal.close())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
