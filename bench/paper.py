"""docs/scale.md: what was measured, by symbol, and everything that follows from it by arithmetic alone. Pure.

The page's table of measured figures is the only place where they stand; `tables` makes every other table from
it. `taken` reads those figures from what the benchmarks print as JSON, each known by what it holds:
`python -m bench.paper FILE…` puts them into the page and makes its tables anew; so does
`UPDATE_DOCS=1 pytest tests/unit/test_scale_page.py` after a figure was changed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from math import ceil, inf
from pathlib import Path
from typing import Any, Final

__all__ = ["PAGE", "measured", "rewritten", "tables", "taken"]

PAGE: Final = Path(__file__).parents[1] / "docs/scale.md"
_ROW: Final = re.compile(r"^\| `(\w+)` \| ([-\d.,]+) \|", re.MULTILINE)
_MIB: Final = 1024 * 1024
_MILLION: Final = 1_000_000
#: Seconds of a busy day, and such days of a year: eight hours, working days.
_DAY: Final = 8 * 3600
_YEAR_DAYS: Final = 250
#: Of one core, what a process is planned to use at the busiest time.
_USABLE: Final = 0.7
#: Frames a second of one stream at most: each follows the one before, and what comes meanwhile goes together.
#: Assumed: 25 ms from frame to frame under load.
_FRAMES: Final = 40
#: More streams than are needed at least are looked at, up to so many times as many.
_MORE_STREAMS: Final = 8
#: Of what the stream of the journal took at most, what is planned for.
_OF_CEILING: Final = 0.5
#: documents a second, agencies
_CASES: Final = ((1, 94), (100, 10_000), (10_000, 10_000))

Figures = Mapping[str, float]


def measured(page: str) -> dict[str, float]:
    """The figures in the page's table, by symbol."""
    return {symbol: float(value.replace(",", "")) for symbol, value in _ROW.findall(page)}


