"""A copy of an agency's home as one file, beside a running node or a stopped one; a home from such a file.

The store is copied first, as one state; then the contents that it names, which no node ever deletes; then
keys and settings. The file holds the organisation's private keys, the API's token and the VXP systems'
secrets.

A content that the home itself lacks is no reason to make no copy of the rest: it is counted.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from agencies import config, keys
from agencies.store.database import SCHEMA_VERSION, Store
from agencies.store.restored import mark_restored
from agencies.times import rfc3339
from axis.archive.blocks import ArchiveInvalid
from axis.archive.databases import check_database, copy_database, open_copy
from axis.archive.read import restoring
from axis.archive.write import Writer, writing
from axis.blobs.copying import files_to_copy, has_blob
from axis.core.errors import Refusal
from axis.core.trust import read_certificate

__all__ = ["KIND", "Progress", "back_up", "restore"]

KIND: Final = "agency"
#: What is being done, and bytes so far.
Progress = Callable[[str, int], None]

_STORE: Final = "agency.sqlite"
_ROWS: Final = "blobs/blobs.sqlite"
_KEY_FILE: Final = re.compile(r"[0-9a-f]{16}/((tls|sign)\.(key|csr|crt)|anchors\.pem)")
_ALLOWED: Final = re.compile(
    r"agency\.toml|agency\.sqlite|api\.token|blobs/blobs\.sqlite|blobs/[0-9a-f]{2}/[0-9a-f]{62}"
    rf"|keys/current|keys/{_KEY_FILE.pattern}"
)
#: Contents that are no rows of the store.
_NOT_SMALL: Final = (
    "SELECT DISTINCT sha256 FROM attachment WHERE sha256 NOT IN (SELECT sha256 FROM content) ORDER BY sha256"
)
_COUNTED: Final = {"sent": "sent", "received": "received", "receipts": "receipt"}
_NOTHING: Final = {"head": "", **dict.fromkeys(_COUNTED, 0), "contents_lacking": 0}


def back_up(
    home: Path,
    out: Path,
    *,
    now: int,
    replace: bool = False,
    progress: Progress = lambda _what, _bytes: None,
) -> dict[str, Any]:
    """Write the copy; what the manifest says of it. `now` in milliseconds.

    Raises config.ConfigError, archive.ArchiveExists, ArchiveInvalid, OSError, sqlite3.Error.
    """
    code, axis_id = config.load(home).code, keys.load_credentials(home).axis_id
    with writing(out, replace=replace, progress=progress) as writer:
        stored = _add_store(home, writer, progress)
        # Before the sets: whichever it names is there when they are listed.
        writer.add("keys/current", home / "keys" / "current")
        for name in sorted(_key_files(home)):
            writer.add(f"keys/{name}", home / "keys" / name)
        if (home / "api.token").is_file():
            writer.add("api.token", home / "api.token")
        writer.add(config.SETTINGS_FILE, home / config.SETTINGS_FILE)
        about = {
            "kind": KIND,
            "code": code,
            "axis_id": axis_id,
            **stored,
            "version": metadata.version("document-axis"),
            "at": rfc3339(now),
        }
        writer.finish(about)
        return about | {"members": writer.members, "bytes": writer.bytes, "file": str(out)}


def restore(
    archive: Path, home: Path, *, now: int, progress: Progress = lambda _what, _bytes: None
) -> dict[str, Any]:
    """Make a home from a copy, all of it verified before it appears; what the manifest said.

    `now` in milliseconds. Raises archive.ArchiveInvalid, archive.HomeThere, OSError, sqlite3.Error.
    """
    with restoring(archive, home, kind=KIND, allowed=_ALLOWED, progress=progress) as found:
        _verify(found.folder, found.about)
        store = found.folder / _STORE
        if not store.exists():  # copied before it was ever started
            Store(store).close()
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            mark_restored(connection, now)
            connection.execute("COMMIT")
    return found.about | {"home": str(home)}


def _add_store(home: Path, writer: Writer, progress: Progress) -> dict[str, Any]:
    """The store, and the large contents that it names; what the manifest says of them."""
    if not (home / _STORE).exists():
        return _NOTHING  # it was never started
    store, rows_copy = writer.folder / _STORE, writer.folder / "blobs.sqlite"
    copy_database(home / _STORE, store, lambda done, pages: progress(f"store {done}/{pages} pages", 0))
    copy_database(home / _ROWS, rows_copy)
    with closing(open_copy(store)) as stored, closing(open_copy(rows_copy)) as rows:
        writer.add(_STORE, store)
        writer.add(_ROWS, rows_copy)

        def is_named(sha256: bytes) -> bool:
            query = "SELECT 1 FROM attachment WHERE sha256 = ? LIMIT 1"
            return stored.execute(query, (sha256,)).fetchone() is not None

        for sha256, file in files_to_copy(home / "blobs", rows, is_named):
            name = sha256.hex()
            try:
                writer.add(f"blobs/{name[:2]}/{name[2:]}", file)
            except FileNotFoundError:
                if is_named(sha256):
                    raise
        return _state(stored, rows, home / "blobs")


def _key_files(home: Path) -> Iterator[str]:
    """Of every set: earlier ones too, for certificates of those are ours."""
    for folder in (home / "keys").iterdir():
        if folder.is_dir():
            for file in folder.iterdir():
                name = f"{folder.name}/{file.name}"
                if _KEY_FILE.fullmatch(name):
                    yield name


def _state(stored: sqlite3.Connection, rows: sqlite3.Connection, blobs: Path) -> dict[str, Any]:
    """What a manifest says of a store, and of the contents in the folder `blobs`."""
    head = stored.execute("SELECT value FROM setting WHERE name = 'head'").fetchone()
    lacking = sum(not has_blob(blobs, rows, sha256) for (sha256,) in stored.execute(_NOT_SMALL))
    counts = {
        name: stored.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for name, table in _COUNTED.items()
    }
    return {"head": head[0] if head else "", **counts, "contents_lacking": lacking}


def _verify(folder: Path, about: dict[str, Any]) -> None:
    """The keys are the organisation's, the databases whole, the contents there under their hashes."""
    _verify_identity(folder, about)
    if not (folder / _STORE).exists():
        found = _NOTHING
    else:
        for name in (_STORE, _ROWS):
            if not (folder / name).is_file():
                raise ArchiveInvalid(f"{name} is missing")
            if wrong := check_database(folder / name):
                raise ArchiveInvalid(f"{name}: {wrong}")
        with closing(open_copy(folder / _STORE)) as stored, closing(open_copy(folder / _ROWS)) as rows:
            version = stored.execute("PRAGMA user_version").fetchone()[0]
            if not 1 <= version <= SCHEMA_VERSION:
                raise ArchiveInvalid(f"the store has version {version}, this program knows {SCHEMA_VERSION}")
            for sha256, content in stored.execute("SELECT sha256, content FROM content"):
                if hashlib.sha256(content).digest() != sha256:
                    raise ArchiveInvalid(f"content {sha256.hex()} is not what it is named")
            found = _state(stored, rows, folder / "blobs")
    for name, value in found.items():
        if about.get(name) != value:
            raise ArchiveInvalid(f"{name}: the store says {value!r}, the manifest {about.get(name)!r}")


def _verify_identity(folder: Path, about: dict[str, Any]) -> None:
    """Settings and keys can be read, belong together, and are whose the manifest says."""
    try:
        code, credentials = config.load(folder).code, keys.load_credentials(folder)
        keys.check_pairs(credentials)
        owner = read_certificate(credentials.sign_certificate).organisation
    except (config.ConfigError, Refusal, OSError, ValueError) as error:
        raise ArchiveInvalid(f"settings or keys: {error}") from error
    if not code == owner == about.get("code"):
        raise ArchiveInvalid(f"settings of {code}, certificate of {owner}, manifest of {about.get('code')!r}")
    if credentials.axis_id != about.get("axis_id"):
        raise ArchiveInvalid("the anchors are of another axis than the manifest says")
