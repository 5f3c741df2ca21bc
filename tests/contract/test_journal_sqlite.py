"""What the SQLite journal promises about its file: durability, damage, a full disk, other processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from axis.core.facts import Changes
from axis.core.frame import Head
from axis.journal.sqlite import SqliteJournal
from axis.ports import JournalBroken, StorageFull

Wrap = Callable[[Any], Any]

# Appends until it is killed; prints a sequence only once its append has returned.
WRITER = """
import asyncio, sys
from pathlib import Path
from axis.core.facts import Changes, FeedRow
from axis.core.frame import encode
from axis.journal.sqlite import SqliteJournal
from axis.ports import Conflict

async def main(path, name, count):
    journal = SqliteJournal.open(Path(path), journal_id="j")
    done = 0
    while done < count:
        head = journal.head()
        n = head.sequence + 1
        frame = encode(head, n, [f"{name} {n}".encode(), b"x" * 3000])
        changes = Changes({f"key/{n}": n}, {f"fact/{n}": (name.encode(), n)}, [FeedRow("G22", False, n)])
        try:
            landed = await journal.append(head, frame, changes)
        except Conflict:
            continue
        done += 1
        print(landed.sequence, flush=True)
    await journal.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def reopen(path: Path, **options: Any) -> SqliteJournal:
    return SqliteJournal.open(path, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """Write to the file as somebody would who knows SQLite: without the guards."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


async def test_reopened_it_is_where_it_was(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add("key k\nfact unit/a v\nfeed G22 urgent", "second")
    head = await book.add("third")
    frames, peaks = book.journal.frames(0), book.journal.peaks()
    await book.journal.close()
    assert not path.with_name("journal.sqlite-wal").exists()

    for options in ({}, {"journal_id": "j"}, {"readonly": True}):
        journal = reopen(path, **options)
        assert journal.head() == head
        assert journal.frames(0) == frames
        assert journal.peaks() == peaks
        assert journal.key("k") == 1
        assert journal.facts("unit/") == [("unit/a", b"v", 1)]
        assert journal.feed("G22", True, 0, 9) == [1]
        await journal.close()


async def test_a_new_journal_needs_an_id(path: Path) -> None:
    for options in ({}, {"readonly": True}, {"readonly": True, "journal_id": "j"}):
        with pytest.raises(FileNotFoundError):
            reopen(path, **options)
    assert not path.exists()
    await reopen(path, journal_id="j").close()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(JournalBroken, match="holds journal j, not other"):
        reopen(path, journal_id="other")


async def test_a_founding_that_did_not_finish_is_done_again(path: Path) -> None:
    path.touch()
    with pytest.raises(FileNotFoundError):
        reopen(path)
    journal = reopen(path, journal_id="j")
    assert journal.head() == Head.empty("j")
    await journal.close()


async def test_everything_confirmed_survives_kill_9(path: Path) -> None:
    confirmed = 0
    for name in ("first", "second"):
        with start_writer(path, name, 1_000_000) as writer:
            assert writer.stdout is not None
            for _ in range(25):
                confirmed = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            confirmed = max([confirmed, *map(int, writer.stdout.read().split())])
        # Only read, as a query beside a killed node does; then with the next writer.
        journal = reopen(path, readonly=True)
        assert journal.head().sequence >= confirmed
        assert journal.record(confirmed - 1).raw == f"{name} {confirmed - 1}".encode()  # type: ignore[union-attr]
        assert journal.key(f"key/{confirmed - 1}") == confirmed - 1
        assert journal.get(f"fact/{confirmed - 1}") == name.encode()
        # All or nothing: as many keys, facts and feed rows as frames.
        frames = journal.head().number
        assert len(journal.frames(0, 10_000)) == frames
        assert len(journal.facts("fact/", limit=10_000)) == frames
        assert len(journal.feed("G22", False, 0, 10_000)) == frames
        await journal.close()


async def test_competing_processes_lose_nothing(path: Path) -> None:
    await reopen(path, journal_id="j").close()
    writers = [start_writer(path, name, 40) for name in ("a", "b", "c")]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    places = sorted(int(line) for output in outputs for line in output.split())
    assert places == list(range(2, 241, 2))
    journal = reopen(path, readonly=True)
    assert journal.head().number == 120
    by_name = [frame.records[0].split()[0] for frame in journal.frames(0, 200)]
    assert sorted(by_name) == [b"a"] * 40 + [b"b"] * 40 + [b"c"] * 40
    await journal.close()


async def test_a_torn_tail_is_cut_at_the_last_whole_frame(path: Path, tmp_path: Path, wrap: Wrap) -> None:
    """A power cut in the middle of a write leaves a part of the WAL: every length of it must open."""
    book = wrap(reopen(path, journal_id="j"))
    heads = [await book.add(f"fact f {n}\n" + "x" * 5000) for n in range(4)]
    wal = path.with_name("journal.sqlite-wal").read_bytes()
    main = path.read_bytes()
    await book.journal.close()
    seen = set()
    for kept in range(0, len(wal) + 1, max(1, len(wal) // 60)):
        copy = tmp_path / f"{kept}" / "journal.sqlite"
        copy.parent.mkdir()
        copy.write_bytes(main)
        copy.with_name("journal.sqlite-wal").write_bytes(wal[:kept])
        try:
            journal = reopen(copy)
        except FileNotFoundError:
            continue  # cut before the founding was complete
        head = journal.head()
        assert head in (Head.empty("j"), *heads)
        assert [frame.head for frame in journal.frames(0)] == heads[: head.number]
        assert journal.get("f") == (str(head.number - 1).encode() if head.number else None)
        seen.add(head.number)
        again = wrap(journal)
        await again.add("goes on")
        await journal.close()
    assert seen >= {1, 2, 3}


async def test_a_flipped_byte_is_found_when_it_is_read(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add_each(f"record {n} " + "x" * 50 for n in range(10))
    await book.journal.close()
    content = path.read_bytes()
    place = content.index(b"record 4 x") + 7
    path.write_bytes(content[:place] + b"9" + content[place + 1 :])

    journal = reopen(path, readonly=True)
    assert len(journal.frames(0, 4)) == 4
    assert journal.record(4) is not None
    for read in (
        lambda: journal.frames(4),
        lambda: journal.frames(0),
        lambda: journal.record(5),
    ):
        with pytest.raises(JournalBroken, match="frame 5"):
            read()
    await journal.close()


async def test_a_newest_frame_that_the_head_does_not_name_stops_the_opening(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add_each(["one", "two", "three"])
    await book.journal.close()
    original = path.read_bytes()
    damages = [
        "UPDATE frames SET raw = CAST(replace(CAST(raw AS TEXT), 'three', 'threx') AS BLOB) WHERE number = 3",
        "UPDATE frames SET raw = x'ff' WHERE number = 3",
        "DELETE FROM frames WHERE number = 3",
        "DELETE FROM frames WHERE number = 2",
        "UPDATE frames SET raw = x'00' WHERE number = 2",
        "UPDATE head SET sequence = 4",
        "UPDATE head SET sha256 = zeroblob(32)",
        "DELETE FROM frames",
        "DELETE FROM head",
    ]
    for damage in damages:
        path.write_bytes(original)
        with tampering(path) as connection:
            connection.execute(damage)
        for readonly in (True, False):
            with pytest.raises(JournalBroken):
                reopen(path, readonly=readonly)


async def test_a_frame_missing_in_the_middle_is_found(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add_each(f"record {n}" for n in range(6))
    await book.journal.close()
    with tampering(path) as connection:
        connection.execute("DELETE FROM frames WHERE number = 3")
    journal = reopen(path, readonly=True)
    with pytest.raises(JournalBroken, match="frame 3"):
        journal.frames(1)
    await journal.close()


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + bytes(5000)])
def test_a_file_that_is_no_journal_is_broken(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for options in ({}, {"readonly": True}, {"journal_id": "j"}):
        with pytest.raises(JournalBroken):
            reopen(path, **options)


async def test_damaged_pages_are_broken_not_a_crash(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add_each(f"fact f/{n} v\nkey k/{n}\n" + "x" * 3000 for n in range(60))
    await book.journal.close()
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))
    with pytest.raises(JournalBroken):
        reopen(path, readonly=True)


async def test_a_read_only_journal_follows_another_process(path: Path) -> None:
    await reopen(path, journal_id="j").close()
    reader = reopen(path, readonly=True)
    waiter = asyncio.ensure_future(reader.changed(0, 60))
    await asyncio.sleep(0)
    with start_writer(path, "w", 3) as writer:
        head = await asyncio.wait_for(waiter, 30)
        assert head.sequence >= 2
        assert writer.stdout is not None
        for line in await asyncio.to_thread(writer.stdout.readlines):
            assert reader.head().sequence >= int(line)
    assert [record.raw for record in reader.records([1, 3])] == [b"w 1", b"w 3"]
    with pytest.raises(PermissionError):
        await reader.append(reader.head(), reader.frames(0)[0], Changes())
    await reader.close()


@pytest.mark.parametrize("read_before", [False, True])
async def test_a_folder_that_may_not_be_written_can_be_read(
    path: Path, wrap: Wrap, read_before: bool
) -> None:
    book = wrap(reopen(path, journal_id="j"))
    head = await book.add("one")
    await book.journal.close()
    if read_before:  # by somebody who may write: it leaves files of the WAL behind
        await reopen(path, readonly=True).close()
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom axis.journal.sqlite import SqliteJournal\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "journal = SqliteJournal.open(Path(sys.argv[1]), readonly=True)\n"
        "print(journal.head(), len(journal.frames(0)))\n"
    )
    for folder in path.parents:  # let an unprivileged reader pass
        if folder.stat().st_uid == os.geteuid() and "pytest" in str(folder):
            folder.chmod(0o555)
    try:
        result = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False, timeout=60
        )
        assert result.stdout.strip() == f"{head} 1", result.stderr
    finally:
        for folder in path.parents:
            if folder.stat().st_uid == os.geteuid() and "pytest" in str(folder):
                folder.chmod(0o700)


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow over `size` bytes: the disk is full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_stores_nothing_and_harms_nothing(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    head = await book.add("key before\nfact f old")
    wal = path.with_name("journal.sqlite-wal").stat().st_size
    for room in (0, 1, 4096, 20_000, 100_000):
        with files_at_most(wal + room):
            for _ in range(2):
                with pytest.raises(StorageFull):
                    await book.add("key after\nfact f new\nfeed G22 normal\n" + "x" * 200_000)
        assert book.journal.head() == head
        assert book.journal.key("after") is None
        assert book.journal.get("f") == b"old"
        assert book.journal.feed("G22", False, 0, 9) == []
    # With room again, the same journal goes on without being opened anew.
    after = await book.add("key after\nfact f new\n" + "x" * 200_000)
    assert book.journal.get("f") == b"new"
    await book.journal.close()
    journal = reopen(path)
    assert journal.head() == after
    assert [frame.head for frame in journal.frames(0)] == [head, after]
    await journal.close()


async def test_a_full_database_is_storage_full_too(path: Path, wrap: Wrap) -> None:
    journal = reopen(path, journal_id="j")
    book = wrap(journal)
    head = await book.add("one")
    writer = journal._appender._connection  # type: ignore[union-attr]
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageFull):
        await book.add("fact f new\n" + "x" * 100_000)
    assert (journal.head(), journal.get("f")) == (head, None)
    writer.execute("PRAGMA max_page_count = 1000000")
    assert (await book.add("fact f new\n" + "x" * 100_000)).sequence == 2
    await journal.close()


async def test_a_founding_without_room_leaves_nothing_behind(path: Path) -> None:
    with files_at_most(3000), pytest.raises(StorageFull):
        reopen(path, journal_id="j")
    journal = reopen(path, journal_id="j")
    assert journal.head() == Head.empty("j")
    await journal.close()


async def test_the_file_guards_its_own_history(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    await book.add("key k", at=1000)
    await book.journal.close()
    statements = [
        "UPDATE frames SET at = 5",
        "DELETE FROM frames",
        "INSERT INTO frames VALUES (3, 2, 2, 2000, zeroblob(32), x'00')",
        "INSERT INTO frames VALUES (2, 5, 5, 2000, zeroblob(32), x'00')",
        "INSERT INTO frames VALUES (2, 2, 2, 999, zeroblob(32), x'00')",
        "INSERT INTO frames VALUES (2, 2, 2, 2000, zeroblob(31), x'00')",
        "INSERT INTO frames VALUES (2, 2, 1, 2000, zeroblob(32), x'00')",
        "UPDATE keys SET sequence = 2",
        "DELETE FROM keys",
        "INSERT INTO keys VALUES ('k', 2)",
        "INSERT INTO keys VALUES ('l', 0)",
        "DELETE FROM head",
        "UPDATE head SET number = 7, sequence = 9",
        "UPDATE head SET number = 2",
        "INSERT INTO head VALUES (2, 0, 0, 0, zeroblob(32), x'')",
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)


async def test_more_frames_than_the_cache_holds_are_read_back(path: Path, wrap: Wrap) -> None:
    book = wrap(reopen(path, journal_id="j"))
    hashes = {}
    for n in range(48):
        text = f"{n} " + "x" * 380_000
        hashes[(await book.add(text)).sequence] = hashlib.sha256(text.encode()).digest()
    for sequence, sha256 in hashes.items():
        assert hashlib.sha256(book.journal.record(sequence).raw).digest() == sha256
    assert book.journal._cached_bytes <= 16 * 1024 * 1024
    await book.journal.close()


async def test_opening_beside_a_running_writer_never_sees_half_an_append(path: Path) -> None:
    await reopen(path, journal_id="j").close()
    with start_writer(path, "w", 300) as writer:
        seen = 0
        while writer.poll() is None:
            journal = reopen(path, readonly=True)
            assert journal.head().sequence >= seen
            seen = journal.head().sequence
            await journal.close()
        assert writer.returncode == 0
