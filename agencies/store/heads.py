"""The highest head of the axis's journal that this node has seen (design decision 6).

It is echoed with every request, so that an axis restored from an older copy is found out at once. It is
persisted with whatever was learnt under it.

Each restored axis begins another *epoch*. What was asked in an earlier one says nothing in this one, however
late the answer is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from agencies.store.database import Store, get_setting, set_setting
from axis.core.errors import Refusal

__all__ = ["Echo", "Heads", "SeenHead", "begin_epoch", "epoch", "learnt"]

_EPOCH: Final = "epoch"
_HEAD: Final = "head"
_EARLIER: Final = "earlier_heads"
#: With one request: what the axis takes.
_ECHOED_AT_ONCE: Final = 32
#: Each request under way adds one at most, and each that is answered takes many away.
_UNPROVEN_AT_MOST: Final = 256


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


@dataclass(frozen=True, slots=True)
class Echo:
    """What one request tells the axis of heads that this node has seen."""

    life: int
    highest: SeenHead | None
    earlier: tuple[SeenHead, ...]

    @property
    def headers(self) -> dict[str, str]:
        """As headers; none before the first head."""
        headers = {"Axis-Head": str(self.highest)} if self.highest is not None else {}
        if self.earlier:
            texts = (f"{head.sequence}:{head.frame_sha256}" for head in self.earlier)
            headers["Axis-Earlier-Heads"] = ",".join(texts)
        return headers


class Heads:
    """The highest head seen, and earlier ones of which no answer has proven yet that it builds on them.

    An answer to a request proves what the request echoed. Where several requests are under way at once, a
    head may be overtaken by a higher one before it is echoed; what rests on it would go unproven, though the
    axis may have been restored between the two answers. So it is echoed beside the highest.
    """

    def __init__(self, stored: str = "", earlier: str = "") -> None:
        self.seen = SeenHead.parse(stored)
        #: Grows when the axis was found to be restored. Answers to what was asked before say nothing.
        self.life = 0
        self._unproven: dict[SeenHead, None] = {}
        for text in earlier.split(","):
            head = SeenHead.parse(f"{self.seen.journal_id}:{text}") if self.seen is not None else None
            if head is not None:
                self._take(head)
        #: What is to be persisted, highest and earlier, together: another thread reads it.
        self._persisted = self._texts()

    @classmethod
    def stored_in(cls, store: Store) -> Heads:
        """What was persisted."""
        return cls(store.setting(_HEAD), store.setting(_EARLIER))

    def echo(self) -> Echo:
        """What the next request shall tell."""
        return Echo(self.life, self.seen, tuple(self._unproven)[:_ECHOED_AT_ONCE])

    def answered(self, echo: Echo, header: str | None) -> None:
        """The axis answered, and did not object to what was echoed; with `header` as its own head.

        Raises Refusal `unavailable` where more heads wait for their proof than can be kept.
        """
        if echo.life != self.life:
            return
        proven = {echo.highest, *echo.earlier}
        self._unproven = {each: None for each in self._unproven if each not in proven}
        head = SeenHead.parse(header)
        if head is not None and head not in proven and head != self.seen:
            self._take(head, proven)
        self._persisted = self._texts()

    def _take(self, head: SeenHead, proven: Set[SeenHead | None] = frozenset()) -> None:
        """Take the head of an answer; what it overtakes is kept, unless this very answer proves it: that an
        earlier one did says nothing of an axis that was restored in between.

        One of another journal changes nothing: the axis itself answers `head_unknown` to the head of a
        journal that is not its own.
        """
        if self.seen is None:
            self.seen = head
        elif head.journal_id == self.seen.journal_id:
            lower, higher = sorted((head, self.seen), key=lambda each: each.sequence)
            if lower not in proven:
                if len(self._unproven) >= _UNPROVEN_AT_MOST:
                    raise Refusal("unavailable", "more answers came than the axis can be asked about")
                self._unproven[lower] = None
            self.seen = higher

    @property
    def sequence(self) -> int:
        """How far the journal reaches that this node has seen; 0 if it has seen none."""
        return self.seen.sequence if self.seen is not None else 0

    @property
    def persisted(self) -> tuple[str, str]:
        """The highest, and those not proven yet, to be persisted; of one moment, in any thread."""
        return self._persisted

    def _texts(self) -> tuple[str, str]:
        return str(self), ",".join(f"{head.sequence}:{head.frame_sha256}" for head in self._unproven)

    def forget(self) -> None:
        """The axis does not know what was echoed: start afresh."""
        self.seen = None
        self._unproven.clear()
        self._persisted = self._texts()
        self.life += 1

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
    highest, earlier = heads.persisted
    set_setting(connection, _HEAD, highest)
    if get_setting(connection, _EARLIER) != earlier:
        set_setting(connection, _EARLIER, earlier)
    return True


def begin_epoch(connection: sqlite3.Connection) -> None:
    """The axis was restored from an older copy."""
    set_setting(connection, _EPOCH, str(int(get_setting(connection, _EPOCH, "0")) + 1))
    set_setting(connection, _HEAD, "")
    set_setting(connection, _EARLIER, "")
