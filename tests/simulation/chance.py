"""What goes wrong in one schedule: drawn from its seed, noted as it happens, over at a fixed time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from tests.simulation.stream import STORAGE_FULL, UNAVAILABLE, Current
from tests.simulation.wire import Fate

__all__ = ["Calm", "Chance", "CrashAt"]


class Calm:
    """Nothing goes wrong."""

    def crashes(self, host: str, point: str) -> bool:
        return False

    def fails(self, host: str, effect: str) -> str:
        return ""

    def takes(self, host: str, effect: str) -> float:
        return 0.001

    def fate(self, caller: str, path: str) -> Fate:
        return Fate()

    def current(self, host: str, call: str) -> Current:
        return Current()


@dataclass
class CrashAt(Calm):
    """One crash: at the point numbered `number`, from 1, on a host."""

    host: str
    number: int
    passed: int = 0
    where: str = ""

    def crashes(self, host: str, point: str) -> bool:
        if host != self.host:
            return False
        self.passed += 1
        if self.passed == self.number:
            self.where = point
            return True
        return False


@dataclass
class Chance:
    """Faults of every kind until `over` (seconds of the loop), each kind as often as the seed says."""

    seed: int
    over: float
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        rates = {
            "crash": (0, 0.003, 0.02),
            "full": (0, 0.02),
            "lost": (0, 0.03),
            "lost request": (0.02, 0.15),
            "unanswered": (0.02, 0.15),
            "cut": (0, 0.1),
            "again": (0.02, 0.2),
            "late": (0.05, 0.3),
            "stream lost": (0, 0.02, 0.1),
            "stream unanswered": (0, 0.02, 0.2),
            "stream refuses": (0, 0.05),
            "stream late": (0, 0.05, 0.2),
            "stream silent": (0, 0.005),
        }
        self.rates = {kind: self.random.choice(choices) for kind, choices in rates.items()}
        self._crashes_left = 8
        self._cut_off: dict[str, float] = {}
        self._silent = 0.0, "lost"

    def crashes(self, host: str, point: str) -> bool:
        if not self._crashes_left or not self._happens("crash", f"{host} dies: {point}"):
            return False
        self._crashes_left -= 1
        return True

    def fails(self, host: str, effect: str) -> str:
        for kind in ("full", "lost"):
            if self._happens(kind, f"{host}: {effect} is {kind}"):
                return kind
        return ""

    def takes(self, host: str, effect: str) -> float:
        return self.random.uniform(0.0005, 0.01)

    def fate(self, caller: str, path: str) -> Fate:
        what = f"{caller} {path[:14]}"
        late = self._happens("late", f"{what} is late")
        until = self._cut_off.get(caller, 0)
        now = asyncio.get_running_loop().time()
        if now < until:
            return Fate(lost=True)
        lost = self._happens("lost request", f"{what} never arrives")
        if lost and self.random.random() < 0.2:
            self._cut_off[caller] = min(self.over, now + self.random.uniform(1, 15))
        again = self._happens("again", f"{what} arrives twice")
        return Fate(
            to=self.random.uniform(0.1, 8) if late else self.random.uniform(0.001, 0.05),
            back=self.random.uniform(0.1, 8) if late else self.random.uniform(0.001, 0.05),
            lost=lost,
            again=self.random.choice((0.01, 1.0, 20.0)) if again else None,
            unanswered=self._happens("unanswered", f"{what} gets no answer"),
            cut=self._happens("cut", f"{what}: the answer breaks off"),
            hangs=self.random.random() < 0.1,
        )

    def current(self, host: str, call: str) -> Current:
        """The stream's calls; now and then it has no leader for a while, or one of before answers."""
        now, what = asyncio.get_running_loop().time(), f"{host} stream.{call}"
        silent, by = self._silent
        if now >= silent and self._happens("stream silent", f"{what}: the leader is lost"):
            by = self.random.choice(("lost", "leaderless", "old"))
            silent = min(self.over, now + self.random.uniform(1, 8))
            self._silent = silent, by
        if now < silent:
            return Current(**{by: True})
        refused = self._happens("stream refuses", f"{what} is refused")
        late = self._happens("stream late", f"{what} is late")
        return Current(
            # Later than the caller waits, too: then it lands all the same.
            to=self.random.uniform(0.1, 3) if late else self.random.uniform(0.0005, 0.005),
            back=self.random.uniform(0.1, 1) if late else self.random.uniform(0.0005, 0.005),
            lost=self._happens("stream lost", f"{what} never arrives"),
            unanswered=self._happens("stream unanswered", f"{what} gets no answer"),
            refused=self.random.choice((UNAVAILABLE, STORAGE_FULL)) if refused else 0,
        )

    def _happens(self, kind: str, what: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self.over or self.random.random() >= self.rates[kind]:
            return False
        self.faults.append(f"{now:8.3f}  {what}")
        return True
