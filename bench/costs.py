"""From readings to costs: what one document takes of each process and each kind of connection. Pure.

What runs anyway is not a document's: the rate of the idle period, times the length of the load, is taken off
CPU, network and writes. Storage is not: what an idle system stores is shown by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Costs", "Reading", "costs"]

_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """Every counter at one moment; `at` in seconds.

    By process: CPU seconds, bytes written, bytes kept by what they are. By kind of connection: payload bytes.
    `loopback`: None where it is not this run's alone.
    """

    at: float
    cpu: Mapping[str, float]
    written: Mapping[str, int]
    stored: Mapping[str, Mapping[str, int]]
    wire: Mapping[str, int]
    loopback: int | None
    frames: int
    records: int


Costs = dict[str, object]


def costs(idle: tuple[Reading, Reading], load: tuple[Reading, Reading], documents: int) -> Costs:
    """Per document of the load, and per second of the idle period. `documents` at least 1."""
    idle_seconds, load_seconds = (after.at - before.at for before, after in (idle, load))

    def rate(name: str, what: str) -> float:
        """Of the idle period, a second."""
        before, after = (getattr(reading, what)[name] for reading in idle)
        return float(after - before) / idle_seconds

    def each(name: str, what: str) -> float:
        """A document's own share."""
        before, after = (getattr(reading, what)[name] for reading in load)
        return (float(after - before) - rate(name, what) * load_seconds) / documents

    processes = {
        name: {
            "cpu_ms_per_document": round(_MS * each(name, "cpu"), 2),
            "idle_cpu_ms_per_second": round(_MS * rate(name, "cpu"), 2),
            "written_bytes_per_document": round(each(name, "written")),
            "idle_written_bytes_per_second": round(rate(name, "written")),
            "stored_bytes_per_document": _grown(load[0].stored[name], load[1].stored[name], documents),
            "idle_stored_bytes": _grown(idle[0].stored[name], idle[1].stored[name], 1),
        }
        for name in load[1].cpu
    }
    wire = {
        kind: {
            "bytes_per_document": round(each(kind, "wire")),
            "idle_bytes_per_second": round(rate(kind, "wire")),
        }
        for kind in load[1].wire
    }
    before, after = load
    found: Costs = {
        "idle_seconds": round(idle_seconds, 1),
        "load_seconds": round(load_seconds, 1),
        "documents": documents,
        "documents_per_second": round(documents / load_seconds, 2),
        "frames_per_document": round((after.frames - before.frames) / documents, 2),
        "records_per_document": round((after.records - before.records) / documents, 2),
        "processes": processes,
        "wire": wire,
    }
    if before.loopback is not None and after.loopback is not None:
        payload = sum(after.wire.values()) - sum(before.wire.values())
        found["counted_of_loopback"] = round(payload / (after.loopback - before.loopback), 3)
    return found


def _grown(before: Mapping[str, int], after: Mapping[str, int], documents: int) -> dict[str, int]:
    growth = {what: round((after[what] - before.get(what, 0)) / documents) for what in after}
    return {what: count for what, count in sorted(growth.items()) if count}
