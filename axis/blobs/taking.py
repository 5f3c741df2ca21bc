"""Blobs that this node lacks, taken from the cluster into its own folder; each counts once it is hashed.

For a home that is to be whole by itself. What is there already is left alone, so that taking again goes on
where it was broken off.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from axis.blobs.chunks import Chunks
from axis.blobs.files import FileBlobs
from axis.blobs.rules import SMALL_BYTES
from axis.ports import BlobMismatch

__all__ = ["all_of", "read_small", "take", "verified"]

T = TypeVar("T")

#: Small blobs fetched at once, and stored in one commit: 1 MiB at most.
_TOGETHER: Final = 16
_OWNER: Final = ""  # this node's own copies, as in axis.blobs.jetstream


async def take(
    local: FileBlobs,
    chunks: Chunks,
    wanted: Iterable[tuple[bytes, int]],
    now: int,
    show: Callable[[int, int], None] = lambda _blobs, _bytes: None,
) -> int:
    """Fetch every blob of `wanted`, (SHA-256, size), that `local` lacks; how many were fetched.

    Durable one by one, hash and size checked, never wholly in memory beyond 64 KiB. `show` is told of the
    blobs and bytes taken so far. Nothing is pinned beyond `now`: what is wanted is named by the journal.

    Raises BlobMissing (the cluster has it not), BlobMismatch (the cluster's copy, or this node's own, is not
    what its name says), OutcomeUnknown (the cluster does not answer), StorageFull; what was taken before
    stays.
    """
    taken, came, small = 0, 0, list[tuple[bytes, int]]()

    async def store_small() -> None:
        nonlocal taken, came
        contents = await read_small(chunks, small)
        await local.put_small(contents, owner=_OWNER, now=now, pin_until=now)
        taken, came = taken + len(small), came + sum(map(len, contents))
        small.clear()
        show(taken, came)

    for sha256, size in wanted:
        stored = local.size(sha256)
        if stored == size:
            continue
        if stored is not None:
            raise BlobMismatch(f"{sha256.hex()}: this node's copy has {stored} bytes, not {size}")
        if size <= SMALL_BYTES:
            small.append((sha256, size))
            if len(small) == _TOGETHER:
                await store_small()
            continue
        data = await chunks.read(sha256, 0)
        await local.put(sha256, size, data, owner=_OWNER, now=now, pin_until=now)
        taken, came = taken + 1, came + size
        show(taken, came)
    if small:
        await store_small()
    return taken


async def verified(chunks: Chunks, sha256: bytes, size: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a blob; they count when the end is reached: it raises BlobMismatch for other ones.

    Raises BlobMissing, OutcomeUnknown.
    """
    digest, came = hashlib.sha256(), 0
    async for piece in await chunks.read(sha256, 0):
        came += len(piece)
        if came > size:
            break
        digest.update(piece)
        yield piece
    if came != size:
        raise BlobMismatch(f"{sha256.hex()}: the cluster has {came} bytes or more, not {size}")
    if digest.digest() != sha256:
        raise BlobMismatch(f"{sha256.hex()}: the cluster has bytes of SHA-256 {digest.hexdigest()}")


async def read_small(chunks: Chunks, wanted: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """Small blobs, (SHA-256, size), together, in order. As `verified`."""

    async def one(sha256: bytes, size: int) -> bytes:
        return b"".join([piece async for piece in verified(chunks, sha256, size)])

    return await all_of(one(*each) for each in wanted)


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them give, in order; the first error once every one has ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]
