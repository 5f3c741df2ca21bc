"""The units of the demonstration: the Office of the Government, then units.csv in order."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

__all__ = ["MAX_UNITS", "DemoUnit", "demo_units"]

#: The 94 units that the axis connected in its first year.
MAX_UNITS = 94


@dataclass(frozen=True, slots=True)
class DemoUnit:
    """One line of units.csv."""

    code: str
    old_code: str
    name: str


def demo_units(count: int) -> list[DemoUnit]:
    """The first `count` units (1 to 94): G22 first, then units.csv in order."""
    text = resources.files("axis.demo").joinpath("units.csv").read_text(encoding="utf-8")
    units = [DemoUnit(row["code"], row["old_code"], row["name"]) for row in csv.DictReader(text.splitlines())]
    units.sort(key=lambda unit: unit.code != "G22")  # stable: the rest keep their order
    return units[:count]
