"""What blobs of several nodes promise beyond the contract: what one node took, another has."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from axis.blobs import chunks as module
from axis.blobs.chunks import store
from axis.blobs.files import FileBlobs
from axis.blobs.jetstream import JetStreamBlobs
from axis.blobs.taking import take
from axis.jetstream import NotAnswered
from axis.ports import BlobMismatch, BlobMissing, OutcomeUnknown
from bench.nats import NatsCluster
from tests.contract.test_blobs import DAY, HOUR, NOW, chunks, content, get, never, put, sha

LIMIT = 20.0


@pytest.fixture
async def pair(tmp_path: Path, nats: NatsCluster) -> AsyncIterator[tuple[JetStreamBlobs, JetStreamBlobs]]:
    """Two nodes of one axis."""
    await nats.ready()
    async with AsyncExitStack() as opened:
        name, made = str(uuid.uuid4()), []
        for node in ("one", "two"):
            cluster = await nats.connect()
            opened.push_async_callback(cluster.close)
            blobs = await JetStreamBlobs.open_root(tmp_path / node, cluster, name)
            opened.push_async_callback(blobs.close)
            made.append(blobs)
        yield made[0], made[1]


async def heard(blobs: JetStreamBlobs, sha256: bytes, owner: str = "G22") -> tuple[int, int]:
    async with asyncio.timeout(LIMIT):
        while (pinned := blobs.pinned(sha256, owner)) is None:
            await asyncio.sleep(0.01)
    return pinned


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 128 * 1024, 1_000_000])
async def test_what_one_node_took_another_has(pair: tuple[JetStreamBlobs, JetStreamBlobs], size: int) -> None:
    one, two = pair
    name = await put(one, content(size))
    assert await heard(two, name) == (size, NOW + DAY)
    assert two.pinned(name, "G14") is None
    assert await get(two, name) == content(size)
    assert await get(two, name, size // 2) == content(size)[size // 2 :]
    assert list(two.hashes()) == []


async def test_small_ones_together_are_announced_together(
    pair: tuple[JetStreamBlobs, JetStreamBlobs],
) -> None:
    one, two = pair
    bodies = [b"%d" % number for number in range(100)]
    await one.put_small(bodies, owner="G22", now=NOW, pin_until=NOW + DAY)
    for body in bodies:
        assert (await heard(two, sha(body)))[0] == len(body)
        assert await get(two, sha(body)) == body


async def test_collected_at_one_node_is_gone_for_all(pair: tuple[JetStreamBlobs, JetStreamBlobs]) -> None:
    one, two = pair
    old, named = await put(one, b"old", until=NOW), await put(one, b"named", until=NOW)
    await heard(two, named)
    assert await two.collect(NOW + 2 * HOUR, lambda sha256: sha256 == named) == 1
    await one.collect(NOW + 2 * HOUR, lambda sha256: sha256 == named)
    for blobs in pair:
        with pytest.raises(BlobMissing):
            await get(blobs, old)
        assert await get(blobs, named) == b"named"


async def test_each_hour_only_what_pins_that_ended_are_about_is_looked_at(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole stream is looked through once a day, for what was never announced."""
    one, two = pair
    asked, ask = [], two._cluster.ask

    async def counted(operation: str, body: Any, timeout: float = 2.0) -> Any:
        if body.get("subjects_filter") == f"{two._chunks.stream}.*.0":
            asked.append(body["offset"])
        return await ask(operation, body, timeout)

    monkeypatch.setattr(two._cluster, "ask", counted)
    monkeypatch.setattr("axis.blobs.unused._ENDED_TOGETHER", 2)
    assert await two.collect(NOW, never) == 0
    assert asked == [0]
    lost = content(300_000)
    await one._chunks.publish(sha(lost), len(lost), NOW, chunks(lost))
    ended = [await put(one, b"%d" % number, until=NOW) for number in range(7)]
    kept = await put(one, b"kept")
    await heard(two, kept)
    assert await two.collect(NOW + 2 * HOUR, lambda sha256: sha256 in ended[:2]) == 5
    assert asked == [0]
    assert await get(two, ended[0]) == b"0"
    for gone in ended[2:]:
        with pytest.raises(BlobMissing):
            await two._chunks.read(gone, 0)
    assert await two._chunks.piece(sha(lost), 2) is not None
    names = {*ended[:2], kept}
    assert await two.collect(NOW + DAY, names.__contains__) == 1
    assert asked == [0, 0, 3]
    assert await two._chunks.piece(sha(lost), 2) is None


