"""How often somebody may try to log in: by name at one address, by name, and by address, in bounded memory.

Few tries are left with a name at one address; many more with the name from anywhere, so that a crowd cannot
guess on without end. Where a password was right before, the crowd's tries do not count: whoever knows
an operator's name, at however many addresses, does not lock the operator out from where he works.

An attempt counts from before its password is looked at until it turns out right, so that many at once are no
way around the limit. Whether an account has the name makes no difference.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from axis.core.errors import Refusal

__all__ = ["PER_ADDRESS", "PER_NAME", "PER_NAME_AND_ADDRESS", "WINDOW_SECONDS", "Attempts"]

WINDOW_SECONDS: Final = 300.0
PER_NAME_AND_ADDRESS: Final = 5
PER_NAME: Final = 50
#: A whole office may come through one address.
PER_ADDRESS: Final = 30
_KEPT: Final = 4096

#: A name, a network, or both.
_Key = str | tuple[str, str]


class Attempts:
    """Failed log-ins of the last five minutes. `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pairs = _Window(PER_NAME_AND_ADDRESS)
        self._names = _Window(PER_NAME)
        self._addresses = _Window(PER_ADDRESS)
        #: Networks at which a password was right, by name, the newest last.
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, name: str, address: str) -> None:
        """Count an attempt. Refusal `rate_limited`, which says how long to wait; that one is not counted."""
        now = self._now()
        network = _network(address)
        pair = (name, network)
        wait = max(self._pairs.wait(pair, now), self._addresses.wait(network, now))
        if pair not in self._right:
            wait = max(wait, self._names.wait(name, now))
        if wait > 0:
            seconds = math.ceil(wait)
            detail = f"too many log-ins failed for this name or from this address: wait {seconds} s"
            raise Refusal("rate_limited", detail, retry_after=seconds)
        if name:
            self._pairs.add(pair, now)
            if pair not in self._right:
                self._names.add(name, now)
        self._addresses.add(network, now)

    def succeeded(self, name: str, address: str) -> None:
        """The attempt was right: earlier ones with the name at the address are forgotten; of all with the
        name, and of all at the address, this one.
        """
        network = _network(address)
        pair = (name, network)
        self._pairs.clear(pair)
        if pair not in self._right:
            self._names.take_back(name)
        self._addresses.take_back(network)
        self._right[pair] = None
        self._right.move_to_end(pair)
        if len(self._right) > _KEPT:
            self._right.popitem(last=False)


class _Window:
    """When what was tried, the newest `limit` times of each key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tried: OrderedDict[_Key, deque[float]] = OrderedDict()

    def wait(self, key: _Key, now: float) -> float:
        """Seconds until another try; 0 if it may be now."""
        times = self._tried.get(key)
        if times is None:
            return 0.0
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        return WINDOW_SECONDS - (now - times[0]) if len(times) >= self._limit else 0.0

    def add(self, key: _Key, now: float) -> None:
        times = self._tried.setdefault(key, deque(maxlen=self._limit))
        times.append(now)
        self._tried.move_to_end(key)
        if len(self._tried) > _KEPT:
            self._tried.popitem(last=False)

    def clear(self, key: _Key) -> None:
        self._tried.pop(key, None)

    def take_back(self, key: _Key) -> None:
        times = self._tried.get(key)
        if times:
            times.pop()


def _network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one: whoever has one has all of it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # as a proxy that listens for both writes it (RFC 4291, section 2.5.5.2)
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
