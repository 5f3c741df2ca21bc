"""Log-ins that last: in this process's memory, so that all of them end with the node.

The cookie holds 256 random bits and nothing else; here only their SHA-256 is kept, so that a copy of the
process's memory opens no session (OWASP Session Management: identifiers without meaning, idle and absolute
time-outs, a new one at each log-in). Bounded: the oldest goes first.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["ABSOLUTE_SECONDS", "IDLE_SECONDS", "PER_NAME", "TOTAL", "Session", "Sessions"]

IDLE_SECONDS: Final = 3600.0
#: A working day.
ABSOLUTE_SECONDS: Final = 12 * 3600.0
PER_NAME: Final = 20
TOTAL: Final = 2000


@dataclass(slots=True)
class Session:
    """One log-in. `generation` is the account's when it began (`axis.console.accounts`)."""

    name: str
    generation: int
    csrf: str
    began: float
    used: float


class Sessions:
    """The log-ins of this run of the node. `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, name: str, generation: int) -> str:
        """Open a session; what goes into the cookie."""
        self._forget_expired()
        own = [key for key, session in self._sessions.items() if session.name == name]
        for key in own[: max(0, len(own) - PER_NAME + 1)]:
            del self._sessions[key]
        while len(self._sessions) >= TOTAL:
            self._sessions.popitem(last=False)
        cookie, now = secrets.token_urlsafe(32), self._now()
        self._sessions[_key(cookie)] = Session(name, generation, secrets.token_urlsafe(32), now, now)
        return cookie

    def find(self, cookie: str, *, use: bool = True) -> Session | None:
        """The session of a cookie; None where it has expired or never was. `use`: it is not idle now."""
        key = _key(cookie)
        session = self._sessions.get(key)
        if session is None:
            return None
        if self._expired(session):
            del self._sessions[key]
            return None
        if use:
            session.used = self._now()
        return session

    def end(self, cookie: str) -> None:
        """Log out. Idempotent."""
        self._sessions.pop(_key(cookie), None)

    def _expired(self, session: Session) -> bool:
        now = self._now()
        return now - session.used > IDLE_SECONDS or now - session.began > ABSOLUTE_SECONDS

    def _forget_expired(self) -> None:
        for key in [key for key, session in self._sessions.items() if self._expired(session)]:
            del self._sessions[key]


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
