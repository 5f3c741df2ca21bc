"""What the file engine promises about its folder: durability, leftovers, a full disk, memory, readers."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from axis.blobs.files import FileBlobs
from axis.ports import BlobMissing, StorageFull

NOW = 1_700_000_000_000
DAY = 24 * 60 * 60 * 1000
BIG = b"y" * 200_000
SMALL = b"x" * 5_000

# Puts until it is killed; prints a name only once its put has returned.
UPLOADER = """
import asyncio, hashlib, sys
from pathlib import Path
from axis.blobs.files import FileBlobs

async def chunks(body):
    for start in range(0, len(body), 100_000):
        yield body[start:start + 100_000]

async def main():
    blobs = FileBlobs.open_root(Path(sys.argv[1]))
    for n in range(1_000_000):
        body = str(n).encode() * (100 if n % 2 else 400_000)
        name = hashlib.sha256(body).digest()
        await blobs.put(name, len(body), chunks(body), owner="G22", now=0, pin_until=n)
        print(n, name.hex(), flush=True)

asyncio.run(main())
"""

# Takes 256 MiB in and out, and prints by how many KiB its memory grew.
STREAMER = """
import asyncio, hashlib, resource, sys
from pathlib import Path
from axis.blobs.files import FileBlobs

SIZE = 256 * 1024 * 1024

