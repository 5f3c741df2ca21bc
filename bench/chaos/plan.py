"""The plan of a run: which fault, on what, when, for how long. Pure: the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["FaultSpec", "Layout", "NotInjected", "Step", "make_plan"]

_FIRST_AT: Final = (1.0, 3.0)
_PAUSE: Final = (0.5, 2.0)


class NotInjected(Exception):
    """A fault could not be done, or nothing was seen of it: it does not count."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of a country's parts, known before it is started.

    `links` (agency to axis) and `routes` (NATS server to NATS server) are named `A~B` after what they join;
    `volumes` after the part whose home is on one.
    """

    engine: str
    axes: tuple[str, ...]
    agencies: tuple[str, ...]
    nats: tuple[str, ...]
    links: tuple[str, ...]
    volumes: tuple[str, ...]
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """What a plan must know of a kind of fault. Times in seconds.

    `targets` picks what it can hit from a layout; `variants` are its forms; `hold` the shortest and longest
    time that it lasts; `recovery` what mending takes, about; `amount` the bounds of its size.
    """

    kind: str
    targets: Callable[[Layout], Sequence[str]]
    hold: tuple[float, float]
    recovery: float
    variants: tuple[str, ...] = ("",)
    amount: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a plan. `at` and `hold` in seconds, `at` from the start of the load."""

    number: int
    at: float
    kind: str
    target: str
    variant: str
    hold: float
    amount: float

    def __str__(self) -> str:
        what = " ".join(part for part in (self.kind, self.variant, self.target) if part)
        size = f", {self.amount:g}" if self.amount else ""
        return f"{self.number:3}. at {self.at:6.1f} s: {what} for {self.hold:.1f} s{size}"


def make_plan(layout: Layout, specs: Sequence[FaultSpec], *, seed: int, seconds: float) -> tuple[Step, ...]:
    """Faults for about `seconds`, at least one. Every kind comes once before any comes again."""
    rng = random.Random(f"{layout.engine}/{seed}/{seconds:g}/{','.join(spec.kind for spec in specs)}")
    steps: list[Step] = []
    deck: list[FaultSpec] = []
    variants = {spec.kind: _in_turn(rng, spec.variants) for spec in specs}
    at = rng.uniform(*_FIRST_AT)
    while True:
        deck = deck or rng.sample(list(specs), len(specs))
        spec = deck.pop()
        hold = round(rng.uniform(*spec.hold), 1)
        if steps and at + hold + spec.recovery > seconds:
            return tuple(steps)
        step = Step(
            number=len(steps) + 1,
            at=round(at, 1),
            kind=spec.kind,
            target=rng.choice(list(spec.targets(layout))),
            variant=variants[spec.kind](),
            hold=hold,
            amount=round(rng.uniform(*spec.amount), 1),
        )
        steps.append(step)
        at += hold + spec.recovery + rng.uniform(*_PAUSE)


def _in_turn(rng: random.Random, variants: Sequence[str]) -> Callable[[], str]:
    """Each variant once, in any order, before any comes again."""
    left: list[str] = []

    def following() -> str:
        left.extend([] if left else rng.sample(list(variants), len(variants)))
        return left.pop()

    return following
