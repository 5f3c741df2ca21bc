"""The highest head of the axis's journal that this node has seen (design decision 6).

It is echoed with every request, so that an axis restored from an older copy is found out at once. It is
persisted with whatever was learnt under it.

Each restored axis begins another *epoch*. What was asked in an earlier one says nothing in this one, however
late the answer is stored.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from agencies.store import Store, get_setting, set_setting

__all__ = ["Heads", "SeenHead", "begin_epoch", "epoch", "learnt"]

_EPOCH: Final = "epoch"
_HEAD: Final = "head"


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


def epoch(store: Store) -> str:
    """The epoch of what is asked from now on; to be given to `learnt`."""
    return store.setting(_EPOCH, "0")


def learnt(connection: sqlite3.Connection, asked_in: str, heads: Heads) -> bool:
    """First in every transaction that stores what the axis said: keeps the head that it rests on.

    False where the axis was found to be restored since it was asked: what it said must not be stored.
    """
    if get_setting(connection, _EPOCH, "0") != asked_in:
        return False
    set_setting(connection, _HEAD, str(heads))
    return True


def begin_epoch(connection: sqlite3.Connection) -> None:
    """The axis was restored from an older copy."""
    set_setting(connection, _EPOCH, str(int(get_setting(connection, _EPOCH, "0")) + 1))
    set_setting(connection, _HEAD, "")
