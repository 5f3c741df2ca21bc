"""The Axis-Head headers: node and client tell each other how far they have seen the journal.

Design decision 6: a node behind its client waits a little, then asks it to come back; a client that has seen
a head which this journal does not hold learns that the axis was restored from an older copy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from axis.core.errors import Refusal
from axis.core.facts import Changes
from axis.core.frame import Frame, Head
from axis.ports import Journal

__all__ = ["AXIS_HEAD", "EARLIER_HEADS", "HeadGuard"]

AXIS_HEAD: Final = "Axis-Head"
EARLIER_HEADS: Final = "Axis-Earlier-Heads"
_EARLIER_AT_MOST: Final = 32
_WAIT_SECONDS: Final = 5.0
_MISSING_SECONDS: Final = 15.0
_REMEMBERED: Final = 1000


class HeadGuard:
    """Compares the head that a client has seen with the journal.

    `sole`: this node's journal is the only copy, so what it lacks does not exist. Otherwise another node
    may be ahead, and what is lacking may still come.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        sole: bool = True,
        wait: float = _WAIT_SECONDS,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._journal = journal
        self._sole = sole
        self._wait = wait
        head = journal.head()
        self._journal_id = head.journal_id
        self._current, self._sequence = str(head), head.sequence
        self._hashes: OrderedDict[int, str] = OrderedDict()
        self._timer = timer
        #: Heads that clients have seen and this node has not: when first and last asked for.
        self._missing: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def current(self) -> str:
        """The header of every answer."""
        return self._current

    def landed(self, frame: Frame, _: Changes) -> None:
        """The journal has another frame; to be told of every one."""
        self._note(frame.head)

    def reached(self, sequence: int) -> None:
        """An answer tells of a record: its head is at least as new, or the client would ask once more.

        What is durable can be read a moment before `landed` is told.
        """
        if sequence > self._sequence:
            self._note(self._journal.head())

    def _note(self, head: Head) -> None:
        if head.sequence > self._sequence:
            self._current, self._sequence = str(head), head.sequence
        self._remember(head.sequence, head.sha256.hex())

    async def check(self, header: str | None, earlier: str | None = None) -> None:
        """Return when this node has seen what the client has seen.

        `header` is the highest head that the client has seen; `earlier` are lower ones on which something of
        its rests, at most 32: `sequence:frame hash`, separated by commas.

        Raises Refusal `unavailable` when nothing may be told from this journal now, `head_unknown` when the
        journal holds something else there, `behind_head` when it is not there yet, `field_invalid` for a
        header that is none.
        """
        if doubt := self._journal.doubt:
            raise Refusal("unavailable", doubt, retry_after=1)
        if not header:
            if earlier:
                raise _malformed(EARLIER_HEADS)
            return
        highest = _parse(header)
        lower = _parse_earlier(earlier, highest.sequence) if earlier else ()
        await self._check_highest(header, highest)
        for head in lower:
            if self._hash(head.sequence) != head.sha256:
                raise Refusal("head_unknown", f"the journal has another frame at {head.sequence}")

    async def _check_highest(self, header: str, seen: _Seen) -> None:
        journal_id, sequence, sha256 = seen
        if journal_id != self._journal_id:
            raise Refusal("head_unknown", "the head is of another journal")
        if self._hashes.get(sequence) == sha256:
            return
        head = self._journal.head()
        if sequence > head.sequence and not self._sole:
            head = await self._journal.changed(sequence - 1, self._wait)
            if sequence > head.sequence and not self._long_missing(header):
                raise Refusal("behind_head", f"this node has seen {head.sequence}", retry_after=1)
        if sequence > head.sequence or self._hash(sequence) != sha256:
            raise Refusal("head_unknown", f"the journal stands at {head.sequence}")

    def _long_missing(self, header: str) -> bool:
        """Whether the cluster has confirmed a lower head all the time since this one was first asked for.

        A leader that was paused may briefly answer with an old head; it is not believed at once.
        """
        now = self._timer()
        first, last = self._missing.pop(header, (now, now))
        if self._journal.doubt or now - last > _MISSING_SECONDS:
            first = now
        self._missing[header] = (first, now)
        if len(self._missing) > _REMEMBERED:
            self._missing.popitem(last=False)
        return now - first >= _MISSING_SECONDS

    def _hash(self, sequence: int) -> str | None:
        """The hash of the frame that ends there. Frames never change, so what was read is kept."""
        if sequence == 0:
            return bytes(32).hex()
        known = self._hashes.get(sequence)
        if known is None:
            read = self._journal.frame_hash(sequence)
            if read is None:
                return None
            known = read.hex()
            self._remember(sequence, known)
        return known

    def _remember(self, sequence: int, sha256: str) -> None:
        self._hashes[sequence] = sha256
        if len(self._hashes) > _REMEMBERED:
            self._hashes.popitem(last=False)


class _Seen(NamedTuple):
    """A head, as a client tells of it."""

    journal_id: str
    sequence: int
    sha256: str


def _parse(header: str, name: str = AXIS_HEAD) -> _Seen:
    journal_id, _, rest = header.partition(":")
    sequence, _, sha256 = rest.partition(":")
    well_formed = len(sha256) == 64 and len(sequence) < 20 and sequence.isascii() and sequence.isdigit()
    if not journal_id or not well_formed:
        raise _malformed(name)
    return _Seen(journal_id, int(sequence), sha256)


def _parse_earlier(header: str, below: int) -> list[_Seen]:
    texts = header.split(",", _EARLIER_AT_MOST)
    heads = [_parse(f"-:{text.strip()}", EARLIER_HEADS) for text in texts]
    if len(heads) > _EARLIER_AT_MOST or any(head.sequence > below for head in heads):
        raise _malformed(EARLIER_HEADS)
    return heads


def _malformed(name: str) -> Refusal:
    wanted = {
        AXIS_HEAD: "journal id, sequence and frame hash are expected",
        EARLIER_HEADS: f"at most {_EARLIER_AT_MOST} of sequence and frame hash, none above {AXIS_HEAD}'s",
    }
    return Refusal("field_invalid", f"{name}: {wanted[name]}")
