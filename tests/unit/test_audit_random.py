"""Random lives of an axis: the audit's own recount agrees with state, views and index on every one."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from axis.audit import audit
from axis.journal.sqlite import SqliteJournal
from axis.views.projection import Views
from bench.history import History, Signers
from bench.wander import Wanderer

START = 1_795_000_000_000


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(tmp_path_factory.mktemp("pki") / "pki", START)


async def live(signers: Signers, folder: Path, seed: int) -> int:
    journal = SqliteJournal.open(folder / "journal.sqlite", journal_id=f"life-{seed}")
    history = History(journal, START, signers.axis_id, signers.sign)
    views = Views.open(folder / "views.sqlite")
    rng = random.Random(seed)
    wanderer = Wanderer(history, rng, signers)
    await wanderer.begin()
    for _ in range(150):
        await wanderer.step()
        if rng.random() < 0.05:
            views.catch_up(journal)
    await history.flush()
    views.catch_up(journal)
    views.close()
    sequence = journal.head().sequence
    await journal.close()
    return sequence


@pytest.mark.parametrize("seed", range(6))
def test_every_life_is_in_order(signers: Signers, tmp_path: Path, seed: int) -> None:
    records = asyncio.run(live(signers, tmp_path, seed))
    report = audit(tmp_path / "journal.sqlite", tmp_path / "views.sqlite", anchors=signers.authority.anchors)
    assert report.problems == ()
    assert (report.records, report.volumes_equal) == (records, True)
    assert report.signatures_checked > 100
