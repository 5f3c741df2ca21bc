"""What every blob engine promises (ports.Blobs)."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from axis.blobs.files import FileBlobs
from axis.blobs.jetstream import JetStreamBlobs
from axis.blobs.memory import MemoryBlobs
from axis.ports import BlobMismatch, BlobMissing, Blobs
from bench.nats import NatsCluster

HOUR = 60 * 60 * 1000
NOW = 1_700_000_000_000
DAY = 24 * HOUR
SIZES = [0, 1, 4096, 64 * 1024, 64 * 1024 + 1, 3_000_000]


def sha(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


async def chunks(body: bytes, step: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), step):
        yield body[start : start + step]


async def put(blobs: Blobs, body: bytes, owner: str = "G22", until: int = NOW + DAY) -> bytes:
    await blobs.put(sha(body), len(body), chunks(body), owner=owner, now=NOW, pin_until=until)
    return sha(body)


async def get(blobs: Blobs, sha256: bytes, offset: int = 0) -> bytes:
    async with blobs.open(sha256, offset) as stream:
        return b"".join([chunk async for chunk in stream])


def never(_sha256: bytes) -> bool:
    return False


@pytest.fixture(params=["memory", "files", "jetstream"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    engine: Blobs
    async with AsyncExitStack() as opened:
        if request.param == "memory":
            engine = MemoryBlobs()
        elif request.param == "files":
            engine = FileBlobs.open_root(tmp_path / "blobs")
        else:
            nats: NatsCluster = request.getfixturevalue("nats")
            await nats.ready()
            cluster = await nats.connect()
            opened.push_async_callback(cluster.close)
            engine = await JetStreamBlobs.open_root(tmp_path / "blobs", cluster, str(uuid.uuid4()))
        yield engine
        await engine.close()
        await engine.close()


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_comes_back(blobs: Blobs, size: int) -> None:
    body = content(size)
    name = await put(blobs, body)
    assert blobs.size(name) == size
    assert blobs.pinned(name, "G22") == (size, NOW + DAY)
    assert list(blobs.hashes()) == [name]
    for offset in {0, 1, size // 2, max(size - 1, 0), size, size + 1}:
        assert await get(blobs, name, offset) == body[offset:]


async def test_small_ones_are_stored_together(blobs: Blobs) -> None:
    bodies = [b"", b"one", b"two", b"one", content(64 * 1024)]
    await blobs.put_small(bodies, owner="G22", now=NOW, pin_until=NOW + DAY)
    for body in bodies:
        assert blobs.pinned(sha(body), "G22") == (len(body), NOW + DAY)
        assert blobs.pinned(sha(body), "G14") is None
        assert await get(blobs, sha(body)) == body
    assert sorted(blobs.hashes()) == sorted({sha(body) for body in bodies})
    await blobs.put_small([b"one"], owner="G14", now=NOW, pin_until=NOW + HOUR)
    assert blobs.pinned(sha(b"one"), "G14") == (3, NOW + HOUR)
    assert blobs.pinned(sha(b"one"), "G22") == (3, NOW + DAY)
    with pytest.raises(ValueError, match="65536"):
        await blobs.put_small([b"three", content(64 * 1024 + 1)], owner="G22", now=NOW, pin_until=NOW)
    assert blobs.size(sha(b"three")) is None


async def test_chunks_are_bounded(blobs: Blobs) -> None:
    name = await put(blobs, content(1_000_000))
    async with blobs.open(name) as stream:
        sizes = [len(chunk) async for chunk in stream]
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 256 * 1024
    assert min(sizes) > 0


async def test_absent_blobs(blobs: Blobs) -> None:
    name = sha(b"never")
    assert blobs.size(name) is None
    assert blobs.pinned(name, "G22") is None
    assert list(blobs.hashes()) == []
    with pytest.raises(BlobMissing):
        await get(blobs, name)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("known", [False, True])
async def test_other_bytes_than_named_are_refused_and_not_kept(blobs: Blobs, size: int, known: bool) -> None:
    body = content(size)
    name = sha(body)
    if known:
        await put(blobs, body, owner="G14")
    changed = bytes([body[0] ^ 1]) + body[1:]
    for wrong, named_size in (
        (changed, size),
        (body[:-1], size),
        (body + b"x", size),
        (body, size + 1),
        (body, size - 1),
        (b"", size),
    ):
        with pytest.raises(BlobMismatch):
            await blobs.put(name, named_size, chunks(wrong), owner="G22", now=NOW, pin_until=NOW + DAY)
    assert blobs.pinned(name, "G22") is None
    assert list(blobs.hashes()) == ([name] if known else [])
    if known:
        assert await get(blobs, name) == body


async def test_much_more_than_named_is_not_read_to_its_end(blobs: Blobs) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(100_000)

    for size in (10, 1_000_000):
        with pytest.raises(BlobMismatch):
            await blobs.put(bytes(32), size, endless(), owner="G22", now=NOW, pin_until=NOW + DAY)
    assert taken < 50


async def test_having_is_per_owner_and_needs_the_bytes(blobs: Blobs) -> None:
    body = content(200_000)
    name = await put(blobs, body, owner="G22")
    assert blobs.pinned(name, "G14") is None
    await put(blobs, body, owner="G14", until=NOW + 2 * DAY)
    assert blobs.pinned(name, "G22") == (len(body), NOW + DAY)
    assert blobs.pinned(name, "G14") == (len(body), NOW + 2 * DAY)
    assert list(blobs.hashes()) == [name]


@pytest.mark.parametrize("size", [10, 200_000])
async def test_a_repeat_prolongs_the_pin_and_never_shortens_it(blobs: Blobs, size: int) -> None:
    name = await put(blobs, content(size))
    await put(blobs, content(size), until=NOW + 2 * DAY)
    assert blobs.pinned(name, "G22") == (size, NOW + 2 * DAY)
    await put(blobs, content(size), until=NOW + DAY)
    assert blobs.pinned(name, "G22") == (size, NOW + 2 * DAY)


@pytest.mark.parametrize("size", [10, 200_000])
async def test_the_same_blob_put_by_many_at_once(blobs: Blobs, size: int) -> None:
    body = content(size)
    names = await asyncio.gather(*(put(blobs, body, owner=f"G{n}") for n in range(20)))
    assert set(names) == {sha(body)}
    assert list(blobs.hashes()) == [sha(body)]
    assert all(blobs.pinned(sha(body), f"G{n}") for n in range(20))
    assert await get(blobs, sha(body)) == body


@pytest.mark.parametrize("size", [10, 5_000_000])
@pytest.mark.parametrize("stop_after", [0, 1, 30])
async def test_a_cancelled_upload_leaves_nothing_behind(blobs: Blobs, size: int, stop_after: int) -> None:
    reached = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        sent = 0
        async for chunk in chunks(content(size)):
            if sent == stop_after:
                break
            sent += 1
            yield chunk
        reached.set()
        await asyncio.Event().wait()

    name = sha(content(size))
    task = asyncio.ensure_future(blobs.put(name, size, hanging(), owner="G22", now=NOW, pin_until=NOW + DAY))
    await asyncio.wait_for(reached.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blobs.pinned(name, "G22") is None
    assert blobs.size(name) is None
    assert await put(blobs, content(size)) == name  # and nothing is in the way of the next try


async def test_an_upload_whose_source_fails_leaves_nothing_behind(blobs: Blobs) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield content(2_000_000)
        raise ConnectionResetError

    name = sha(content(3_000_000))
    with pytest.raises(ConnectionResetError):
        await blobs.put(name, 3_000_000, failing(), owner="G22", now=NOW, pin_until=NOW + DAY)
    assert blobs.size(name) is None


async def test_collected_is_what_nobody_pins_or_names(blobs: Blobs) -> None:
    old = await put(blobs, b"old", until=NOW)
    named = await put(blobs, b"named", until=NOW)
    fresh = await put(blobs, b"fresh", until=NOW + 1)
    shared = await put(blobs, b"shared", until=NOW)
    await put(blobs, b"shared", owner="G14", until=NOW + DAY)

    def is_named(sha256: bytes) -> bool:
        return sha256 == named

    # Exactly an hour after the pin's end is not over an hour.
    assert await blobs.collect(NOW + HOUR, is_named) == 0
    assert await blobs.collect(NOW + HOUR + 1, is_named) == 1
    assert sorted(blobs.hashes()) == sorted([named, fresh, shared])
    assert blobs.pinned(old, "G22") is None
    assert blobs.pinned(shared, "G22") == (6, NOW)
    with pytest.raises(BlobMissing):
        await get(blobs, old)
    assert await blobs.collect(NOW + DAY + HOUR + 1, is_named) == 2
    assert await blobs.collect(NOW + DAY + HOUR + 1, never) == 1
    assert list(blobs.hashes()) == []
    # What was collected may come again.
    assert await get(blobs, await put(blobs, b"old")) == b"old"
    assert blobs.pinned(old, "G22") == (3, NOW + DAY)


async def test_names_are_asked_for_at_a_confirmed_head_only(blobs: Blobs) -> None:
    """Another node has accepted a document that names the blob, and this one has not heard of it yet."""
    name, names, asked = await put(blobs, b"named elsewhere", until=NOW), set[bytes](), []

    async def silent() -> bool:
        return False

    async def hears() -> bool:
        asked.append(len(names))
        names.add(name)
        return True

    assert await blobs.collect(NOW + DAY, never, silent) == 0
    assert await blobs.collect(NOW + DAY, names.__contains__, hears) == 0
    assert await get(blobs, name) == b"named elsewhere"
    assert asked == [0]
    names.clear()
    assert await blobs.collect(NOW + DAY, never, hears) == 1


async def test_a_blob_that_is_being_uploaded_is_left_alone(blobs: Blobs) -> None:
    body = content(300_000)
    name = await put(blobs, body, until=NOW)
    go_on, reached = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield body[:100_000]
        reached.set()
        await go_on.wait()
        yield body[100_000:]

    task = asyncio.ensure_future(
        blobs.put(name, len(body), slow(), owner="G22", now=NOW + DAY, pin_until=NOW + 2 * DAY)
    )
    await asyncio.wait_for(reached.wait(), 30)
    assert await blobs.collect(NOW + DAY, never) == 0
    go_on.set()
    await task
    assert blobs.pinned(name, "G22") == (len(body), NOW + 2 * DAY)
    assert await get(blobs, name) == body


async def test_a_reader_keeps_what_is_collected_meanwhile(blobs: Blobs) -> None:
    body = content(1_000_000)
    name = await put(blobs, body, until=NOW)
    async with blobs.open(name) as stream:
        read = [await anext(stream)]
        assert await blobs.collect(NOW + DAY, never) == 1
        read += [chunk async for chunk in stream]
    assert b"".join(read) == body


async def test_uploads_and_collections_at_once_lose_no_pinned_blob(blobs: Blobs) -> None:
    bodies = [content(100) + bytes([n]) for n in range(40)]
    for body in bodies:
        await put(blobs, body, until=NOW)

    async def collect() -> None:
        for _ in range(5):
            await blobs.collect(NOW + DAY, never)

    await asyncio.gather(
        collect(), *(put(blobs, body, owner="G14", until=NOW + 2 * DAY) for body in bodies), collect()
    )
    for body in bodies:
        assert blobs.pinned(sha(body), "G14") == (len(body), NOW + 2 * DAY)
        assert await get(blobs, sha(body)) == body
