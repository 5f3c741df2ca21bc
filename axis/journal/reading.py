"""Reading a journal that others append to as well: all of it from this node's own file."""

from __future__ import annotations

from axis.core.frame import Frame, Head
from axis.journal.sqlite import SqliteJournal
from axis.ports import Landed, StoredRecord

__all__ = ["ReadsFile"]


class ReadsFile:
    """The reading part of ports.Journal."""

    def __init__(self, file: SqliteJournal) -> None:
        self._file = file

    def on_landed(self, listener: Landed) -> None:
        """Tell `listener` of every frame that this node stores."""
        self._file.on_landed(listener)

    def head(self) -> Head:
        """Where this node's journal stands."""
        return self._file.head()

    async def changed(self, beyond: int, timeout: float) -> Head:
        """The head, once its sequence is over `beyond` or after `timeout` seconds."""
        return await self._file.changed(beyond, timeout)

    def get(self, key: str) -> bytes | None:
        """The value of a fact at the head."""
        return self._file.get(key)

    def frames(self, after: int, limit: int = 64) -> list[Frame]:
        """Frames numbered over `after`, at most `limit`."""
        return self._file.frames(after, limit)

    def record(self, sequence: int) -> StoredRecord | None:
        """The record at a place."""
        return self._file.record(sequence)

    def records(self, sequences: list[int]) -> list[StoredRecord]:
        """The records at these places; absent ones are left out."""
        return self._file.records(sequences)

    def time_of(self, sequence: int) -> int:
        """The time of the frame that holds a sequence; 0 where there is none."""
        return self._file.time_of(sequence)

    def frame_hash(self, sequence: int) -> bytes | None:
        """The hash of the frame that ends at this sequence."""
        return self._file.frame_hash(sequence)

    def key(self, key: str) -> int | None:
        """The sequence of the record that took a key."""
        return self._file.key(key)

    def facts(self, prefix: str, changed_after: int = 0, limit: int = 1000) -> list[tuple[str, bytes, int]]:
        """Facts under `prefix` changed after a sequence; see ports.Journal."""
        return self._file.facts(prefix, changed_after, limit)

    def feed(self, organisation: str, urgent: bool, after: int, limit: int) -> list[int]:
        """Sequences over `after` in one lane of an organisation's feed."""
        return self._file.feed(organisation, urgent, after, limit)

    def peaks(self) -> list[bytes]:
        """The peaks of the tree over the records."""
        return self._file.peaks()
