"""The console's benchmark: a year in small, through the real views."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from axis.views.projection import Views
from axis.views.traffic import Filter, traffic
from bench.console import run
from bench.year import Year


def test_every_filter_is_measured_in_each_variant(tmp_path: Path) -> None:
    result = run(tmp_path, events=800, units=120, times=1, seed=3)
    assert result["events"] == 800
    assert result["fill"]["bytes_per_event"] > 100
    assert {"unit", "subtree", "kind", "outcome", "number", "words", "strangers"} <= result["traffic"].keys()
    for variants in result["traffic"].values():
        assert variants.keys() == {"alone", "in_range", "at_cursor"}
        assert all(0 < each["p50"] <= each["p95"] <= each["max"] for each in variants.values())
    assert result["slowest_p95_ms"] == max(result["traffic_p95_ms"].values())


def test_a_year_has_every_kind_of_event_and_is_always_the_same(tmp_path: Path) -> None:
    one, two = (Year(4000, 120, 3).frames(0, 1000) for _ in range(2))
    assert [frame.raw for frame in one] == [frame.raw for frame in two]
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.rebuild(Year(4000, 120, 3))  # type: ignore[arg-type]
        with closing(views.reader()) as reader:
            events = {line["event"] for line in traffic(reader, Filter(limit=10_000))}
    assert events >= {"accepted", "received", "refused", "dead", "requeued", "status", "rejected"}
