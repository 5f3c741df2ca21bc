"""A directory of the whole country: loaded, searched, changed, synchronised, imported; timed and weighed.

`python -m bench.directory [--units N] [--json]`. What a node does runs in a process of its own, so that its
memory is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from axispb.v1 import api_pb2, journal_pb2

from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store.database import Store
from agencies.store.heads import Heads
from axis.flow.directory import DirectoryPages
from axis.journal.sqlite import SqliteJournal
from bench.history import History
from bench.measure import file_bytes, own_usage, reset_peak
from bench.units import COUNTRY, made_certificates, made_units

__all__ = ["main"]

_CERTIFICATES: Final = 2_000
_QUERIES: Final = {
    "code": "H53.07.11",
    "old code": "000.05.00.H53",
    "prefix": "h53.0",
    "short prefix": "h",
    "accents": "Đặng Thùy Trâm",
    "no accents": "tay ninh",
    "common": "ủy ban nhân dân",
    "two words": "y tế tây ninh",
    "rare and common": "so 20 hoa binh",
    "apart": "dak lak bo cong an",
    "no hit": "khongcogi",
    "no hit, common word": "truong khongcogi",
    "empty": "",
}
_ROUNDS: Final = 20


class _Axis:
    """The axis's pages as a node's client gets them: serialised, and read back."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._pages = DirectoryPages(journal)
        self.heads = Heads()
        self.bytes = self.pages = 0
        self.seconds = 0.0
        self.longest = 0.0

    async def directory(self, after: int) -> api_pb2.DirectoryPage:
        """One page."""
        began = time.perf_counter()
        body = self._pages.page(after).SerializeToString()
        self.heads.answered(self.heads.echo(), str(self._journal.head()))
        spent = time.perf_counter() - began
        self.seconds += spent
        self.longest = max(self.longest, spent)
        self.bytes += len(body)
        self.pages += 1
        return api_pb2.DirectoryPage.FromString(body)


async def _fill(path: Path, units: int) -> SqliteJournal:
    """A journal with everything registered, and certificates for the first organisations."""
    journal = SqliteJournal.open(path, journal_id="5f0c3b9e-0000-4000-8000-000000000000")
    history = History(journal)
    await history.found()
    codes = []
    for unit in made_units(units):
        codes.append(unit.code)
        old_codes = [unit.old_code] if unit.old_code else []
        await history.register(unit.code, unit.name, unit.parent, old_codes)
    for organisation, usage, serial, der in made_certificates(min(_CERTIFICATES, units), codes):
        issued = journal_pb2.CertificateIssued(
            organisation=organisation, usage=usage, serial=serial, certificate=der, hierarchy="development"
        )
        await history.add(issued=issued)
    await history.flush()
    return journal


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _node_first(home: Path) -> dict[str, Any]:
    """A new node's first synchronisation."""
    journal = SqliteJournal.open(home / "journal.sqlite", readonly=True)
    axis, store = _Axis(journal), Store(home / "agency.sqlite")
    before = own_usage(os.getpid()).rss_mib
    reset_peak(os.getpid())
    sync = DirectorySync(store, cast(AxisClient, axis))
    began = time.perf_counter()
    await sync.refresh()
    seconds = time.perf_counter() - began
    usage = own_usage(os.getpid())
    store.close()
    await journal.close()
    return {
        "seconds": round(seconds, 2),
        "of_which_axis": round(axis.seconds, 2),
        "longest_page_ms": round(axis.longest * 1000, 1),
        "pages": axis.pages,
        "bytes": axis.bytes,
        "extra_peak_mib": round(usage.peak_rss_mib - before, 1),
    }


