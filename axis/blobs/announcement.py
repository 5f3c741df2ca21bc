"""One announcement in the cluster: which blobs a node has taken, for whom, and until when they are kept.

JSON, `{"chunks": STREAM MADE AT, "pins": [[SHA-256, OWNER, SIZE, UNTIL], …]}`. What comes from the cluster is
taken in exactly this shape or not at all: a pin decides what is accepted and what is deleted, and one that
could not be stored would keep a node from reading on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from axis.blobs.announced import Pin
from axis.core.errors import Refusal
from axis.core.organisation import check_code

__all__ = ["PINS_TOGETHER", "Announcement", "read_announcement"]

#: Of one announcement.
PINS_TOGETHER: Final = 64
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MADE_LIMIT: Final = 64  # characters of a stream's time
_SIZE_LIMIT: Final = 1 << 40  # bytes; what is accepted has a limit of its own
_UNTIL_LIMIT: Final = 253_402_300_800_000  # the end of the year 9999, in milliseconds


@dataclass(frozen=True, slots=True)
class Announcement:
    """Pins of blobs whose chunks are in the stream that was made at `chunks`."""

    chunks: str
    pins: tuple[Pin, ...]

    def as_bytes(self) -> bytes:
        """What is published."""
        pins = [[pin.sha256.hex(), pin.owner, pin.size, pin.until] for pin in self.pins]
        return json.dumps({"chunks": self.chunks, "pins": pins}).encode()


def read_announcement(data: bytes) -> Announcement:
    """What an announcement says. ValueError names what is not as it must be."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    match said:
        case {"chunks": str(chunks), "pins": list(pins)} if len(said) == 2 and len(chunks) <= _MADE_LIMIT:
            if len(pins) > PINS_TOGETHER:
                raise ValueError(f"{len(pins)} pins, the limit is {PINS_TOGETHER}")
            return Announcement(chunks, tuple(_pin(each) for each in pins))
    raise ValueError("not an object of chunks and pins")


def _pin(said: Any) -> Pin:
    match said:
        case [str(sha256), str(owner), int(size), int(until)] if not {bool} & {type(size), type(until)}:
            if not _SHA256.fullmatch(sha256):
                raise ValueError("a SHA-256 is not 64 digits")
            if not 0 <= size <= _SIZE_LIMIT or not 0 <= until <= _UNTIL_LIMIT:
                raise ValueError(f"size {size} or end {until} out of bounds")
            try:
                return Pin(bytes.fromhex(sha256), check_code(owner, "owner"), size, until)
            except Refusal as error:
                raise ValueError(error.detail) from error
    raise ValueError("a pin is not SHA-256, owner, size, end")
