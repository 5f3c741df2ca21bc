"""Wrong clocks for single processes: libfaketime (Debian: faketime), steered by a file.

The monotonic clocks stay right, as they do on a machine whose wall clock is set wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["FaketimeMissing", "WrongClock", "faketime_library"]

_PLACES: Final = ("/usr/lib", "/usr/local/lib", "/lib")


class FaketimeMissing(Exception):
    """libfaketime is not installed; says how to get it."""


def faketime_library() -> Path:
    """The library to preload. FaketimeMissing."""
    for place in _PLACES:
        for pattern in ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1"):
            for found in sorted(Path(place).glob(pattern)):
                return found
    raise FaketimeMissing("clock_jump needs libfaketime; on Debian: apt-get install faketime")


class WrongClock:
    """The clock of one process: `shift` moves it while the process runs (seen within a second)."""

    def __init__(self, steering: Path) -> None:
        steering.parent.mkdir(parents=True, exist_ok=True)
        self._steering = steering
        self._library = faketime_library()

    @property
    def environment(self) -> Mapping[str, str]:
        """What the process must be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._steering),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, hours: float) -> None:
        """Be so many hours ahead of the machine's clock; behind where negative."""
        partial = self._steering.with_suffix(".new")
        partial.write_text(f"{hours * 3600:+.0f}s\n", encoding="ascii")
        os.replace(partial, self._steering)
