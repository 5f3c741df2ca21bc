"""This node's own blobs, published again into a stream of chunks that was made anew.

Whoever mends a lost stream fills it with what one node holds; each of the others brings its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from axis.blobs.chunks import Chunks
from axis.blobs.files import FileBlobs
from axis.ports import BlobMismatch, BlobMissing

__all__ = ["AGAIN_SECONDS", "republish"]

#: After a failure it is tried again so much later.
AGAIN_SECONDS: Final = 30.0


async def republish(
    local: FileBlobs, chunks: Chunks, now: Callable[[], int], goes_on: Callable[[], bool]
) -> int | None:
    """Publish every blob of `local` that is not whole in the stream; how many, None once not `goes_on`.

    One at a time. Raises OutcomeUnknown; begun again, it goes over what is there without publishing it.
    """
    count = 0
    for sha256 in list(local.hashes()):
        if not goes_on():
            return None
        size = local.size(sha256)
        if size is None or await _is_there(chunks, sha256, size):
            continue
        try:
            async with local.open(sha256) as data:
                await chunks.publish(sha256, size, now(), data)
        except BlobMissing:
            continue  # collected meanwhile
        count += 1
    return count


async def _is_there(chunks: Chunks, sha256: bytes, size: int) -> bool:
    try:
        return await chunks.size(sha256, size) == size
    except (BlobMissing, BlobMismatch):
        return False
