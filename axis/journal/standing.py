"""What a node may say of a journal that it shares with others: confirmed, in doubt, halted, or forked.

- *confirmed*: the cluster has said within two seconds that there is nothing beyond this node's head;
- *in doubt*: it has not, so nothing is told of this journal;
- *halted*: the stream has been short of this node's frames for so long that frames are lost, or it is not
  live. Nothing is appended until it is whole again: then the node goes on by itself;
- *forked*: the stream holds other frames than this node. Nothing is appended until a person has looked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from axis.logs import get_logger
from axis.ports import JournalBroken, JournalHalted

__all__ = ["SHORT_SECONDS", "NodeStanding"]

#: A head that was not confirmed for so long is not told of any more.
_CONFIRMED_SECONDS: Final = 2.0
#: So long may the stream be shorter than this node's head: a leader that was paused may briefly answer so.
SHORT_SECONDS: Final = 15.0


class NodeStanding:
    """The standing of one node's journal over one stream. Times are the timer's seconds."""

    def __init__(self, stream: str, timer: Callable[[], float]) -> None:
        self._stream = stream
        self._timer = timer
        self._confirmed = timer() - _CONFIRMED_SECONDS
        self._short_since: float | None = None
        self._halted = ""
        self._forked = ""

    @property
    def doubt(self) -> str:
        """Why nothing may be told of this journal now; empty while its head is confirmed."""
        if self._forked or self._halted:
            return self._forked or self._halted
        age = self._timer() - self._confirmed
        if age > _CONFIRMED_SECONDS:
            return f"the cluster has not confirmed the journal's head for {age:.0f} s"
        return ""

    @property
    def forked(self) -> bool:
        """Whether a person must look."""
        return bool(self._forked)

    @property
    def whole(self) -> bool:
        """Whether the stream held all of this node's frames when it was last looked at."""
        return self._short_since is None and not self._forked

    def check(self) -> None:
        """Raise JournalBroken when forked, JournalHalted when halted: nothing may be appended."""
        if self._forked:
            raise JournalBroken(self._forked)
        if self._halted:
            raise JournalHalted(self._halted)

    def confirm(self, asked: float) -> None:
        """The cluster was asked at `asked`, and holds what this node holds."""
        self._short_since = None
        self._confirmed = max(self._confirmed, asked)
        if self._halted:
            self._halted = ""
            get_logger().warning("journal_mended", stream=self._stream)

    def short(self, asked: float, what: str) -> None:
        """The stream lacks frames of this node, or is not live; `what` says so."""
        if self._short_since is None:
            self._short_since = asked
            get_logger().error("stream_short", stream=self._stream, detail=what)
        if asked - self._short_since >= SHORT_SECONDS and what != self._halted:
            if not self._halted:
                get_logger().critical("journal_forked", stream=self._stream, detail=what)
            self._halted = what

    def fork(self, detail: str) -> JournalBroken:
        """The stream contradicts this node. The first contradiction is the one that is told."""
        if not self._forked:
            self._forked = detail
            get_logger().critical("journal_forked", stream=self._stream, detail=detail)
        return JournalBroken(self._forked)

    def sides(self, detail: str) -> None:
        """Who holds what, found out after a fork."""
        self._forked = f"{self._forked}; {detail}"
        get_logger().critical("journal_forked", stream=self._stream, detail=self._forked)