async def _node_start(home: Path) -> dict[str, Any]:
    """A node that starts with a stored directory, is asked, and learns of changes."""
    store = Store(home / "agency.sqlite")
    import agencies.app  # noqa: F401  # what a node has in memory besides

    before = own_usage(os.getpid()).rss_mib
    reset_peak(os.getpid())
    began = time.perf_counter()
    sync = DirectorySync(store, cast(AxisClient, None))
    seconds = time.perf_counter() - began
    usage = own_usage(os.getpid())
    answer: dict[str, Any] = {
        "load_seconds": round(seconds, 2),
        "rss_before_mib": round(before, 1),
        "rss_mib": round(usage.rss_mib, 1),
        "peak_rss_mib": round(usage.peak_rss_mib, 1),
        "search_ms": _searches(sync),
    }
    every = sorted(ms for timing in answer["search_ms"].values() for ms in timing["all"])
    for timing in answer["search_ms"].values():
        del timing["all"]
    answer["search_p50_ms"] = round(statistics.median(every), 2)
    answer["search_p95_ms"] = round(every[len(every) * 95 // 100], 2)
    for count in (1, 500):
        page = _difference(sync, count)
        taking = _timed(partial(sync.directory.take, page))
        answer[f"difference_{count}_ms"] = round(taking * 1000, 2)
        first = _timed(lambda: sync.directory.search("tay ninh"))
        answer[f"search_after_{count}_ms"] = round(first * 1000, 2)
    store.close()
    return answer


def _searches(sync: DirectorySync) -> dict[str, dict[str, Any]]:
    timings = {}
    for name, query in _QUERIES.items():
        spent = [_timed(lambda query=query: sync.directory.search(query)) * 1000 for _ in range(_ROUNDS)]  # type: ignore[misc]
        found = len(sync.directory.search(query))
        timings[name] = {
            "query": query,
            "found": found,
            "p50": round(statistics.median(spent), 2),
            "most": round(max(spent), 2),
            "all": spent,
        }
    return timings


def _difference(sync: DirectorySync, count: int) -> api_pb2.DirectoryPage:
    """`count` units with another name each, all over the country."""
    codes = [unit.code for unit in sync.directory.units()]
    page = api_pb2.DirectoryPage(as_of=sync.as_of + count)
    for number, code in enumerate(codes[:: max(1, len(codes) // count)][:count], 1):
        entry = page.entries.add(sequence=sync.as_of + number)
        known = sync.directory.unit(code)
        assert known is not None
        entry.unit.CopyFrom(known)
        entry.unit.name += " (đổi tên)"
    return page


def _child(what: str, home: Path) -> dict[str, Any]:
    """Run a part of this in a process of its own."""
    command = [sys.executable, "-m", "bench.directory", "--part", what, "--home", str(home)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return cast(dict[str, Any], json.loads(done.stdout))


def _commands(folder: Path, units: int) -> dict[str, Any]:
    """The operator's commands beside a stopped node."""
    home, file = folder / "axis", folder / "units.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("code", "old_code", "name", "parent"))
        writer.writerows(made_units(units))

    def axis(*arguments: str) -> float:
        command = [sys.executable, "-m", "axis.cli", *arguments, "--home", str(home)]
        return round(
            _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=900)), 2
        )

    return {
        "init": axis("init"),
        "org import": axis("org", "import", str(file)),
        "org import again": axis("org", "import", str(file)),
        "volumes (views catch up)": axis("volumes", "--json"),
        "volumes": axis("volumes", "--json"),
        "org list": axis("org", "list", "--json"),
        "org show": axis("org", "show", "H53", "--json"),
    }


async def _polls(journal: SqliteJournal) -> dict[str, Any]:
    """What a poll of the feed asks of the directory, right after a start and afterwards."""
    pages = DirectoryPages(journal)
    first = _timed(pages.newest)
    return {
        "newest_first_ms": round(first * 1000, 2),
        "newest_ms": round(_timed(pages.newest) * 1000, 3),
        "last_page_ms": round(_timed(lambda: pages.page(journal.head().sequence)) * 1000, 2),
    }


async def _all(units: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="directory-") as name:
        folder = Path(name)
        journal = await _fill(folder / "journal.sqlite", units)
        polls = await _polls(journal)
        await journal.close()
        return {
            "units": units,
            "polls": polls,
            "journal_bytes": file_bytes(folder / "journal.sqlite"),
            "first_synchronisation": _child("first", folder),
            "agency_bytes": file_bytes(folder / "agency.sqlite"),
            "node": _child("start", folder),
            "commands_seconds": _commands(folder, units),
        }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=COUNTRY)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=("first", "start"), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = _node_first if arguments.part == "first" else _node_start
        print(json.dumps(asyncio.run(part(arguments.home))))
        return
    answer = asyncio.run(_all(arguments.units))
    print(json.dumps(answer, ensure_ascii=False, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
