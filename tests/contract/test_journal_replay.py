"""The journal's index against a replay of its frames, and a journal made again from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from axis.journal.replay import index_problems, rebuild
from axis.journal.sqlite import SqliteJournal
from axis.ports import JournalBroken

Wrap = Callable[[Any], Any]


@pytest.fixture
async def path(tmp_path: Path, wrap: Wrap, reduce: Any) -> Path:
    path = tmp_path / "journal.sqlite"
    book = wrap(SqliteJournal.open(path, reduce, journal_id="j"))
    for n in range(20):
        await book.add(f"key k/{n}\nadd total\nfact unit/{n % 3} {n}\nfeed G{n % 2} urgent", "feed G1 normal")
    await book.journal.close()
    return path


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)


def test_an_index_that_equals_the_replay_has_no_problems(path: Path, reduce: Any) -> None:
    assert index_problems(path, reduce) == []


async def test_beside_the_running_writer(path: Path, wrap: Wrap, reduce: Any) -> None:
    book = wrap(SqliteJournal.open(path, reduce))
    await book.add("key more\nadd total")
    assert book.journal.index_problems() == []
    await book.journal.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE facts SET value = x'00' WHERE key = 'total'", "facts: total"),
        ("DELETE FROM facts WHERE key = 'unit/1'", "facts: unit/1"),
        ("INSERT INTO facts VALUES ('unit/x', x'00', 3)", "facts: unit/x"),
        ("UPDATE facts SET sequence = 3 WHERE key = 'unit/1'", "facts: unit/1"),
        ("DELETE FROM keys WHERE key = 'k/7'", "keys: k/7"),
        ("UPDATE keys SET sequence = 2 WHERE key = 'k/7'", "keys: k/7"),
        ("DELETE FROM feed WHERE sequence = 5", "feed: G0 5"),
        ("INSERT INTO feed VALUES ('G9', 0, 5)", "feed: G9 5"),
        ("UPDATE head SET peaks = zeroblob(64)", "head: the newest frame"),
    ],
)
def test_every_change_to_the_index_is_found(path: Path, reduce: Any, statement: str, problem: str) -> None:
    tamper(path, statement)
    problems = index_problems(path, reduce)
    assert problems
    assert all(line.startswith(problem + " ") for line in problems)


async def test_a_damaged_index_is_made_again(path: Path, tmp_path: Path, wrap: Wrap, reduce: Any) -> None:
    journal = SqliteJournal.open(path, reduce, readonly=True)
    head, facts, frames = journal.head(), journal.facts(""), journal.frames(0)
    await journal.close()
    tamper(path, "DELETE FROM facts")
    mended = tmp_path / "mended.sqlite"
    assert rebuild(path, mended, reduce) == head
    assert rebuild(path, mended, reduce) == head  # again: there is nothing left to do
    book = wrap(SqliteJournal.open(mended, reduce))
    assert (book.journal.head(), book.journal.facts(""), book.journal.frames(0)) == (head, facts, frames)
    assert book.journal.index_problems() == []
    await book.add("goes on")
    await book.journal.close()


def test_damaged_frames_are_not_taken_over(path: Path, tmp_path: Path, reduce: Any) -> None:
    tamper(path, "DELETE FROM frames WHERE number = 9")
    with pytest.raises(JournalBroken, match="frame 9"):
        rebuild(path, tmp_path / "mended.sqlite", reduce)
    with pytest.raises(JournalBroken, match="frame 9"):
        index_problems(path, reduce)


def test_a_source_without_frames(tmp_path: Path, reduce: Any) -> None:
    SqliteJournal.open(tmp_path / "empty.sqlite", reduce, journal_id="j")._appender.close()  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError):
        rebuild(tmp_path / "empty.sqlite", tmp_path / "mended.sqlite", reduce)