async def test_an_upload_elsewhere_is_not_collected(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks are there before its announcement is."""
    one, two = pair
    announce, go_on = one._announce, asyncio.Event()

    async def late(pins: Any, made: str) -> None:
        await go_on.wait()
        await announce(pins, made)

    monkeypatch.setattr(one, "_announce", late)
    body = content(300_000)
    upload = asyncio.ensure_future(
        one.put(sha(body), len(body), chunks(body), owner="G22", now=NOW, pin_until=NOW + DAY)
    )
    async with asyncio.timeout(LIMIT):
        while await two._chunks.piece(sha(body), 2) is None:
            await asyncio.sleep(0.01)
    assert await two.collect(NOW, never) == 0
    go_on.set()
    await upload
    await heard(two, sha(body))
    assert await get(two, sha(body)) == body


async def test_a_home_that_founds_a_cluster_publishes_what_it_holds(
    tmp_path: Path, pair: tuple[JetStreamBlobs, JetStreamBlobs]
) -> None:
    one, two = pair
    await one._local.put_small([b"before"], owner="G22", now=NOW, pin_until=NOW + DAY)
    assert await one.seed(NOW) == 1
    assert await get(two, sha(b"before")) == b"before"


async def test_a_silent_cluster_is_said_and_nothing_counts(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = pair
    monkeypatch.setattr(module, "_TRIES", 2)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)

    async def silent(*_: Any, **__: Any) -> Any:
        raise NotAnswered("nobody is there")

    for call in ("publish", "stream", "newest", "ask"):
        monkeypatch.setattr(one._cluster, call, silent)
    body = b"taken by nobody"
    for asked in (put(one, body), one.collect(NOW, never), get(one, hashlib.sha256(b"else").digest())):
        with pytest.raises(OutcomeUnknown):
            await asked
    assert one.pinned(sha(body), "G22") is None


async def test_announcements_are_read_again_from_the_place_reached(
    tmp_path: Path, nats: NatsCluster, pair: tuple[JetStreamBlobs, JetStreamBlobs]
) -> None:
    one, two = pair
    first = await put(one, b"first")
    await heard(two, first)
    await two.close()
    second = await put(one, b"second")
    cluster = await nats.connect()
    again = await JetStreamBlobs.open_root(
        tmp_path / "two", cluster, one._chunks.stream.removeprefix("blobs-")
    )
    assert again.pinned(first, "G22") == (5, NOW + DAY)
    assert again.pinned(second, "G22") == (6, NOW + DAY)
    await again.close()
    await cluster.close()
    local = FileBlobs.open_root(tmp_path / "two", readonly=True)
    assert local.size(first) is None
    await local.close()


@pytest.mark.parametrize(
    "odd",
    [[sha(b"x").hex(), "G22", True, NOW], [sha(b"x").hex(), "\ud800", 1, NOW], [sha(b"x").hex(), "G22", 1]],
)
async def test_an_announcement_with_an_odd_pin_is_left_out_and_the_next_is_read(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], odd: list[Any]
) -> None:
    one, two = pair
    good = [sha(b"good").hex(), "G22", 4, NOW + DAY]
    body = json.dumps({"chunks": one._chunks_made, "pins": [good, odd]}).encode()
    with capture_logs() as logs:
        await store(one._cluster, f"{one._pins}.pin", body)
        await heard(two, await put(one, b"after"))
        assert await get(two, sha(b"after")) == b"after"
    assert two.pinned(sha(b"good"), "G22") is None
    assert "announcement_odd" in {log["event"] for log in logs}


async def test_a_reader_gets_no_more_than_the_chunks_say(
    pair: tuple[JetStreamBlobs, JetStreamBlobs],
) -> None:
    """What another node published is not believed: chunks too long, too short, of another size."""
    one, two = pair
    body = content(300_000)
    name = await put(one, body)
    subject = f"{one._chunks.stream}.{name.hex()}"
    whole = {"Axis-Size": str(len(body)), "Axis-At": str(NOW)}
    for number, data, said in (
        (0, body[: 128 * 1024 + 1], whole),
        (0, body[: 128 * 1024], whole | {"Axis-Size": "9" * 5000}),
        (1, body[:1000], whole),
        (2, body[256 * 1024 :] + b"more", whole),
    ):
        await store(one._cluster, f"{subject}.{number}", data, said)
        with pytest.raises(BlobMismatch):
            await get(two, name)
        start = number * 128 * 1024
        await store(one._cluster, f"{subject}.{number}", body[start : start + 128 * 1024], whole)
    assert await get(two, name) == body


async def test_a_node_takes_what_it_lacks_and_goes_on_where_it_broke_off(
    tmp_path: Path, pair: tuple[JetStreamBlobs, JetStreamBlobs]
) -> None:
    one, _ = pair
    bodies = [b"%d" % number for number in range(20)] + [content(0), content(64 * 1024 + 1), content(300_000)]
    wanted = [(await put(one, body), len(body)) for body in bodies]
    lost = sha(b"lost")
    shown: list[tuple[int, int]] = []
    for _ in range(2):  # opened again: what was taken is durable
        local = FileBlobs.open_root(tmp_path / "own")
        with pytest.raises(BlobMissing, match=lost.hex()):
            await take(
                local, one._chunks, [*wanted, (lost, 300_000)], NOW, lambda *so_far: shown.append(so_far)
            )
        for body in bodies[:16] + bodies[21:]:
            assert await get(local, sha(body)) == body
        await local.close()
    assert shown == [(16, 22), (17, 22 + 65537), (18, 22 + 65537 + 300_000)]
    local = FileBlobs.open_root(tmp_path / "own")
    assert await take(local, one._chunks, wanted, NOW) == 5
    assert sorted(local.hashes()) == sorted(sha256 for sha256, _ in wanted)
    assert await take(local, one._chunks, wanted, NOW) == 0
    assert await local.collect(NOW + DAY, dict(wanted).__contains__) == 0
    await local.close()


@pytest.mark.parametrize("size", [5, 300_000])
async def test_a_node_takes_nothing_that_is_not_what_it_is_named(
    tmp_path: Path, pair: tuple[JetStreamBlobs, JetStreamBlobs], size: int
) -> None:
    one, _ = pair
    name, other = await put(one, content(size)), b"x" * min(size, 128 * 1024)
    headers = {"Axis-Size": str(size), "Axis-At": str(NOW)}
    await store(one._cluster, f"{one._chunks.stream}.{name.hex()}.0", other, headers)
    local = FileBlobs.open_root(tmp_path / "own")
    for named in (size, size + 1):
        with pytest.raises(BlobMismatch):
            await take(local, one._chunks, [(name, named)], NOW)
    assert list(local.hashes()) == []
    await local.close()


async def test_a_blob_counts_as_there_with_every_chunk(pair: tuple[JetStreamBlobs, JetStreamBlobs]) -> None:
    one, _ = pair
    for size in (0, 5, 128 * 1024, 128 * 1024 + 1, 300_000):
        name = await put(one, content(size))
        assert await one._chunks.size(name, size) == size
        assert await one._chunks.size(name, 300_000) == size
    purge = {"filter": f"{one._chunks.stream}.{name.hex()}.1"}
    await one._cluster.ask(f"STREAM.PURGE.{one._chunks.stream}", purge, LIMIT)
    with pytest.raises(BlobMissing):
        await one._chunks.size(name, 300_000)
    with pytest.raises(BlobMissing):
        await one._chunks.size(name, 5)


async def get_again(blobs: JetStreamBlobs, body: bytes) -> bytes:
    """Uploaded once more at this node, and read from the cluster's chunks."""
    await put(blobs, body, owner="H26")
    return b"".join([chunk async for chunk in await blobs._chunks.read(sha(body), 0)])


async def test_lost_streams_are_filled_again_and_old_pins_count_for_nothing(
    tmp_path: Path, nats: NatsCluster, pair: tuple[JetStreamBlobs, JetStreamBlobs]
) -> None:
    one, two = pair
    body = content(300_000)
    name = await put(one, body)
    await heard(two, name)
    stream, cluster = one._chunks.stream, await nats.connect()
    await cluster.ask(f"STREAM.DELETE.{stream}", {}, 10.0)
    mended = await JetStreamBlobs.open_root(tmp_path / "three", cluster, stream.removeprefix("blobs-"))
    # The chunks are gone, so that the same bytes must be uploaded again wherever they come.
    await two._look()
    assert await get_again(two, body) == body
    assert await one.seed(NOW) == 1
    assert await get(mended, name) == body
    await mended.close()
    await cluster.close()


async def test_a_chunk_under_an_odd_name_is_passed_over(
    pair: tuple[JetStreamBlobs, JetStreamBlobs],
) -> None:
    """Collecting is a part of the node, and the node stops where a part dies."""
    one, _ = pair
    name = await put(one, b"kept")
    for odd in ("odd", name.hex().upper(), name.hex()[2:]):
        await store(one._cluster, f"{one._chunks.stream}.{odd}.0", b"?")
    assert [each for each in await one._chunks.stored(0) if each is not None] == [name]
    assert await one._chunks.stored(4) == []
    assert await one.collect(NOW + DAY + 2 * HOUR, never) == 1


async def test_an_upload_does_not_count_where_its_stream_was_made_anew_meanwhile(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks went with the stream that they were in."""
    one, two = pair
    publish = one._chunks.publish

    async def then_lost(*arguments: Any) -> None:
        await publish(*arguments)
        await one._cluster.ask(f"STREAM.DELETE.{one._chunks.stream}", {}, 10.0)
        await two._make_streams()
        await one._look()

    with monkeypatch.context() as losing:
        losing.setattr(one._chunks, "publish", then_lost)
        with pytest.raises(OutcomeUnknown, match="made anew"):
            await put(one, b"taken")
    assert one.pinned(sha(b"taken"), "G22") is None
    name = await put(one, b"taken")
    assert await get(two, name) == b"taken"


async def test_each_node_publishes_again_what_a_stream_made_anew_lacks(
    tmp_path: Path, nats: NatsCluster, pair: tuple[JetStreamBlobs, JetStreamBlobs]
) -> None:
    """What another node's reseed cannot: named ones alone, once for each stream."""
    one, two = pair
    body = content(300_000)
    name = await put(one, body)
    unnamed = await put(one, b"nobody names it")
    stream, cluster = one._chunks.stream, await nats.connect()
    await cluster.ask(f"STREAM.DELETE.{stream}", {}, 10.0)
    assert await two.seed(NOW) == 0
    await one._look()
    with pytest.raises(BlobMissing):
        await get(two, name)
    assert await one.publish_lost(NOW, name.__eq__) == 1
    assert await get(two, name) == body
    with pytest.raises(BlobMissing):
        await get(two, unnamed)
    await one._chunks.purge(name, 1000)
    assert await one.publish_lost(NOW, name.__eq__) == 0
    await cluster.close()


async def test_every_page_of_the_stored_is_read(
    pair: tuple[JetStreamBlobs, JetStreamBlobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers list 100,000 subjects at a time; here two."""
    one, _ = pair
    names = {await put(one, b"%d" % number) for number in range(5)}
    ask = one._cluster.ask

    async def paged(operation: str, body: Any, timeout: float = 2.0) -> Any:
        answer = await ask(operation, {"subjects_filter": body["subjects_filter"]}, timeout)
        every = sorted(answer["state"]["subjects"].items())
        page = every[body["offset"] : body["offset"] + 2]
        return answer | {"state": answer["state"] | {"subjects": dict(page)}, "total": len(every)}

    monkeypatch.setattr(one._cluster, "ask", paged)
    found: list[bytes | None] = []
    while page := await one._chunks.stored(len(found)):
        found += page
    assert len(found) == len(names)
    assert set(found) == names
