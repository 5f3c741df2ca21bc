"""docs/scale.md: its derived tables follow from its measured figures, and new runs' figures get into it."""

from __future__ import annotations

import os

import pytest

from bench.paper import PAGE, measured, rewritten, tables, taken

SCALE = {
    "documents": 10,
    "deliveries": 30,
    "agencies": 4,
    "spread": False,
    "records_per_document": 4.0,
    "frames_per_document": 1.5,
    "processes": {
        name: {
            "cpu_ms_per_document": cpu,
            "idle_cpu_ms_per_second": idle,
            "written_bytes_per_document": 1000,
            "stored_bytes_per_document": {
                "journal.sqlite": 11_000,
                "views.sqlite": 500,
                "blobs": 30_000,
                "journal": 9000,
                "agency.sqlite": 80_000,
            },
        }
        for name, cpu, idle in (
            *(("axis-1", 30.0, 9.0), ("axis-2", 10.0, 8.0), ("agencies", 44.0, 1.0)),
            *(("nats-1", 3.0, 6.0), ("nats-2", 6.0, 6.0), ("nats-3", 9.0, 6.0)),
        )
    },
    "wire": {
        kind: {"bytes_per_document": 60_000, "idle_bytes_per_second": 400}
        for kind in ("agencies-axis", "axis-nats", "nats-nats")
    },
    "connections": {"agencies-axis": 8},
}


def test_the_tables_on_the_page_are_those_of_its_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(rewritten(page), encoding="utf-8")
        page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page) == page, "UPDATE_DOCS=1 pytest tests/unit/test_scale_page.py makes them anew"


def test_every_symbol_that_the_page_calculates_with_is_measured() -> None:
    figures = measured(PAGE.read_text(encoding="utf-8"))
    for symbol in figures:
        assert figures[symbol] > 0, symbol
    with pytest.raises(KeyError):
        tables({symbol: value for symbol, value in figures.items() if symbol != "spread_ms"})


def test_a_run_gives_its_figures() -> None:
    figures = taken([SCALE])
    assert figures["serve_ms"] == 20.0
    assert figures["agency_ms"] == 11.0
    assert figures["nats_ms"] == 6.0
    assert figures["poll_idle_ms"] == 0.25
    assert figures["agency_bytes"] == 20_000
    assert figures["connections"] == 2
    assert taken([SCALE | {"spread": True}])["spread_ms"] == 40.0
    applied = [{"records_per_frame": n, "journal_ms": 0.1 + 1.28 / n, "views_ms": 0.1} for n in (1, 64)]
    assert taken([{"applied": applied}]) == pytest.approx({"frame_ms": 1.28, "record_ms": 0.2})
    with pytest.raises(StopIteration):
        taken([{"strange": 1}])


def test_new_figures_change_the_table_and_what_follows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    figures = measured(page) | {"journal_bytes": 100_000.0, "views_bytes": 0.5}
    changed = rewritten(page, figures)
    assert "| `journal_bytes` | 100,000 |" in changed
    assert "| `views_bytes` | 0.5 |" in changed
    assert (
        "| kept by each axis node: journal, views | `journal_bytes` + `views_bytes` | 100.0 GB |" in changed
    )
    assert changed != page


def test_where_applying_takes_everything_no_number_of_nodes_is_enough() -> None:
    figures = measured(PAGE.read_text(encoding="utf-8"))
    slow = tables(figures | {"follow_ms": 100 * figures["follow_ms"], "spread_ms": 1e6})["cases"]
    (row,) = (line for line in slow.splitlines() if line.startswith("| axis nodes"))
    assert row.split(" | ")[2] == "no number"
