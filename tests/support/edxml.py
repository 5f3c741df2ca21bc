"""The sample packets, and files to take packets apart into."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

__all__ = ["SAMPLES", "scratch"]

SAMPLES = Path(__file__).parents[1] / "samples"


def scratch() -> BinaryIO:
    return io.BytesIO()
