"""Facts: what decisions need to know, as keys and values; a pure function of the journal.

The journal keeps them in its own file and transaction. `Overlay` lets the sequencer decide a command
against the state at the head *and* the earlier records of the frame it is building.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Changes", "Facts", "FeedRow", "Overlay"]


class Facts(Protocol):
    """Read access to the facts at one place in the journal."""

    def get(self, key: str) -> bytes | None:
        """The value of a fact (a message of facts.proto), None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One record in one organisation's feed."""

    organisation: str
    urgent: bool
    sequence: int


@dataclass(slots=True)
class Changes:
    """What records do to keys, facts and feeds."""

    #: Taken once and never forgotten: key → the record's sequence.
    keys: dict[str, int] = field(default_factory=dict)
    #: key → (value, sequence of the record that set it).
    facts: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    feed: list[FeedRow] = field(default_factory=list)

    def merge(self, later: Changes) -> None:
        """Add what a later record of the same frame does."""
        self.keys.update(later.keys)
        self.facts.update(later.facts)
        self.feed.extend(later.feed)

    def add_feed(self, organisations: Iterable[str], urgent: bool, sequence: int) -> None:
        """Put a record into the feeds of these organisations, once each."""
        for organisation in dict.fromkeys(organisations):
            self.feed.append(FeedRow(organisation, urgent, sequence))


class Overlay:
    """Facts with changes on top that are not stored yet."""

    def __init__(self, base: Facts) -> None:
        self._base = base
        self.changes = Changes()

    def get(self, key: str) -> bytes | None:
        """The changed value, else the base's."""
        changed = self.changes.facts.get(key)
        return changed[0] if changed is not None else self._base.get(key)

    def apply(self, changes: Changes) -> None:
        """Lay the changes of one more record on top."""
        self.changes.merge(changes)
