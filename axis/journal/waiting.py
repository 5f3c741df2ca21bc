"""What all engines share: the check of a frame to be appended, and telling those who wait for the head."""

from __future__ import annotations

import asyncio

from axis.core.facts import Changes
from axis.core.frame import Frame, FrameInvalid, Head
from axis.ports import Landed

__all__ = ["Alone", "Wakeup", "check_follows", "same_place"]


def same_place(one: Head, other: Head) -> bool:
    """Whether two heads name the same frame of the same journal (its time follows from its hash)."""
    return (one.journal_id, one.number, one.sequence, one.sha256) == (
        other.journal_id,
        other.number,
        other.sequence,
        other.sha256,
    )


def check_follows(expected: Head, frame: Frame) -> None:
    """FrameInvalid unless `frame` was built to follow `expected`: a defect of the caller, stopped here."""
    fits = (
        frame.head.journal_id == expected.journal_id
        and frame.head.number == expected.number + 1
        and frame.first_sequence == expected.sequence + 1
        and frame.head.sequence == expected.sequence + len(frame.records)
        and frame.previous_sha256 == expected.sha256
        and frame.at >= expected.at
    )
    if not fits:
        raise FrameInvalid(f"frame {frame.head.number} was not built to follow {expected}")


class Alone:
    """The part of ports.Journal that is the same where nobody else appends: nothing to doubt or confirm."""

    shared = False
    doubt = ""

    def __init__(self) -> None:
        self._listeners: list[Landed] = []

    def on_landed(self, listener: Landed) -> None:
        """Tell `listener` of every frame that is appended through this object."""
        self._listeners.append(listener)

    async def confirm(self) -> bool:
        """Nobody else appends."""
        return True

    def _tell(self, frame: Frame, changes: Changes) -> None:
        for listener in self._listeners:
            listener(frame, changes)


class Wakeup:
    """Wakes everybody who waits, on one event loop. It carries no state: waiters look for themselves."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """End every wait that is going on."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after `seconds`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait({waiter}, timeout=seconds)
        finally:
            self._waiters.discard(waiter)
