"""A file of views filled with a made year; kept in a folder, it is gone on with after a break."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from axis.views.file import open_readonly, read_position
from axis.views.projection import SCHEMA_VERSION, Views
from bench.measure import file_bytes, own_usage
from bench.year import JOURNAL, Year

__all__ = ["Say", "fill"]

#: Is told how far the work is, in words.
Say = Callable[[str], None]

_SAY_SECONDS: Final = 10.0


def fill(folder: Path, year: Year, say: Say) -> tuple[Path, dict[str, Any]]:
    """The file with all of a year that was not read yet, and how fast and how large it was made.

    A file of the same year is gone on with, or left as it is where it is whole; one of another year is
    replaced. Raises ValueError where the folder holds other views.
    """
    path, notes = folder / "views.sqlite", folder / "filled.json"
    end = year.head().sequence
    began = _reached(path, year.head().journal_id)
    if began == end and notes.exists():
        found: dict[str, Any] = json.loads(notes.read_text())
        return path, found
    year.frame_hash(began)  # what is there already is made once more, and not written
    measured = _write(path, year, end - began, _progress(began, end, say))
    result = {**measured, "bytes_per_event": round(file_bytes(path) / end)}
    notes.write_text(json.dumps(result))
    return path, result


def _write(path: Path, year: Year, events: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    with closing(Views.open(path)) as views:
        views.catch_up(year, progress)  # type: ignore[arg-type]  # only what this asks of a journal
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "events": events,
        "seconds": round(seconds, 1),
        "events_per_second": round(events / seconds),
        "cpu_us_per_event": round(1e6 * cpu / events, 1) if events else 0.0,  # making the events included
        "peak_rss_mib": round(own_usage(os.getpid()).peak_rss_mib),
    }


def _reached(path: Path, journal_id: str) -> int:
    """The sequence that a file of this year stands at. A file of another year is removed."""
    if not path.exists():
        return 0
    with closing(open_readonly(path)) as views:
        position = read_position(views)
    if position is None:  # broken off before the first rows
        return 0
    if not position.journal_id.startswith(JOURNAL):
        raise ValueError(f"{path} holds other views")
    if (position.version, position.journal_id) == (SCHEMA_VERSION, journal_id):
        return position.sequence
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return 0


def _progress(began: int, end: int, say: Say) -> Callable[[int, int], None]:
    started = said = time.monotonic()

    def progress(reached: int, _: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SAY_SECONDS or reached == end:
            said = now
            rate = (reached - began) / max(now - started, 1e-9)
            say(f"filled {reached:,} of {end:,} events, {rate:,.0f}/s")

    return progress
