"""Ports: what the journey needs of the world, each with its contract.

Engines behind a port pass the one contract suite in `tests/contract`. A flow is passed only the ports it
uses. Nothing here imports an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from axis.core.facts import Changes, Facts
from axis.core.frame import Frame, Head

__all__ = [
    "BlobMismatch",
    "BlobMissing",
    "Blobs",
    "Clock",
    "Conflict",
    "Issuer",
    "Journal",
    "JournalBroken",
    "JournalHalted",
    "KeyTaken",
    "Landed",
    "OutcomeUnknown",
    "Reduce",
    "StorageFull",
    "StoredRecord",
]

#: What a frame changes, given the facts at its predecessor: axis.core.state.reduce.
Reduce = Callable[[Frame, Facts], Changes]

#: Told of a frame that can be read from now on, and of what it changed. Quick, and never raises.
Landed = Callable[[Frame, Changes], None]


class Clock(Protocol):
    """The time. Tests pass a clock they move themselves."""

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellation ends it at once."""
        ...


class Conflict(Exception):
    """Somebody else appended: `head` is where the journal stands now. Nothing of the frame was stored."""

    def __init__(self, head: Head) -> None:
        super().__init__(str(head))
        self.head = head


class KeyTaken(Exception):
    """A key of the frame is taken: a defect in the decisions, stopped here. Nothing was stored."""


class OutcomeUnknown(Exception):
    """Whether the frame landed is not known (the cluster did not answer in time): only a later head tells.

    `full`: for want of room.
    """

    def __init__(self, detail: str, *, full: bool = False) -> None:
        super().__init__(detail)
        self.full = full


class StorageFull(Exception):
    """No room. Nothing of what was asked for was stored, and what was there is unharmed."""


class JournalBroken(Exception):
    """Stored bytes are not what was written: a torn or changed frame. Says which."""


class JournalHalted(Exception):
    """Nothing is appended until the journal's copies are whole again (shared journals only).

    Nothing was stored. Unlike JournalBroken it ends by itself, once somebody has mended what it names.
    """


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with its place."""

    sequence: int
    at: int  # of its frame, milliseconds since the epoch
    raw: bytes  # serialised journal_pb2.Record


class Journal(Facts, Protocol):
    """The append-only log of frames, with the index that decisions need.

    Whoever appends, one node or several: a frame counts from the moment when this node has stored it, and
    frames are stored in order, each with the effects that `reduce` gives it.

    Atomicity: `append` stores the frame, its keys, facts and feed rows, all or nothing. Durability: what
    `append` returned survives a power cut. Competition: of appenders that expect the same head exactly
    one succeeds. Reads see every frame whose append has returned, here or in another process, and are
    local and quick (tens of microseconds), hence not async. `get` (from Facts) reads the facts at the head.
    """

    @property
    def shared(self) -> bool:
        """Whether other nodes append too, so that the head may have moved where this node cannot see it."""
        ...

    @property
    def doubt(self) -> str:
        """Why nothing may be told from this journal at the moment; empty while all is well.

        Of a shared journal: others have not confirmed its head for two seconds, or it contradicts them.
        """
        ...

    def on_landed(self, listener: Landed) -> None:
        """Have `listener` told of every frame from now on, whoever appended it, in order.

        On the event loop, once the frame can be read, and before `append` returns to its caller.
        """
        ...

    def head(self) -> Head:
        """Where the journal stands."""
        ...

    async def append(self, expected: Head, frame: Frame, changes: Changes) -> Head:
        """Add `frame`, which follows `expected`, with `changes` = reduce(frame, facts at expected).

        Raises Conflict when the head is not `expected`; KeyTaken when a key of `changes` is taken;
        StorageFull; JournalBroken; OutcomeUnknown and JournalHalted (shared journals only). Cancellation:
        the append finishes all the same; the caller learns the outcome only from the head.
        """
        ...

    async def confirm(self) -> bool:
        """Read what others have appended up to now; whether the cluster has confirmed the head that is left.

        Always true where nobody else appends. Bounded by seconds.
        """
        ...

    async def changed(self, beyond: int, timeout: float) -> Head:
        """Return once the head's sequence is over `beyond`, or after `timeout` seconds, with the head."""
        ...

    def frames(self, after: int, limit: int = 64) -> list[Frame]:
        """Frames numbered over `after`, in order, at most `limit`; JournalBroken if one does not chain."""
        ...

    def record(self, sequence: int) -> StoredRecord | None:
        """The record at a place."""
        ...

    def records(self, sequences: list[int]) -> list[StoredRecord]:
        """The records at these places, in the order asked for; absent ones are left out."""
        ...

    def time_of(self, sequence: int) -> int:
        """The time of the frame that holds a sequence; 0 where there is none. Reads no frame."""
        ...

    def frame_hash(self, sequence: int) -> bytes | None:
        """The hash of the frame whose newest record has this sequence; None if no frame ends there."""
        ...

    def key(self, key: str) -> int | None:
        """The sequence of the record that took a key. Keys are never forgotten."""
        ...

    def facts(self, prefix: str, changed_after: int = 0, limit: int = 1000) -> list[tuple[str, bytes, int]]:
        """Facts whose key starts with `prefix`, changed by a record over `changed_after`.

        (key, value, sequence of the record that last changed it), ordered by (sequence, key). A page never
        ends between two facts of one sequence, so it may be longer than `limit`.
        """
        ...

    def feed(self, organisation: str, urgent: bool, after: int, limit: int) -> list[int]:
        """Sequences over `after` in one lane of an organisation's feed, in order."""
        ...

    def peaks(self) -> list[bytes]:
        """The perfect subtrees' hashes of the RFC 9162 tree over the records, largest first."""
        ...

    async def close(self) -> None:
        """Release files. Idempotent."""
        ...


