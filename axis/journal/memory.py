"""A journal in memory: the contract without a disk, for tests and replays.

Everything is gone when the process ends; durability is the one promise it does not keep.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort

from axis.core import merkle
from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.journal.waiting import Alone, Wakeup, check_follows, same_place
from axis.ports import Conflict, KeyTaken, Reduce, StorageFull, StoredRecord

__all__ = ["MemoryJournal"]


class MemoryJournal(Alone):
    """ports.Journal in dictionaries. `full` makes every append raise StorageFull while it is set."""

    def __init__(self, journal_id: str, reduce: Reduce) -> None:
        super().__init__()
        self.full = False
        self._reduce = reduce
        self._head = Head.empty(journal_id)
        self._frames: list[Frame] = []
        self._ends: list[int] = []  # each frame's last sequence
        self._keys: dict[str, int] = {}
        self._facts: dict[str, tuple[bytes, int]] = {}
        self._feeds: dict[tuple[str, bool], list[int]] = {}
        self._peaks: tuple[bytes, ...] = ()
        self._wakeup = Wakeup()
        self._closed = False

    def head(self) -> Head:
        """Where the journal stands."""
        return self._head

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        """Add `frame`; see ports.Journal. It is in before the first await: cancelling is too late."""
        self.apply(expected, frame, changes)
        await asyncio.sleep(0)
        return frame.head

    def apply(self, expected: Head, frame: Frame, changes: Changes | None = None) -> None:
        """The append itself; without `changes` they are computed, as for a replay."""
        if not same_place(expected, self._head):
            raise Conflict(self._head)
        check_follows(self._head, frame)
        if self.full:
            raise StorageFull("the journal in memory is set to be full")
        changes = self._reduce(frame, self) if changes is None else changes
        taken = sorted(changes.keys.keys() & self._keys.keys())
        if taken:
            raise KeyTaken(", ".join(taken))
        self._keys.update(changes.keys)
        self._facts.update(changes.facts)
        for row in changes.feed:
            lane = self._feeds.setdefault((row.organisation, row.urgent), [])
            place = bisect_left(lane, row.sequence)
            if place == len(lane) or lane[place] != row.sequence:
                insort(lane, row.sequence)
        for offset, record in enumerate(frame.records):
            size = self._head.sequence + offset
            self._peaks = merkle.append_leaf(self._peaks, size, merkle.leaf_hash(record))
        self._frames.append(frame)
        self._ends.append(frame.head.sequence)
        self._head = frame.head
        self._tell(frame, changes)
        self._wakeup.wake()

    async def changed(self, beyond: int, timeout: float) -> Head:
        """The head, once its sequence is over `beyond` or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._head.sequence <= beyond and not self._closed:
            left = deadline - loop.time()
            if left <= 0:
                break
            await self._wakeup.wait(left)
        return self._head

    def get(self, key: str) -> bytes | None:
        """The value of a fact at the head."""
        found = self._facts.get(key)
        return None if found is None else found[0]

    def frames(self, after: int, limit: int = 64) -> list[Frame]:
        """Frames numbered over `after`, at most `limit`."""
        return self._frames[max(after, 0) : max(after, 0) + limit]

    def record(self, sequence: int) -> StoredRecord | None:
        """The record at a place."""
        if not 1 <= sequence <= self._head.sequence:
            return None
        frame = self._frames[bisect_left(self._ends, sequence)]
        return StoredRecord(sequence, frame.at, frame.records[sequence - frame.first_sequence])

    def records(self, sequences: list[int]) -> list[StoredRecord]:
        """The records at these places; absent ones are left out."""
        found = (self.record(sequence) for sequence in sequences)
        return [record for record in found if record is not None]

    def time_of(self, sequence: int) -> int:
        """The time of the frame that holds a sequence; 0 where there is none."""
        record = self.record(sequence)
        return record.at if record is not None else 0

    def frame_hash(self, sequence: int) -> bytes | None:
        """The hash of the frame that ends at this sequence."""
        place = bisect_left(self._ends, sequence)
        ends_there = place < len(self._ends) and self._ends[place] == sequence
        return self._frames[place].head.sha256 if ends_there else None

    def key(self, key: str) -> int | None:
        """The sequence of the record that took a key."""
        return self._keys.get(key)

    def facts(self, prefix: str, changed_after: int = 0, limit: int = 1000) -> list[tuple[str, bytes, int]]:
        """Facts under `prefix` changed after a sequence, ordered by (sequence, key); whole sequences only."""
        found = sorted(
            (
                (key, value, sequence)
                for key, (value, sequence) in self._facts.items()
                if key.startswith(prefix)
            ),
            key=lambda fact: (fact[2], fact[0]),
        )
        found = [fact for fact in found if fact[2] > changed_after]
        end = limit
        while 0 < end < len(found) and found[end][2] == found[end - 1][2]:
            end += 1
        return found[:end]

    def feed(self, organisation: str, urgent: bool, after: int, limit: int) -> list[int]:
        """Sequences over `after` in one lane of an organisation's feed."""
        lane = self._feeds.get((organisation, urgent), [])
        start = bisect_right(lane, after)
        return lane[start : start + limit]

    def peaks(self) -> list[bytes]:
        """The peaks of the tree over the records."""
        return list(self._peaks)

    async def close(self) -> None:
        """End every wait. What was stored can still be read."""
        self._closed = True
        self._wakeup.wake()
