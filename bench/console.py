"""`python -m bench.console`: how fast the console's pages are at the server, over a year of made traffic.

The events go through the views' own recorder into a file of their own; then every filter of the traffic log
is asked for with seeded random values, alone and with a time range, at the newest page and at cursors in the
past; and combinations that hardly meet, which must end early. Everything is read as the console reads it: on
a read-only connection opened for the request. Then whole pages are asked for over HTTP (`bench.pages`): the
first one, the table of units and pages of units, for months, years and ranges of days.

One JSON line on stdout; times in milliseconds, and CPU time beside them, which a busy machine spoils less;
`partial` counts pages that ended early. What is going on is said on stderr. With `--folder` the filled file
is kept: filling goes on where it was broken off (`--fill` does nothing else), and a whole one is only read.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from axis.views.file import open_readonly, read_position
from axis.views.traffic import Filter, page
from bench.filled import Say, fill
from bench.measure import percentiles
from bench.pages import measure_pages
from bench.year import NOTATIONS, OBJECTS, SUBJECTS, Year

__all__ = ["main", "run"]

_LIMIT: Final = 100
_DOCUMENTS: Final = 1000

#: Makes one filter out of chance.
Make = Callable[[random.Random], Filter]


def _filters(codes: Sequence[str], documents: Sequence[str]) -> dict[str, Make]:
    """The named filters. Codes and documents are those that occur."""
    above = [code for code in codes if code.count(".") < 2]
    top = [code for code in codes if "." not in code]

    def text(rng: random.Random) -> str:
        words = f"{rng.choice(SUBJECTS)} {rng.choice(OBJECTS)}".split()
        start = rng.randrange(len(words) - 1)
        return " ".join(words[start : start + rng.randint(1, 3)])

    def number(rng: random.Random) -> str:
        whole = f"{rng.randint(1, 400)}/{rng.choice(NOTATIONS)[0]}-"
        return whole[: rng.randint(1, len(whole))]

    return {
        "none": lambda _: Filter(),
        "unit": lambda rng: Filter(unit=rng.choice(codes)),
        "unit_from": lambda rng: Filter(sender=rng.choice(codes)),
        "unit_to": lambda rng: Filter(recipient=rng.choice(codes)),
        "subtree": lambda rng: Filter(subtree=rng.choice(above)),
        "subtree_top": lambda rng: Filter(subtree=rng.choice(top), direction=rng.choice(("from", "to"))),
        "kind": lambda rng: Filter(kind=rng.choice(("document", "status"))),
        "event": lambda rng: Filter(event=rng.choice(("accepted", "received", "refused", "suspended"))),
        "outcome": lambda rng: Filter(outcome=rng.choice(("received", "refused", "dead"))),
        "code": lambda rng: Filter(code=rng.choice(("03", "id_reused", "signature_invalid", "no_such"))),
        "reason": lambda rng: Filter(reason=rng.choice(("không đúng nơi nhận", "no such"))),
        "number": lambda rng: Filter(number=number(rng)),
        "words": lambda rng: Filter(text=text(rng)),
        "common_words": lambda _: Filter(text="van ban"),
        "no_words": lambda rng: Filter(text=f"{rng.choice(SUBJECTS)} khong co"),
        "document": lambda rng: Filter(document_id=rng.choice(documents)),
        # What hardly meets: long lists that are nearly strangers.
        "words_and_unit": lambda rng: Filter(text=text(rng), unit=rng.choice(codes)),
        "words_and_subtree": lambda rng: Filter(text=text(rng), subtree=rng.choice(top)),
        "common_words_and_kind": lambda _: Filter(text="van ban", kind="status"),
        "strangers": lambda _: Filter(text="van ban quyet dinh thong bao cong van giay moi"),
        "from_and_to": lambda rng: Filter(sender=rng.choice(top), recipient=rng.choice(codes)),
        "two_subtrees": lambda rng: Filter(subtree=rng.choice(top), sender=rng.choice(codes)),
        "kind_and_event": lambda _: Filter(kind="status", event="accepted"),
        "everything": lambda rng: Filter(
            subtree=rng.choice(top), kind="document", event="refused", number=number(rng), text=text(rng)
        ),
    }  # fmt: skip


def _variants(make: Make, rng: random.Random, first: int, last: int, head: int) -> dict[str, Filter]:
    """A filter alone, in a time range of a day to a quarter of a year, and from a cursor in the past."""
    wanted = replace(make(rng), limit=_LIMIT)
    start = rng.randint(first, last)
    end = start + rng.randint(86_400_000, 90 * 86_400_000)
    return {
        "alone": wanted,
        "in_range": replace(wanted, since=start, until=end),
        "at_cursor": replace(wanted, before=rng.randint(1, head)),
    }


def _measure(path: Path, filters: dict[str, Make], times: int, seed: int, say: Say) -> dict[str, Any]:
    with closing(open_readonly(path)) as views:
        position = read_position(views)
        assert position is not None
        (first,) = views.execute("SELECT at FROM events WHERE sequence = 1").fetchone()
    results: dict[str, Any] = {}
    for name, make in filters.items():
        say(f"measuring filter {name}")
        rng = random.Random(f"{seed}/{name}")
        taken: dict[str, list[float]] = {}
        worked: dict[str, list[float]] = {}
        partial: dict[str, int] = {}
        for _ in range(times):
            for variant, wanted in _variants(make, rng, first, position.at, position.sequence).items():
                began, cpu = time.perf_counter(), time.thread_time()
                with closing(open_readonly(path)) as views:
                    found = page(views, wanted)
                taken.setdefault(variant, []).append(1000 * (time.perf_counter() - began))
                worked.setdefault(variant, []).append(1000 * (time.thread_time() - cpu))
                partial[variant] = partial.get(variant, 0) + (not found.complete)
        results[name] = {
            variant: {
                **percentiles(each),
                "cpu_p95": percentiles(worked[variant])["p95"],
                "partial": partial[variant],
            }
            for variant, each in taken.items()
        }
    return results


def _silent(_: str) -> None:
    pass


def _loud(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _documents(path: Path, count: int, seed: int) -> list[str]:
    """Ids of some documents, anywhere in the year."""
    rng = random.Random(f"{seed}/documents")
    with closing(open_readonly(path)) as views:
        position = read_position(views)
        assert position is not None
        found = [
            views.execute(
                "SELECT document_id FROM documents WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1",
                (rng.randint(1, position.sequence),),
            ).fetchone()
            for _ in range(count)
        ]
    return [str(row[0]) for row in found if row is not None]


def run(folder: Path, events: int, units: int, times: int, seed: int, say: Say = _silent) -> dict[str, Any]:
    """Fill `events` events of `units` units into a file of `folder`; ask for each filter and each page
    `times` times. `say` is told what is done.
    """
    year = Year(events, units, seed)
    path, filled = fill(folder, year, say)
    documents = _documents(path, _DOCUMENTS, seed)
    traffic = _measure(path, _filters(year.codes, documents), times, seed, say)
    pages = measure_pages(path, year.codes, times, seed, say)
    p95 = {name: max(each["p95"] for each in variants.values()) for name, variants in traffic.items()}
    return {
        "events": events,
        "units": units,
        "fill": filled,
        "traffic_p95_ms": p95,
        "slowest_p95_ms": max(p95.values()),
        "pages_p95_ms": {name: each["p95"] for name, each in pages.items()},
        "traffic": traffic,
        "pages": pages,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--units", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=40, help="random values for each filter and page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the filled file here, or go on with it")
    parser.add_argument("--fill", action="store_true", help="only fill the file of --folder")
    asked = parser.parse_args()
    if asked.fill and asked.folder is None:
        parser.error("--fill needs --folder")
    with ExitStack() as stack:
        folder = asked.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-console-")))
        folder.mkdir(parents=True, exist_ok=True)
        if asked.fill:
            _, result = fill(folder, Year(asked.events, asked.units, asked.seed), _loud)
        else:
            result = run(folder, asked.events, asked.units, asked.times, asked.seed, _loud)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
