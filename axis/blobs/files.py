"""Blobs on disk: large ones as files named by their SHA-256, `ROOT/ab/cdef…`; small ones, and everybody's
pins, as rows of `ROOT/blobs.sqlite`.

A file is written to `ROOT/tmp`, fsynced, renamed into place, and its folder fsynced: a name never points at
bytes that a power cut can take. Small bodies cost one hop to a thread and one commit, however many come
together; a large one is hashed and written a piece at a time, so it is never wholly in memory and never
holds up the loop.

One process opens a root for writing (the home's lock); any number may read.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from axis.blobs.disk import (
    create,
    folders,
    full_named,
    make_folders,
    read_cached,
    removed_on_error,
    write,
)
from axis.blobs.rows import BlobRows
from axis.blobs.rules import CHUNK_BYTES, GRACE_MS, SMALL_BYTES
from axis.durable import sync_folder
from axis.ports import BlobMismatch, BlobMissing

__all__ = ["FileBlobs"]

P = ParamSpec("P")
T = TypeVar("T")

#: What a large upload gathers before a thread hashes and writes it.
_PIECE_BYTES: Final = 1024 * 1024

_THREADS: Final = 8

#: Blobs that a walk looks at before it lets others run.
_BATCH: Final = 32
#: Rows that a walk holds in memory; of files, those of one folder, a 256th of all.
_PAGE: Final = 1000


class FileBlobs:
    """ports.Blobs in a folder. Make one with `open_root`."""

    def __init__(self, root: Path, rows: BlobRows, *, readonly: bool) -> None:
        self._root = root
        self._rows = rows
        self._readonly = readonly
        self._uploading: Counter[bytes] = Counter()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._closed = False

    @classmethod
    def open_root(cls, root: Path, *, readonly: bool = False) -> FileBlobs:
        """Open the folder; unless `readonly`, make it and remove what interrupted uploads left.

        Raises FileNotFoundError (only when `readonly`), StorageFull.
        """
        root = Path(root)
        if not readonly:
            with full_named():
                make_folders(root)
        elif not (root / "blobs.sqlite").is_file():
            raise FileNotFoundError(f"no blobs at {root}")
        return cls(root, BlobRows(root / "blobs.sqlite", readonly=readonly), readonly=readonly)

    async def put(
        self,
        sha256: bytes,
        size: int,
        chunks: AsyncIterator[bytes],
        *,
        owner: str,
        now: int,
        pin_until: int,
    ) -> None:
        """Store and pin; see ports.Blobs. Cancelled in its last step, a complete blob may stay, pinned."""
        if self._readonly:
            raise PermissionError(f"{self._root} is open read-only")
        with self._marked([sha256]):
            if size <= SMALL_BYTES:
                body = await _gathered(chunks, size)
                _check(sha256, size, len(body), hashlib.sha256(body).digest())
                await self._in_thread(self._rows.store, {sha256: body}, owner, pin_until)
            else:
                await self._store_large(sha256, size, chunks, owner, pin_until)

    async def put_small(self, contents: Sequence[bytes], *, owner: str, now: int, pin_until: int) -> None:
        """Store and pin several; see ports.Blobs."""
        if self._readonly:
            raise PermissionError(f"{self._root} is open read-only")
        if any(len(content) > SMALL_BYTES for content in contents):
            raise ValueError(f"a small blob has at most {SMALL_BYTES} bytes")
        named = {hashlib.sha256(content).digest(): content for content in contents}
        with self._marked(named):
            await self._in_thread(self._rows.store, named, owner, pin_until)

    @contextmanager
    def _marked(self, hashes: Iterable[bytes]) -> Iterator[None]:
        """From before the first await of an upload: `collect` leaves these alone."""
        marked = list(hashes)
        self._uploading.update(marked)
        try:
            yield
        finally:
            self._uploading.subtract(marked)
            for sha256 in marked:
                if not self._uploading[sha256]:
                    del self._uploading[sha256]

    def pinned(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end of the pin) of this owner's blob."""
        until = self._rows.until(sha256, owner)
        size = None if until is None else self.size(sha256)
        return None if until is None or size is None else (size, until)

    @asynccontextmanager
    async def open(self, sha256: bytes, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset`. Deleted meanwhile, it is still read to its end."""
        content = self._rows.content(sha256)
        if content is not None:
            yield _in_memory(content, offset)
            return
        try:
            # The raw file, not its number: read after the end, it raises, and never reads another file.
            file = FileIO(self._path(sha256))
        except FileNotFoundError:
            raise BlobMissing(sha256.hex()) from None
        with file:
            yield self._read(file, offset)

    def size(self, sha256: bytes) -> int | None:
        """The size of a stored blob."""
        path = self._path(sha256)
        size = self._rows.size(sha256)
        if size is not None:
            return size
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    async def collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> int:
        """Delete what nobody pins or names; see ports.Blobs."""
        if self._readonly:
            raise PermissionError(f"{self._root} is open read-only")
        ended_before = now - GRACE_MS
        deleted = 0
        # What comes while this goes on is pinned, or being uploaded.
        if confirm is not None and not await confirm():
            return 0
        async for sha256 in self.each():
            if self._uploading[sha256]:
                continue
            newest = self._rows.newest(sha256)
            if (newest is not None and newest >= ended_before) or is_named(sha256):
                continue
            deleted += await self._delete(sha256, ended_before)
        return deleted

    async def each(self) -> AsyncIterator[bytes]:
        """As `hashes`, for walks beside other work: looked up in threads, a page in memory at a time.

        What is stored or deleted meanwhile may be among them or not.
        """
        after = b""
        while page := await self._in_thread(self._rows.page, after, _PAGE):
            after = page[-1]
            async for sha256 in _by_turns(page):
                yield sha256
        for folder in folders(self._root):
            async for sha256 in _by_turns(await self._in_thread(_hashes_in, folder)):
                yield sha256

    async def _delete(self, sha256: bytes, ended_before: int) -> bool:
        doomed = self._temporary()
        # No await since the checks: a file's name goes before anybody can upload the blob again. A row goes
        # only where no pin has come meanwhile.
        named = False
        with suppress(FileNotFoundError):
            self._path(sha256).rename(doomed)
            named = True
        return await self._in_thread(self._remove, sha256, doomed if named else None, ended_before)

    def hashes(self) -> Iterator[bytes]:
        """Every stored blob's SHA-256."""
        yield from self._rows.hashes()
        for folder in folders(self._root):
            yield from _hashes_in(folder)

    async def close(self) -> None:
        """Finish what the threads are at and release the files. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._rows.close()

    def _path(self, sha256: bytes) -> Path:
        if len(sha256) != 32:
            raise ValueError(f"a SHA-256 has 32 bytes, not {len(sha256)}")
        name = sha256.hex()
        return self._root / name[:2] / name[2:]

    def _temporary(self) -> Path:
        return self._root / "tmp" / secrets.token_hex(16)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread and, cancelled, wait for its end: no file is closed or removed under its hands."""
        work = self._threads.submit(function, *args, **kwargs)
        future = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({future})
            future.exception()  # looked at, so that nobody logs it as forgotten
            raise

    async def _store_large(
        self, sha256: bytes, size: int, chunks: AsyncIterator[bytes], owner: str, pin_until: int
    ) -> None:
        temporary = self._temporary()
        # What is stored already is only hashed: the owner must still prove to have it.
        target = temporary if self.size(sha256) is None else Path(os.devnull)
        digest = hashlib.sha256()

        def take(piece: bytes) -> None:
            digest.update(piece)
            write(file, piece)

        def finish() -> None:
            _check(sha256, size, size, digest.digest())
            if target is temporary:
                self._place(file, temporary, sha256)
            self._rows.prolong(sha256, owner, pin_until)

        with removed_on_error(temporary), create(target) as file:
            came = 0
            async for piece in _pieces(chunks):
                came += len(piece)
                if came > size:
                    raise BlobMismatch(f"over {size} bytes came")
                await self._in_thread(take, piece)
            if came != size:
                raise BlobMismatch(f"{came} of {size} bytes came")
            await self._in_thread(finish)

    def _place(self, file: FileIO, temporary: Path, sha256: bytes) -> None:
        # Data first, then the name, then the folder that holds the name.
        path = self._path(sha256)
        with full_named():
            os.fsync(file.fileno())
            temporary.rename(path)
            sync_folder(path.parent)

    def _remove(self, sha256: bytes, doomed: Path | None, ended_before: int) -> bool:
        gone = self._rows.drop(sha256, ended_before)
        if doomed is not None:
            doomed.unlink()
        return gone or doomed is not None

    async def _read(self, file: FileIO, offset: int) -> AsyncIterator[bytes]:
        end = os.fstat(file.fileno()).st_size
        while offset < end:
            count = min(CHUNK_BYTES, end - offset)
            piece = read_cached(file, count, offset)
            if piece is None:
                piece = await self._in_thread(os.pread, file.fileno(), count, offset)
            if not piece:
                return
            offset += len(piece)
            yield piece


def _hashes_in(folder: Path) -> list[bytes]:
    try:
        return [bytes.fromhex(folder.name + name) for name in sorted(os.listdir(folder))]
    except FileNotFoundError:
        return []


async def _by_turns(page: Sequence[bytes]) -> AsyncIterator[bytes]:
    for number, sha256 in enumerate(page, 1):
        yield sha256
        if number % _BATCH == 0:
            await asyncio.sleep(0)


async def _in_memory(content: bytes, offset: int) -> AsyncIterator[bytes]:
    if offset < len(content):
        yield content[offset:] if offset else content


async def _gathered(chunks: AsyncIterator[bytes], size: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        if len(body) + len(chunk) > size:
            raise BlobMismatch(f"over {size} bytes came")
        body += chunk
    return bytes(body)


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _check(sha256: bytes, size: int, came: int, digest: bytes) -> None:
    if came != size:
        raise BlobMismatch(f"{came} of {size} bytes came")
    if digest != sha256:
        raise BlobMismatch(f"the bytes have SHA-256 {digest.hex()}, not {sha256.hex()}")