def taken(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The figures that these runs give, by symbol. StopIteration for what no benchmark has printed."""
    found: dict[str, float] = {}
    for run in runs:
        found |= next(read for key, read in _READERS.items() if key in run)(run)
    return found


def _of_scale(run: Mapping[str, Any]) -> dict[str, float]:
    processes, wire = run["processes"], run["wire"]
    serving, following, agencies = (processes[name] for name in ("axis-1", "axis-2", "agencies"))
    servers = [each for name, each in processes.items() if name.startswith("nats-")]
    deliveries = run["deliveries"] / run["documents"]

    def of_server(what: str) -> float:
        return float(sum(each[what] for each in servers)) / len(servers)

    cpu, idle, stored = "cpu_ms_per_document", "idle_cpu_ms_per_second", "stored_bytes_per_document"
    if run["spread"]:
        return {
            "spread_ms": serving[cpu] + following[cpu],
            "spread_frames": run["frames_per_document"],
            "spread_nats_ms": of_server(cpu),
            "spread_axis_nats_wire": wire["axis-nats"]["bytes_per_document"],
            "spread_nats_wire": wire["nats-nats"]["bytes_per_document"],
        }
    kept = servers[0][stored]
    return {
        "deliveries": deliveries,
        "records": run["records_per_document"],
        "frames": run["frames_per_document"],
        "serve_ms": serving[cpu] - following[cpu],
        "follow_ms": following[cpu],
        "agency_ms": agencies[cpu] / (1 + deliveries),
        "nats_ms": of_server(cpu),
        "axis_idle_ms": following[idle],
        "poll_idle_ms": max(0.0, serving[idle] - following[idle]) / run["agencies"],
        "nats_idle_ms": of_server(idle),
        "journal_bytes": following[stored]["journal.sqlite"],
        "views_bytes": following[stored]["views.sqlite"],
        "axis_blob_bytes": serving[stored]["blobs"],
        "stream_bytes": kept["journal"],
        "chunk_bytes": kept["blobs"],
        "agency_bytes": agencies[stored]["agency.sqlite"] / (1 + deliveries),
        "axis_written": serving["written_bytes_per_document"],
        "nats_written": of_server("written_bytes_per_document"),
        "agency_wire": wire["agencies-axis"]["bytes_per_document"],
        "axis_nats_wire": wire["axis-nats"]["bytes_per_document"],
        "nats_wire": wire["nats-nats"]["bytes_per_document"],
        "poll_wire": wire["agencies-axis"]["idle_bytes_per_second"] / run["agencies"],
        "connections": run["connections"]["agencies-axis"] / run["agencies"],
    }


def _of_apply(run: Mapping[str, Any]) -> dict[str, float]:
    """c(n) = record + frame / n, from one record a frame and sixty-four."""
    costs = {each["records_per_frame"]: each["journal_ms"] + each["views_ms"] for each in run["applied"]}
    frame = (costs[1] - costs[64]) / (1 - 1 / 64)
    return {"frame_ms": frame, "record_ms": costs[1] - frame}


def _of_journal(run: Mapping[str, Any]) -> dict[str, float]:
    return {"stream_appends": run["jetstream"]["appends_per_second"]}


def _of_journey(run: Mapping[str, Any]) -> dict[str, float]:
    return {"batched_ms": 1000 * run["cpu_seconds"]["axis"] / run["documents"]}


def _of_directory(run: Mapping[str, Any]) -> dict[str, float]:
    units, node, first = run["units"], run["node"], run["first_synchronisation"]
    return {
        "unit_journal_bytes": run["journal_bytes"] / units,
        "unit_agency_bytes": run["agency_bytes"] / units,
        "unit_memory_bytes": (node["rss_mib"] - node["rss_before_mib"]) * _MIB / units,
        "unit_wire_bytes": first["bytes"] / units,
        "unit_import_ms": 1000 * run["commands_seconds"]["org import"] / units,
        "unit_sync_ms": 1000 * first["seconds"] / units,
    }


def _of_subjects(run: Mapping[str, Any]) -> dict[str, float]:
    return {"chunk_memory_bytes": sum(run["bytes_per_chunk"]) / len(run["bytes_per_chunk"])}


#: What tells the benchmarks' answers apart.
_READERS: Final = {
    "processes": _of_scale,
    "applied": _of_apply,
    "jetstream": _of_journal,
    "floor_fraction": _of_journey,
    "first_synchronisation": _of_directory,
    "bytes_per_chunk": _of_subjects,
}


def tables(m: Figures) -> dict[str, str]:
    """Every derived table of the page, by its name."""
    return {"documents": _documents(m), "units": _units(m), "cases": _cases(m)}


def _documents(m: Figures) -> str:
    takers = 1 + m["deliveries"]
    rows = [
        ("kept by each axis node: journal, views", "`journal_bytes` + `views_bytes`", _gb(_per_node(m))),
        ("kept by the axis nodes together: attachments", "`axis_blob_bytes`", _gb(m["axis_blob_bytes"])),
        ("kept by each NATS server", "`stream_bytes` + `chunk_bytes`", _gb(_per_server(m))),
        (
            "kept by the agencies together",
            "`agency_bytes` × (1 + `deliveries`)",
            _gb(m["agency_bytes"] * takers),
        ),
        ("written by the axis node that serves", "`axis_written`", _gb(m["axis_written"])),
        ("written by each NATS server", "`nats_written`", _gb(m["nats_written"])),
        ("between agencies and axis", "`agency_wire`", _gb(m["agency_wire"])),
        ("between axis nodes and NATS", "`axis_nats_wire`", _gb(m["axis_nats_wire"])),
        ("among NATS servers", "`nats_wire`", _gb(m["nats_wire"])),
        ("CPU to serve, on one axis node", "`serve_ms`", _hours(m["serve_ms"])),
        ("CPU to follow, on every axis node", "`follow_ms`", _hours(m["follow_ms"])),
        ("CPU of each NATS server", "`nats_ms`", _hours(m["nats_ms"])),
        ("CPU of the agencies together", "`agency_ms` × (1 + `deliveries`)", _hours(m["agency_ms"] * takers)),
    ]
    return _table(("of a million documents", "arithmetic", ""), rows)


def _units(m: Figures) -> str:
    rows = [
        ("journal of each axis node", "`unit_journal_bytes`", _gb(m["unit_journal_bytes"])),
        ("store of each agency node", "`unit_agency_bytes`", _gb(m["unit_agency_bytes"])),
        ("memory of each agency node", "`unit_memory_bytes`", _gb(m["unit_memory_bytes"])),
        ("sent to each new agency node", "`unit_wire_bytes`", _gb(m["unit_wire_bytes"])),
        ("`axis org import`", "`unit_import_ms`", f"{m['unit_import_ms'] / 60 * 1000:.1f} min"),
        ("first synchronisation of an agency node", "`unit_sync_ms`", f"{m['unit_sync_ms'] * 1000:.0f} s"),
    ]
    return _table(("of a million units (extrapolated)", "arithmetic", ""), rows)


def _cases(m: Figures) -> str:
    columns = [_case(m, rate, agencies) for rate, agencies in _CASES]
    heads = [f"{rate:,}/s, {agencies:,} agencies" for rate, agencies in _CASES]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return _table(("", *heads), rows)


def _applying(m: Figures, rate: float, streams: int) -> float:
    """Of a core, on every axis node of a stream."""
    frames = min(rate * m["spread_frames"] / streams, _FRAMES)
    return (frames * _frame_ms(m) + rate * m["records"] / streams * m["record_ms"]) / 1000


def _frame_ms(m: Figures) -> float:
    """A frame from the cluster costs more than `frame_ms`: what following took, less the records' share."""
    return (m["follow_ms"] - m["records"] * m["record_ms"]) / m["frames"]


def _serve_ms(m: Figures) -> float:
    """A document at one of several nodes that all serve: what two took, less what both applied."""
    return m["spread_ms"] - 2 * (m["spread_frames"] * _frame_ms(m) + m["records"] * m["record_ms"])


def _nodes(m: Figures, rate: float, agencies: int, streams: int, serve_ms: float) -> tuple[float, float]:
    """(cores to serve in all, axis nodes in all): inf where applying alone takes all that a node may use."""
    cores = (rate * serve_ms + agencies * streams * m["poll_idle_ms"]) / 1000
    left = _USABLE - _applying(m, rate, streams)
    return cores, streams * max(2, ceil(cores / streams / left)) if left > 0 else inf


def _streams(m: Figures, rate: float, agencies: int) -> int:
    """As many as the appends need, and then as make the axis nodes fewest."""
    least = ceil(rate * m["records"] / (_OF_CEILING * m["stream_appends"]))
    counts = range(least, least * _MORE_STREAMS + 1)
    return min(counts, key=lambda count: _nodes(m, rate, agencies, count, _serve_ms(m))[1])


def _case(m: Figures, rate: float, agencies: int) -> dict[str, str]:
    streams = _streams(m, rate, agencies)
    low, high = (_nodes(m, rate, agencies, streams, ms) for ms in (m["batched_ms"], _serve_ms(m)))
    day = rate / streams * _DAY / _MILLION
    year = day * _YEAR_DAYS
    return {
        "records/s": f"{rate * m['records']:,.0f}",
        "streams (partitions)": f"{streams}",
        "applying frames, of a core, on every axis node": f"{_applying(m, rate, streams):.2f}",
        "idle polls, cores in all": f"{agencies * streams * m['poll_idle_ms'] / 1000:.1f}",
        "serving and polls, cores in all": _span(f"{low[0]:,.1f}", f"{high[0]:,.1f}"),
        "axis nodes, a core each": _span(*("no number" if n == inf else f"{n:,}" for n in (low[1], high[1]))),
        "connections from agencies": f"{agencies * m['connections'] * streams:,.0f}",
        "NATS servers": f"{3 * streams}",
        "CPU of a NATS server, cores (at most)": f"{rate / streams * m['spread_nats_ms'] / 1000:.2f}",
        "agencies ↔ axis": _bits(rate * m["agency_wire"] + agencies * streams * m["poll_wire"]),
        "each NATS server, in and out": _bits(
            rate / streams * (2 * m["spread_nats_wire"] + m["spread_axis_nats_wire"]) / 3
        ),
        "written by a NATS server": f"{rate / streams * m['nats_written'] / _MILLION:,.1f} MB/s",
        "kept in a day by a NATS server": _gb(day * _per_server(m)),
        "kept in a year by a NATS server": _gb(year * _per_server(m)),
        "kept in a year by an axis node, without attachments": _gb(year * _per_node(m)),
        "memory of a NATS server after a year": _gb(year * m["chunk_memory_bytes"]),
    }


def _per_node(m: Figures) -> float:
    return m["journal_bytes"] + m["views_bytes"]


def _per_server(m: Figures) -> float:
    return m["stream_bytes"] + m["chunk_bytes"]


def _gb(bytes_of_each: float) -> str:
    """A million times so many bytes, in GB or TB."""
    return (
        f"{bytes_of_each / 1_000_000:,.1f} TB"
        if bytes_of_each >= _MILLION
        else f"{bytes_of_each / 1000:,.1f} GB"
    )


def _hours(ms: float) -> str:
    """A million times so many milliseconds."""
    return f"{ms / 3.6:,.1f} h"


def _bits(bytes_a_second: float) -> str:
    return f"{bytes_a_second * 8 / _MILLION:,.0f} Mbit/s"


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rewritten(page: str, figures: Figures | None = None) -> str:
    """The page with these figures in place of its own, and all its tables made from them."""
    for symbol, value in (figures or {}).items():
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        page = re.sub(rf"^(\| `{symbol}` \|) [-\d.,]+ ", rf"\1 {text} ", page, flags=re.MULTILINE)
    for name, table in tables(measured(page)).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        page = before + begin + table + "\n" + end + rest.partition(end)[2]
    return page


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="what the benchmarks printed, JSON")
    asked = parser.parse_args()
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in asked.files]
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), taken(runs)), encoding="utf-8")


if __name__ == "__main__":
    main()