async def chunks():
    for n in range(SIZE // 65536):
        yield n.to_bytes(8, "big") * 8192

async def main():
    blobs = FileBlobs.open_root(Path(sys.argv[1]))
    digest = hashlib.sha256()
    async for chunk in chunks():
        digest.update(chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await blobs.put(digest.digest(), SIZE, chunks(), owner="G22", now=0, pin_until=1)
    again = hashlib.sha256()
    async with blobs.open(digest.digest()) as stream:
        async for chunk in stream:
            again.update(chunk)
    assert again.digest() == digest.digest()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    await blobs.close()

asyncio.run(main())
"""


def sha(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def put(blobs: FileBlobs, body: bytes, until: int = NOW + DAY) -> bytes:
    await blobs.put(sha(body), len(body), chunks(body), owner="G22", now=NOW, pin_until=until)
    return sha(body)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def blobs(root: Path) -> AsyncIterator[FileBlobs]:
    engine = FileBlobs.open_root(root)
    yield engine
    await engine.close()


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow over `size` bytes: the disk is full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_reopened_everything_is_there(root: Path) -> None:
    blobs = FileBlobs.open_root(root)
    names = sorted([await put(blobs, SMALL), await put(blobs, BIG)])
    await blobs.close()
    blobs = FileBlobs.open_root(root)
    assert sorted(blobs.hashes()) == names
    assert blobs.pinned(sha(BIG), "G22") == (len(BIG), NOW + DAY)
    await blobs.close()
    assert root.stat().st_mode & 0o077 == 0


async def test_everything_confirmed_survives_kill_9_and_leftovers_go(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", UPLOADER, str(root)], stdout=subprocess.PIPE, text=True
    ) as uploader:
        assert uploader.stdout is not None
        lines = [uploader.stdout.readline() for _ in range(30)]
        uploader.send_signal(signal.SIGKILL)
        lines += [line for line in uploader.stdout.readlines() if line.endswith("\n")]
    (root / "tmp" / "left").write_bytes(b"of an upload that was killed")
    blobs = FileBlobs.open_root(root)
    for line in lines:
        n, name = line.split()
        size, until = blobs.pinned(bytes.fromhex(name), "G22") or (0, -1)
        assert (size, until) == (len(n) * (100 if int(n) % 2 else 400_000), int(n))
    for name in blobs.hashes():  # nothing stands under a name that is not its own
        async with blobs.open(name) as stream:
            assert sha(b"".join([chunk async for chunk in stream])) == name
    assert list((root / "tmp").iterdir()) == []
    await blobs.close()


async def test_the_data_is_durable_before_the_name_and_the_name_before_the_answer(
    blobs: FileBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def watched_fsync(number: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        steps.append(f"fsync {path.relative_to(root).parts[0]}")
        fsync(number)

    def watched_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    await put(blobs, BIG)
    assert steps == ["fsync tmp", "rename", f"fsync {sha(BIG).hex()[:2]}"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_no_room_at_the_fsync_keeps_nothing(
    blobs: FileBlobs, root: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_number: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(StorageFull):
            await put(blobs, BIG)
    assert files(root) == []
    assert blobs.pinned(sha(BIG), "G22") is None
    assert await put(blobs, BIG) == sha(BIG)


@pytest.mark.parametrize("body", [SMALL, BIG], ids=["small", "big"])
async def test_a_full_disk_keeps_nothing_and_harms_nothing(blobs: FileBlobs, root: Path, body: bytes) -> None:
    before = await put(blobs, b"before")
    for room in (0, 1, 4096):
        with files_at_most(room), pytest.raises(StorageFull):
            await put(blobs, body)
        assert blobs.size(sha(body)) is None
        assert blobs.pinned(sha(body), "G22") is None
        assert list((root / "tmp").iterdir()) == []
    assert blobs.pinned(before, "G22") == (6, NOW + DAY)
    assert await put(blobs, body) == sha(body)
    assert blobs.pinned(sha(body), "G22") == (len(body), NOW + DAY)


async def test_no_room_for_the_pin_is_storage_full(blobs: FileBlobs, root: Path) -> None:
    wal = (root / "blobs.sqlite-wal").stat().st_size
    with files_at_most(wal), pytest.raises(StorageFull):
        await put(blobs, b"")
    assert blobs.pinned(sha(b""), "G22") is None
    await put(blobs, b"")
    assert blobs.pinned(sha(b""), "G22") == (0, NOW + DAY)


async def test_a_cancelled_upload_leaves_no_file(blobs: FileBlobs, root: Path) -> None:
    body = BIG * 40
    for steps in range(0, 40, 3):
        task = asyncio.ensure_future(put(blobs, body))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert files(root) in ([], [f"{sha(body).hex()[:2]}/{sha(body).hex()[2:]}"])
        assert list((root / "tmp").iterdir()) == []


async def test_a_stream_left_behind_never_reads_another_file(blobs: FileBlobs) -> None:
    name = await put(blobs, BIG * 10)
    async with blobs.open(name) as stream:
        await anext(stream)
    with pytest.raises(ValueError, match="closed"):
        await anext(stream)


async def test_readers_beside_the_writer(blobs: FileBlobs, root: Path) -> None:
    reader = FileBlobs.open_root(root, readonly=True)
    (root / "tmp" / "running").write_bytes(b"of an upload that goes on")
    name = await put(blobs, SMALL)
    assert reader.pinned(name, "G22") == (len(SMALL), NOW + DAY)
    assert list(reader.hashes()) == [name]
    with pytest.raises(PermissionError):
        await put(reader, BIG)
    with pytest.raises(PermissionError):
        await reader.collect(NOW, lambda _sha256: False)
    await reader.close()
    assert (root / "tmp" / "running").exists()


def test_reading_where_nothing_is(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileBlobs.open_root(root, readonly=True)
    assert not root.exists()


async def test_names_that_are_no_hash_are_a_defect(blobs: FileBlobs) -> None:
    for name in (b"", b"../../etc/passwd"):
        with pytest.raises(ValueError, match="32 bytes"):
            blobs.size(name)


async def test_a_pin_whose_file_is_gone_is_no_pin(blobs: FileBlobs, root: Path) -> None:
    name = await put(blobs, BIG)
    (root / name.hex()[:2] / name.hex()[2:]).unlink()
    assert blobs.pinned(name, "G22") is None
    with pytest.raises(BlobMissing):
        async with blobs.open(name):
            pass
    await put(blobs, BIG)
    assert blobs.pinned(name, "G22") == (len(BIG), NOW + DAY)


async def test_small_blobs_together_make_no_files_and_all_or_none_of_them_fit(
    blobs: FileBlobs, root: Path
) -> None:
    bodies = [SMALL + bytes([n]) for n in range(20)]
    with files_at_most((root / "blobs.sqlite-wal").stat().st_size + 40_000), pytest.raises(StorageFull):
        await blobs.put_small(bodies, owner="G22", now=NOW, pin_until=NOW + DAY)
    assert [blobs.size(sha(body)) for body in bodies] == [None] * len(bodies)
    await blobs.put_small(bodies, owner="G22", now=NOW, pin_until=NOW + DAY)
    assert [blobs.pinned(sha(body), "G22") for body in bodies] == [(len(SMALL) + 1, NOW + DAY)] * len(bodies)
    assert files(root) == []


async def test_a_small_blob_that_is_pinned_again_while_it_is_collected_stays(blobs: FileBlobs) -> None:
    name = await put(blobs, SMALL, until=NOW - DAY)

    def named_late(_sha256: bytes) -> bool:
        blobs._rows.prolong(
            name, "G14", NOW + DAY
        )  # another upload, in the moment between check and deletion
        return False

    assert await blobs.collect(NOW, named_late) == 0
    assert blobs.pinned(name, "G14") == (len(SMALL), NOW + DAY)


async def test_a_blob_that_a_crash_left_without_a_pin_is_collected(blobs: FileBlobs, root: Path) -> None:
    name = sha(b"orphan")
    (root / name.hex()[:2] / name.hex()[2:]).write_bytes(b"orphan")
    assert await blobs.collect(NOW, lambda sha256: sha256 == name) == 0
    assert await blobs.collect(NOW, lambda _sha256: False) == 1


def test_a_large_blob_is_never_wholly_in_memory(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", STREAMER, str(root)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(result.stdout) < 64 * 1024


async def test_collecting_takes_no_more_memory_where_more_is_stored(blobs: FileBlobs, root: Path) -> None:
    names = [number.to_bytes(4, "big") * 8 for number in range(60_000)]
    with closing(sqlite3.connect(root / "blobs.sqlite")) as rows, rows:
        rows.executemany("INSERT INTO contents VALUES (?, x'')", [(name,) for name in names])
    large = [await put(blobs, BIG + bytes([number]), until=NOW - DAY) for number in range(3)]
    # The first and the last of a page, and what is alone on the last one, go.
    doomed = {names[0], names[999], names[1000], names[-1], large[1]}
    looked_at = 0

    def is_named(sha256: bytes) -> bool:
        nonlocal looked_at
        looked_at += 1
        return sha256 not in doomed

    tracemalloc.start()
    try:
        assert await blobs.collect(NOW, is_named) == len(doomed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000, "their names alone are 4 MB"
    assert looked_at == len(names) + len(large)
    assert set(blobs.hashes()) == {*names, *large} - doomed
