"""The highest head of the axis's journal that this node has seen (design decision 6).

It is echoed with every request, so that an axis restored from an older copy is found out at once. It is
persisted with whatever was learnt under it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Heads", "SeenHead"]


@dataclass(frozen=True, slots=True)
class SeenHead:
    """What an `Axis-Head` header says."""

    journal_id: str
    sequence: int
    frame_sha256: str  # hex

    @classmethod
    def parse(cls, text: str | None) -> SeenHead | None:
        """Read the header; None for a missing or malformed one."""
        journal_id, _, rest = (text or "").partition(":")
        sequence, _, frame = rest.partition(":")
        if not journal_id or not sequence.isascii() or not sequence.isdigit() or len(frame) != 64:
            return None
        return cls(journal_id, int(sequence), frame)

    def __str__(self) -> str:
        """The header again."""
        return f"{self.journal_id}:{self.sequence}:{self.frame_sha256}"


class Heads:
    """The highest head seen."""

    def __init__(self, stored: str = "") -> None:
        self.seen = SeenHead.parse(stored)

    def note(self, header: str | None) -> None:
        """Take the head of an answer if it is higher. One of another journal changes nothing: the axis
        itself answers `head_unknown` to the head of a journal that is not its own."""
        head = SeenHead.parse(header)
        if head is None:
            return
        if self.seen is None or (
            head.journal_id == self.seen.journal_id and head.sequence > self.seen.sequence
        ):
            self.seen = head

    @property
    def sequence(self) -> int:
        """How far the journal reaches that this node has seen; 0 if it has seen none."""
        return self.seen.sequence if self.seen is not None else 0

    def forget(self) -> None:
        """The axis does not know this head: start afresh."""
        self.seen = None

    def __str__(self) -> str:
        """What to persist."""
        return str(self.seen) if self.seen is not None else ""
