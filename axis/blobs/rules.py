"""What both blob engines keep to."""

from __future__ import annotations

from typing import Final

__all__ = ["CHUNK_BYTES", "GRACE_MS", "SMALL_BYTES"]

#: The largest chunk that a reader is given.
CHUNK_BYTES: Final = 256 * 1024

#: How long after its last pin's end a blob is left alone (design decision 10).
GRACE_MS: Final = 60 * 60 * 1000

#: Up to this size a blob is small: several may come and be stored together.
SMALL_BYTES: Final = 64 * 1024
