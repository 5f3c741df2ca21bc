"""What the journey reports about itself, for whoever measures."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Metrics", "NoMetrics"]


class Metrics(Protocol):
    """Told what happened, after it is durable. Quick, and never raises."""

    def accepted(self, kind: str) -> None:
        """A document or a status was accepted (not: a repeat of one)."""
        ...

    def receipted(self, outcome: str, seconds: float) -> None:
        """A delivery was "received", "refused" or "dead", so long after its document's acceptance."""
        ...

    def rejected(self, code: str) -> None:
        """An authenticated caller was refused."""
        ...

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """A frame landed: how long the append took, how many records, the head's sequence now."""
        ...


class NoMetrics:
    """Nobody measures."""

    def accepted(self, kind: str) -> None:
        """Nothing."""

    def receipted(self, outcome: str, seconds: float) -> None:
        """Nothing."""

    def rejected(self, code: str) -> None:
        """Nothing."""

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """Nothing."""
