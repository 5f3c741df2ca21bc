"""The console's benchmark: a year in small, through the real views."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from axis.core.frame import Frame
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.file import open_readonly
from axis.views.projection import Views
from axis.views.traffic import Filter, traffic
from bench.console import run
from bench.filled import fill
from bench.table import table
from bench.year import Year


class Broken(Year):
    """Breaks off once it has given so many frames."""

    left = 40  # of 128 records each

    def frames(self, after: int, limit: int) -> list[Frame]:
        found = super().frames(after, limit)
        self.left -= len(found)
        if self.left < 0:
            raise InterruptedError
        return found


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(open_readonly(path)) as views:
        tables = ("events", "deliveries", "daily", "days", "hours", "pairs")
        return {name: [tuple(row) for row in views.execute(f"SELECT * FROM {name}")] for name in tables}


def test_every_filter_is_measured_in_each_variant(tmp_path: Path) -> None:
    result = run(tmp_path, events=800, units=120, times=1, seed=3)
    assert result["events"] == 800
    assert result["fill"]["bytes_per_event"] > 100
    assert {"unit", "subtree", "kind", "outcome", "number", "words", "strangers"} <= result["traffic"].keys()
    for variants in result["traffic"].values():
        assert variants.keys() == {"alone", "in_range", "at_cursor"}
        assert all(0 < each["p50"] <= each["p95"] <= each["max"] for each in variants.values())
    assert result["slowest_p95_ms"] == max(result["traffic_p95_ms"].values())
    assert {"overview", "units_month", "units_year", "units_days", "unit_month"} <= result["pages"].keys()
    assert all(0 < each["p50"] <= each["max"] for each in result["pages"].values())
    assert result["pages_p95_ms"]["overview"] == result["pages"]["overview"]["p95"]
    # What is whole is only read.
    again = run(tmp_path, events=800, units=120, times=1, seed=3)
    assert again["fill"] == result["fill"]
    heading, rule, *rows = table([result, again]).splitlines()
    assert heading.count("800 events") == 2
    assert {line.count("|") for line in (heading, rule, *rows)} == {10}
    assert len(rows) == len(result["pages"]) + len(result["traffic"])


def test_filling_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    path, _ = fill(whole, Year(8000, 120, 3), print)
    with pytest.raises(InterruptedError):
        fill(broken, Broken(8000, 120, 3), print)
    before = len(rows(broken / "views.sqlite")["events"])
    assert 0 < before < 8000
    said: list[str] = []
    resumed, filled = fill(broken, Year(8000, 120, 3), said.append)
    assert (filled["events"], rows(resumed) == rows(path)) == (8000 - before, True)
    assert "filled 8,000 of 8,000 events" in said[-1]
    _, other = fill(broken, Year(800, 120, 3), print)  # another year's file is replaced
    assert other["events"] == 800


async def test_views_of_a_home_are_not_filled_over(tmp_path: Path) -> None:
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(MemoryJournal("j", reduce))
        with pytest.raises(ValueError, match="other views"):
            fill(tmp_path, Year(800, 120, 3), print)
        assert views.position() is not None


def test_a_year_has_every_kind_of_event_and_is_always_the_same(tmp_path: Path) -> None:
    one, two = (Year(4000, 120, 3).frames(0, 1000) for _ in range(2))
    assert [frame.raw for frame in one] == [frame.raw for frame in two]
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.rebuild(Year(4000, 120, 3))  # type: ignore[arg-type]
        with closing(views.reader()) as reader:
            events = {line["event"] for line in traffic(reader, Filter(limit=10_000))}
    assert events >= {"accepted", "received", "refused", "dead", "requeued", "status", "rejected"}
