"""Refusals that rest on what the journal does not hold: with several nodes, it may hold it by now.

"Unknown", "suspended", "revoked", "closed" are final for the caller. A node that has not read the newest
frames would say them wrongly: so before such a refusal is given, the cluster is asked where the journal
stands, what came is read, and if the head has moved everything is judged again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from axis.core.errors import Refusal
from axis.ports import Journal

__all__ = ["judged"]

T = TypeVar("T")

_TRIES: Final = 5


async def judged(journal: Journal, judge: Callable[[], Awaitable[T]]) -> T:
    """What `judge` gives; a final refusal only where the head, confirmed after it, has not moved meanwhile.

    Raises Refusal `unavailable` where the cluster does not confirm, or the head never rests.
    """
    if not journal.shared:
        return await judge()
    for _ in range(_TRIES):
        head = journal.head()
        try:
            return await judge()
        except Refusal as refusal:
            if refusal.code.temporary:
                raise
            if not await journal.confirm():
                raise Refusal("unavailable", f"not confirmed: {refusal.detail}", retry_after=1) from refusal
            if journal.head() == head:
                raise
    raise Refusal("unavailable", "the journal moves too fast to judge this; try again", retry_after=1)
