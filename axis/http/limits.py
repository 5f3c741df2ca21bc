"""How much one caller may ask for: requests a second, requests at a time, uploads at a time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from axis.core.errors import Refusal
from axis.ports import Clock

__all__ = ["Limiter"]

#: One organisation may hold this share of what all have together.
_SHARE: Final = 4
#: Batches of submissions of one organisation at a time, each of up to 8 MiB.
_BATCHES: Final = 8
_FORGET_AFTER_MS: Final = 60_000

#: Of callers without a certificate, who may only enrol: requests a second, at once and at a time from one
#: address, and at a time from all. One address must not keep everybody else from enrolling.
_STRANGER_RATE: Final = 20.0
_STRANGER_BURST: Final = 1000
_STRANGER_CONCURRENT: Final = 16
_STRANGERS_CONCURRENT: Final = 256


@dataclass(slots=True)
class _Caller:
    """A token bucket and what is under way."""

    tokens: float
    refilled: int
    requests: int = 0
    uploads: int = 0
    batches: int = 0


@dataclass(slots=True)
class Limiter:
    """Counts what callers do. A caller is an organisation, or a network without a certificate."""

    clock: Clock
    rate: float  # requests a second, sustained
    burst: int
    concurrent: int  # requests of one caller
    uploads: int  # of all callers
    _callers: dict[str, _Caller] = field(default_factory=dict)
    _uploading: int = 0
    _batches: int = 0
    _strangers: int = 0

    @contextmanager
    def request(self, caller: str) -> Iterator[None]:
        """One request. Refusal `rate_limited` with the seconds to wait when there are too many."""
        state = self._refill(caller, self.rate, self.burst)
        with _counted(state, self.rate, self.concurrent):
            yield

    @contextmanager
    def stranger(self, address: str) -> Iterator[None]:
        """One request of somebody without a certificate; Refusal `rate_limited`."""
        state = self._refill(_network(address), _STRANGER_RATE, _STRANGER_BURST)
        if self._strangers >= _STRANGERS_CONCURRENT:
            raise Refusal("rate_limited", "too many are enrolling", retry_after=1)
        with _counted(state, _STRANGER_RATE, _STRANGER_CONCURRENT):
            self._strangers += 1
            try:
                yield
            finally:
                self._strangers -= 1

    @contextmanager
    def upload(self, caller: str) -> Iterator[None]:
        """One upload. Bounds what is buffered and written at a time, whoever sends it."""
        state = self._refill(caller, self.rate, self.burst)
        if self._uploading >= self.uploads or state.uploads >= max(1, self.uploads // _SHARE):
            raise Refusal("rate_limited", "too many uploads at a time", retry_after=1)
        state.uploads += 1
        self._uploading += 1
        try:
            yield
        finally:
            state.uploads -= 1
            self._uploading -= 1

    def charge(self, caller: str, requests: int) -> None:
        """What one request asks for as if it were so many more; Refusal `rate_limited`."""
        state = self._refill(caller, self.rate, self.burst)
        if state.tokens < requests:
            raise Refusal("rate_limited", retry_after=max(1, round((requests - state.tokens) / self.rate)))
        state.tokens -= requests

    @contextmanager
    def batch(self, caller: str) -> Iterator[None]:
        """One batch of submissions. Apart from uploads: large attachments must not keep documents waiting."""
        state = self._refill(caller, self.rate, self.burst)
        if self._batches >= self.uploads or state.batches >= max(1, min(_BATCHES, self.uploads // _SHARE)):
            raise Refusal("rate_limited", "too many batches at a time", retry_after=1)
        state.batches += 1
        self._batches += 1
        try:
            yield
        finally:
            state.batches -= 1
            self._batches -= 1

    def _refill(self, name: str, rate: float, burst: int) -> _Caller:
        now = self.clock.now()
        state = self._callers.get(name)
        if state is None:
            self._forget(now)
            state = self._callers[name] = _Caller(float(burst), now)
        # A clock set back earns nothing, and starts counting anew.
        elapsed = max(0, now - state.refilled) / 1000
        state.tokens = min(float(burst), state.tokens + elapsed * rate)
        state.refilled = now
        return state

    def _forget(self, now: int) -> None:
        """Drop callers with nothing under way whose bucket is full again."""
        idle = [
            name
            for name, state in self._callers.items()
            if not (state.requests or state.uploads or state.batches)
            and now - state.refilled > _FORGET_AFTER_MS
        ]
        for name in idle:
            del self._callers[name]


@contextmanager
def _counted(state: _Caller, rate: float, concurrent: int) -> Iterator[None]:
    if state.tokens < 1:
        raise Refusal("rate_limited", retry_after=max(1, round((1 - state.tokens) / rate)))
    if state.requests >= concurrent:
        raise Refusal("rate_limited", f"more than {concurrent} requests at a time", retry_after=1)
    state.tokens -= 1
    state.requests += 1
    try:
        yield
    finally:
        state.requests -= 1


def _network(address: str) -> str:
    """What one party has: an IPv4 address, or 64 bits of IPv6. No organisation is called so."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"@{address}"
    bits = 32 if parsed.version == 4 else 64
    return f"@{ipaddress.ip_network((parsed, bits), strict=False)}"
