"""How much one caller may ask for: requests a second, requests at a time, uploads at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from axis.core.errors import Refusal
from axis.ports import Clock

__all__ = ["Limiter"]

#: One organisation may hold this share of what all have together.
_SHARE: Final = 4
_FORGET_AFTER_MS: Final = 60_000


@dataclass(slots=True)
class _Caller:
    """A token bucket and what is under way."""

    tokens: float
    refilled: int
    requests: int = 0
    uploads: int = 0


@dataclass(slots=True)
class Limiter:
    """Counts what callers do. A caller is an organisation, or "" for everybody without a certificate."""

    clock: Clock
    rate: float  # requests a second, sustained
    burst: int
    concurrent: int  # requests of one caller
    uploads: int  # of all callers
    _callers: dict[str, _Caller] = field(default_factory=dict)
    _uploading: int = 0

    @contextmanager
    def request(self, caller: str) -> Iterator[None]:
        """One request. Refusal `rate_limited` with the seconds to wait when there are too many."""
        state = self._refill(caller)
        if state.tokens < 1:
            raise Refusal("rate_limited", retry_after=max(1, round((1 - state.tokens) / self.rate)))
        if state.requests >= self.concurrent:
            raise Refusal("rate_limited", f"more than {self.concurrent} requests at a time", retry_after=1)
        state.tokens -= 1
        state.requests += 1
        try:
            yield
        finally:
            state.requests -= 1

    @contextmanager
    def upload(self, caller: str) -> Iterator[None]:
        """One upload. Bounds what is buffered and written at a time, whoever sends it."""
        state = self._refill(caller)
        if self._uploading >= self.uploads or state.uploads >= max(1, self.uploads // _SHARE):
            raise Refusal("rate_limited", "too many uploads at a time", retry_after=1)
        state.uploads += 1
        self._uploading += 1
        try:
            yield
        finally:
            state.uploads -= 1
            self._uploading -= 1

    def _refill(self, name: str) -> _Caller:
        now = self.clock.now()
        state = self._callers.get(name)
        if state is None:
            self._forget(now)
            state = self._callers[name] = _Caller(float(self.burst), now)
        # A clock set back earns nothing, and starts counting anew.
        elapsed = max(0, now - state.refilled) / 1000
        state.tokens = min(float(self.burst), state.tokens + elapsed * self.rate)
        state.refilled = now
        return state

    def _forget(self, now: int) -> None:
        """Drop callers with nothing under way whose bucket is full again."""
        idle = [
            name
            for name, state in self._callers.items()
            if not state.requests and not state.uploads and now - state.refilled > _FORGET_AFTER_MS
        ]
        for name in idle:
            del self._callers[name]
