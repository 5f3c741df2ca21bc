"""Refusals of authenticated organisations, journalled (design decision 14).

A person at the axis must be able to answer "why did our document not go?" from the journal alone. A node
that repeats itself must not fill the journal: one record for the same organisation, code and bytes, at most
60 a minute for one organisation, and one record that sums up the rest.

Not noted: what says nothing about the caller (`unavailable`, `storage_full`, `behind_head` …). Outsiders are
never noted here, so that nobody unauthenticated can make the journal grow.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from axis.core.decide import NoteRejected
from axis.core.errors import Refusal
from axis.flow.sequencer import Sequencer
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Rejections"]

_PER_MINUTE: Final = 60
_MINUTE_MS: Final = 60_000
_REMEMBERED: Final = 20_000
_DETAIL_LIMIT: Final = 500
_OF_THE_AXIS: Final = frozenset(
    {
        "behind_head",
        "head_unknown",
        "journal_forked",
        "rate_limited",
        "shutting_down",
        "storage_full",
        "unavailable",
    }
)


@dataclass(slots=True)
class _Minute:
    """What one organisation was refused in the minute that began at `began`."""

    began: int
    noted: int = 0
    #: Over the limit: summed up when the minute has passed.
    summed: int = 0
    last: NoteRejected | None = None


class Rejections:
    """Notes refusals through the sequencer, within limits."""

    def __init__(self, sequencer: Sequencer, clock: Clock) -> None:
        self._sequencer = sequencer
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str, bytes], None] = OrderedDict()
        self._minutes: dict[str, _Minute] = {}

    async def note(
        self, organisation: str, refusal: Refusal, *, bytes_sha256: bytes = b"", document_id: str = ""
    ) -> None:
        """Journal one refusal, or count it. Returns when it is durable; never raises on its own account."""
        get_logger().info(
            "caller_refused",
            organisation=organisation,
            code=refusal.name,
            detail=refusal.detail,
            document_id=document_id,
        )
        if refusal.name in _OF_THE_AXIS:
            return
        key = (organisation, refusal.name, bytes_sha256)
        if key in self._noted:
            self._noted.move_to_end(key)
            return
        command = NoteRejected(
            organisation=organisation,
            code=refusal.name,
            bytes_sha256=bytes_sha256,
            document_id=document_id[:64],
            detail=refusal.detail[:_DETAIL_LIMIT],
            count=1,
        )
        minute = await self._minute(organisation)
        if minute.noted >= _PER_MINUTE:
            minute.summed += 1
            minute.last = command
            return
        minute.noted += 1
        self._noted[key] = None
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)
        await self._submit(command)

    async def sum_up(self, everything: bool = False) -> None:
        """Journal the sums of the minutes that have passed; of `everything` when the node stops."""
        now = self._clock.now()
        for organisation, minute in list(self._minutes.items()):
            if everything or not 0 <= now - minute.began < _MINUTE_MS:
                del self._minutes[organisation]
                await self._close(minute)

    async def _minute(self, organisation: str) -> _Minute:
        """The organisation's current minute; closes the one before."""
        now = self._clock.now()
        minute = self._minutes.get(organisation)
        if minute is not None and 0 <= now - minute.began < _MINUTE_MS:
            return minute
        fresh = self._minutes[organisation] = _Minute(now)
        if minute is not None:
            await self._close(minute)
        return fresh

    async def _close(self, minute: _Minute) -> None:
        if minute.last is not None:
            await self._submit(replace(minute.last, count=minute.summed))

    async def _submit(self, command: NoteRejected) -> None:
        try:
            await self._sequencer.submit(command)
        except Refusal as refusal:
            # The caller gets the refusal that was meant for it, not this one.
            get_logger().warning("rejection_not_noted", code=refusal.name, detail=refusal.detail)
