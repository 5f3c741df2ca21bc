"""Telling a person how far long work on an archive is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

__all__ = ["teller"]

_EVERY_SECONDS: Final = 2.0


def teller() -> Callable[[str, int], None]:
    """Says on standard error what is being done, and bytes so far, every few seconds."""
    told = time.monotonic()

    def tell(what: str, done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _EVERY_SECONDS:
            told = time.monotonic()
            print(f"{what}{f', {done} bytes' if done else ''}", file=sys.stderr, flush=True)

    return tell