class BlobMissing(Exception):
    """No such blob, or not this owner's: one answer for both."""


class BlobMismatch(Exception):
    """The bytes that came are not of the size or SHA-256 named. Nothing was kept."""


class Blobs(Protocol):
    """Content, addressed by its SHA-256, streamed in and out; never wholly in memory.

    A blob is durable before `put` or `put_small` returns: its data is fsynced before, or in one commit with,
    the name that points at it. Storage deduplicates silently; *having* a blob is per owner.
    """

    async def put(
        self,
        sha256: bytes,
        size: int,
        chunks: AsyncIterator[bytes],
        *,
        owner: str,
        now: int,
        pin_until: int,
    ) -> None:
        """Store and pin for `owner` until `pin_until` (milliseconds). Repeats prolong the pin.

        Reads all of `chunks` even where the content is there already: the owner must prove to have it.
        Raises BlobMismatch, StorageFull. Cancellation leaves nothing behind.
        """
        ...

    async def put_small(self, contents: Sequence[bytes], *, owner: str, now: int, pin_until: int) -> None:
        """Store and pin blobs of at most 64 KiB together, each under its own SHA-256: all of them, or none.

        Raises StorageFull; ValueError for a larger one. Cancellation: they may be there all the same.
        """
        ...

    def pinned(self, sha256: bytes, owner: str) -> tuple[int, int] | None:
        """(size, end of the pin) of a blob that this owner uploaded; None otherwise. Quick."""
        ...

    def open(self, sha256: bytes, offset: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream a blob from `offset` in chunks of at most 256 KiB; BlobMissing on entering.

        For callers who have decided that the reader may have it. Of a blob that is not at this node nothing
        is known but what other nodes said: then also BlobMismatch (of another size than said) and
        OutcomeUnknown, on entering or while reading, and whoever has read it all checks its SHA-256.
        """
        ...

    def size(self, sha256: bytes) -> int | None:
        """The size of a stored blob."""
        ...

    async def collect(
        self,
        now: int,
        is_named: Callable[[bytes], bool],
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> int:
        """Delete blobs whose every pin ended over an hour before `now` and that `is_named` denies.

        Returns how many were deleted. A blob that is being uploaded is left alone. Where others may name
        blobs too, `confirm` brings what `is_named` knows up to now and says whether that has succeeded: it is
        called once, after the engine has noted up to where it may delete (`now`, a place in a stream) and
        before any name is asked for; without success nothing is deleted. Memory does not grow with what is
        stored.
        """
        ...

    def hashes(self) -> Iterator[bytes]:
        """Every stored blob's SHA-256."""
        ...

    async def close(self) -> None:
        """Release files. Idempotent."""
        ...


class Issuer(Protocol):
    """The process that holds the certificate authority's keys (design decision 12).

    Raises Refusal `unavailable` when it is not there or does not answer within its limit.
    """

    async def issue(
        self, *, organisation: str, tls_request: bytes, sign_request: bytes
    ) -> tuple[bytes, bytes]:
        """Both certificates (DER) of an organisation, for two PKCS#10 requests (DER).

        The same pair of keys for the same organisation gives the same certificates again.
        Raises Refusal `field_invalid` for a request whose own signature or key is unacceptable.
        """
        ...

    async def issue_axis(
        self, *, tls_request: bytes, sign_request: bytes, names: Sequence[str]
    ) -> tuple[bytes, bytes]:
        """The axis's own two certificates; the one for TLS is good for these host names and addresses.

        Otherwise as `issue`; with other names the same key gets another certificate.
        """
        ...

    async def revoke(self, serial: str, reason: str, at: int) -> None:
        """Put a certificate (serial in lower-case hex) on the issuer's list of revoked ones. Idempotent."""
        ...

    async def listed(self) -> list[Mapping[str, object]]:
        """Everything on the issuer's list.

        {"organisation", "usage", "serial", "certificate" (DER), "revoked_at" (ms or None), "reason"},
        the oldest first.
        """
        ...

    async def close(self) -> None:
        """End the process. Idempotent."""
        ...
