"""What goes over TCP connections of this machine, as the kernel counts it (tcp_info, by iproute2's `ss`).

Bytes are TCP's payload: TLS records, each once (`bytes_acked`, `bytes_received`), without TCP's and IP's own
headers. A connection on loopback has two ends; only the end at a known server's port is looked at, so each
is counted once. One that ends between two looks counts with what the last look saw of it: look often.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Connection", "Wire", "loopback_bytes", "own_network", "read_connections"]

_SS: Final = ("ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline", "state", "established")
_SS_SECONDS: Final = 10.0
_COUNT: Final = re.compile(r" (bytes_acked|bytes_received):(\d+)")
_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Connection:
    """One end of a connection: its ports, and the payload that has gone out and come in so far."""

    port: int
    peer_port: int
    sent: int
    received: int


def read_connections(text: str) -> Iterator[Connection]:
    """What `ss` says of established connections, a line each. ValueError where it is something else."""
    for line in text.splitlines():
        fields = line.split(maxsplit=4)
        if len(fields) < 4:
            raise ValueError(f"not a line of ss: {line!r}")
        port, peer_port = (int(address.rpartition(":")[2]) for address in fields[2:4])
        counts = {name: int(count) for name, count in _COUNT.findall(line)}
        yield Connection(port, peer_port, counts.get("bytes_acked", 0), counts.get("bytes_received", 0))


class Wire:
    """Adds up, by kind, what has gone both ways over the connections to servers' ports."""

    def __init__(self, kinds: Mapping[int, str]) -> None:
        self._kinds = kinds
        self._open: dict[tuple[int, int], int] = {}
        self._ended: Counter[str] = Counter()

    @property
    def connections(self) -> dict[str, int]:
        """How many of each kind were open at the last look."""
        return dict(Counter(self._kinds[port] for port, _ in self._open))

    @property
    def totals(self) -> dict[str, int]:
        """Bytes of each kind up to the last look."""
        total = dict.fromkeys(self._kinds.values(), 0) | dict(self._ended)
        for (port, _), count in self._open.items():
            total[self._kinds[port]] += count
        return total

    def look(self) -> None:
        """Ask the kernel now; blocks for some milliseconds. OSError, subprocess.SubprocessError."""
        done = subprocess.run(_SS, check=True, stdout=subprocess.PIPE, timeout=_SS_SECONDS, text=True)
        self.take(done.stdout)

    def take(self, text: str) -> None:
        """Take in what `ss` has said."""
        now = {
            (each.port, each.peer_port): each.sent + each.received
            for each in read_connections(text)
            if each.port in self._kinds
        }
        for ends, count in self._open.items():
            if now.get(ends, -1) < count:  # ended, and perhaps the same ports are in use again
                self._ended[self._kinds[ends[0]]] += count
        self._open = now


def own_network() -> bool:
    """Give this process a network of its own, loopback alone, so that nobody else's traffic is in it.

    Before any thread is started. False where that is not allowed (it takes root).
    """
    if _libc.unshare(_CLONE_NEWNET):
        return False
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True, timeout=_SS_SECONDS)
    return True


def loopback_bytes() -> int:
    """Everything that has gone over this network's loopback, with all headers."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    (count,) = (int(line.split()[1]) for line in lines if line.split()[:1] == ["lo:"])
    return count
