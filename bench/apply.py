"""`python -m bench.apply`: what an axis node pays for records that other nodes append, by records a frame.

Every node of a cluster applies every frame: to its journal's file, one durable transaction each, and to its
views. That work is done again on each node, so it bounds how far adding nodes helps; how much of it is per
frame and how much per record decides how it falls when more travels together. Documents have real signatures
and 3.13 recipients on average; reading the frames from a cluster is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from axis.core.frame import Frame, Head, encode
from axis.core.state import reduce
from axis.demo.traffic import choose_recipients
from axis.demo.units import demo_units
from axis.journal.memory import MemoryJournal
from axis.journal.sqlite import SqliteJournal
from axis.readonly import open_readonly
from axis.views.projection import Views
from bench.history import History, Signers
from bench.measure import file_bytes

__all__ = ["main"]

_NOW: Final = 1_767_225_600_000
_AGENCIES: Final = 6
_FILE_BYTES: Final = 34_000
#: Documents between whose receipts others are accepted.
_TOGETHER: Final = 8
_RECORDS_A_FRAME: Final = (1, 4, 16, 64, 128)
_JOURNAL_ID: Final = "bench"


async def _records(folder: Path, documents: int) -> tuple[list[bytes], list[bytes]]:
    """(what stands before, documents and their receipts), record by record."""
    history = History(MemoryJournal(_JOURNAL_ID, reduce), _NOW)
    signers = Signers(folder / "pki", _NOW)
    history.axis_id, history.sign = signers.axis_id, signers.sign
    codes = [unit.code for unit in demo_units(_AGENCIES)]
    await history.found(signers.authority.anchors, signers.authority.intermediates)
    for certificate in signers.certificates("axis"):
        await history.issue(certificate)
    for code in codes:
        await history.register(code)
        await history.enrol(code, *signers.certificates(code))
    await history.flush()
    before = history.journal.head().number
    rng = random.Random(1)
    for _ in range(0, documents, _TOGETHER):
        sent = []
        for _ in range(_TOGETHER):
            sender, *others = rng.sample(codes, len(codes))
            recipients = choose_recipients(rng, others)
            sent.append((await history.send(sender, recipients, [_FILE_BYTES]), recipients))
        for each, recipients in sent:
            for unit in recipients:
                await history.take(each, unit)
    await history.flush()
    frames = history.journal.frames(0, history.journal.head().number)
    first, rest = frames[:before], frames[before:]
    return [raw for frame in first for raw in frame.records], [raw for frame in rest for raw in frame.records]


def _frames(head: Head, records: list[bytes], together: int) -> list[Frame]:
    frames = []
    for start in range(0, len(records), together):
        frames.append(encode(head, _NOW, records[start : start + together]))
        head = frames[-1].head
    return frames


async def _apply(folder: Path, first: list[bytes], rest: list[bytes], together: int) -> dict[str, float]:
    """CPU milliseconds a record: of the journal's file, of the views; bytes of the journal a record."""
    folder.mkdir()
    journal = SqliteJournal.open(folder / "journal.sqlite", journal_id=_JOURNAL_ID)
    try:
        for frame in _frames(journal.head(), first, 64):
            await journal.append(journal.head(), frame, reduce(frame, journal))
        frames = _frames(journal.head(), rest, together)
        with closing(Views.open(folder / "views.sqlite")) as views:
            views.catch_up(journal)
            bytes_before, began = file_bytes(folder / "journal.sqlite"), time.process_time()
            for frame in frames:
                await journal.append(journal.head(), frame, reduce(frame, journal))
            stored = time.process_time()
            views.catch_up(journal)
            viewed = time.process_time()
        grown = file_bytes(folder / "journal.sqlite") - bytes_before
    finally:
        await journal.close()
    return {
        "records_per_frame": together,
        "journal_ms": round(1000 * (stored - began) / len(rest), 4),
        "views_ms": round(1000 * (viewed - stored) / len(rest), 4),
        "journal_bytes": round(grown / len(rest)),
    }


def _shares(path: Path) -> dict[str, int]:
    """Bytes of each table and index."""
    with closing(open_readonly(path, timeout=10)) as file:
        rows = file.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
    return {str(name): int(size) for name, size in rows}


async def _measure(folder: Path, documents: int) -> dict[str, Any]:
    first, rest = await _records(folder, documents)
    measured = [await _apply(folder / str(n), first, rest, n) for n in _RECORDS_A_FRAME]
    return {
        "documents": documents,
        "records": len(rest),
        "record_bytes": round(sum(map(len, rest)) / len(rest)),
        "applied": measured,
        "tables_bytes": _shares(folder / str(_RECORDS_A_FRAME[1]) / "journal.sqlite"),
    }


def main() -> None:
    """The command line; one JSON value, of each record unless it says otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000, help="rounded up to eights")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-apply-") as folder:
        print(json.dumps(asyncio.run(_measure(Path(folder), asked.documents)), indent=2))


if __name__ == "__main__":
    main()
