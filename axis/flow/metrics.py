"""What the journey reports about itself, for whoever measures.

Only what exists in the moment: everything that is journalled is counted from the journal, so that no counter
can drift from it.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Metrics", "NoMetrics"]


class Metrics(Protocol):
    """Told what happened, after it is durable. Quick, and never raises."""

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """A frame landed: how long the append took, how many records, the head's sequence now."""
        ...


class NoMetrics:
    """Nobody measures."""

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """Nothing."""
