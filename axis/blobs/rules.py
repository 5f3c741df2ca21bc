"""What both blob engines keep to."""

from __future__ import annotations

from typing import Final

__all__ = ["CHUNK_BYTES", "GRACE_MS"]

#: The largest chunk that a reader is given.
CHUNK_BYTES: Final = 256 * 1024

#: How long after its last pin's end a blob is left alone (design decision 10).
GRACE_MS: Final = 60 * 60 * 1000
