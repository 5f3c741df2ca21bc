"""The store: group commit, one job's failure, a full disk, a kill."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agencies.store.database import Store, get_setting, set_setting
from axis.core.errors import Refusal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "agency.sqlite")
    yield made
    made.close()


async def test_what_was_written_is_there_for_readers(store: Store) -> None:
    assert await store.write(lambda c: (set_setting(c, "a", "1"), get_setting(c, "a"))[1]) == "1"
    assert store.setting("a") == "1"
    assert store.setting("b", "default") == "default"


async def test_a_change_that_raises_undoes_only_itself(store: Store) -> None:
    def bad(connection: sqlite3.Connection) -> None:
        set_setting(connection, "bad", "1")
        raise ValueError("no")

    results = await asyncio.gather(
        store.write(lambda c: set_setting(c, "before", "1")),
        store.write(bad),
        store.write(lambda c: set_setting(c, "after", "1")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert [store.setting(name) for name in ("before", "bad", "after")] == ["1", "", "1"]


async def test_many_writers_share_commits(store: Store) -> None:
    await asyncio.gather(*(store.write(lambda c, n=n: set_setting(c, f"k{n}", "v")) for n in range(500)))
    row = store.row("SELECT count(*) AS n FROM setting")
    assert row is not None
    assert row["n"] == 500


async def test_a_full_disk_is_storage_full_and_harms_nothing(store: Store) -> None:
    await store.write(lambda c: set_setting(c, "kept", "1"))
    pages = await store.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await store.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}"))
    with pytest.raises(Refusal) as full:
        await store.write(lambda c: set_setting(c, "large", "x" * 1_000_000))
    assert full.value.name == "storage_full"
    assert store.setting("kept") == "1"
    await store.write(lambda c: set_setting(c, "small", "1"))
    assert store.setting("small") == "1"


async def test_a_cancelled_caller_leaves_the_writer_working(store: Store) -> None:
    task = asyncio.create_task(store.write(lambda c: set_setting(c, "a", "1")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.write(lambda c: set_setting(c, "b", "1"))
    assert (store.setting("a"), store.setting("b")) == ("1", "1")


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    store = Store(tmp_path / "agency.sqlite")
    store.close()
    store.close()
    with pytest.raises(Refusal) as refused:
        await store.write(lambda c: None)
    assert refused.value.name == "shutting_down"


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "agency.sqlite"
    script = (
        "import asyncio, os, pathlib; from agencies.store.database import Store, set_setting\n"
        f"store = Store(pathlib.Path({str(path)!r}))\n"
        "asyncio.run(store.write(lambda c: set_setting(c, 'a', '1'))); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -9
    store = Store(path)
    assert store.setting("a") == "1"
    store.close()


def _plain(sql: str) -> str:
    """Without comments and layout: SQLite writes a column that was added where it likes."""
    words = " ".join(line.partition("--")[0] for line in sql.splitlines()).split()
    return " ".join(words).replace(" ,", ",").replace(" )", ")")


def _schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(
            (name, _plain(sql))
            for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        )


def test_a_store_of_the_first_version_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    first = (Path(__file__).parent / "agency_schema_1.sql").read_text("utf-8")
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(f"{first}; PRAGMA user_version = 1;")
        connection.execute("INSERT INTO setting VALUES ('kept', '1')")
        connection.commit()
    for path in (old, new):
        Store(path).close()
    assert _schema(old) == _schema(new)
    store = Store(old)
    assert store.setting("kept") == "1"
    store.close()


def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "agency.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="version 99"):
        Store(path)
