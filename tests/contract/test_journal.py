"""What every journal engine promises (ports.Journal)."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from axis.core import merkle
from axis.core.facts import Changes, FeedRow
from axis.core.frame import Frame, FrameInvalid, Head
from axis.ports import Conflict, KeyTaken, StoredRecord

Book = Any  # see conftest


async def test_an_empty_journal(book: Book) -> None:
    journal = book.journal
    assert journal.head() == Head.empty("j")
    assert journal.frames(0) == []
    assert journal.record(0) is None
    assert journal.record(1) is None
    assert journal.frame_hash(0) is None
    assert journal.key("a") is None
    assert journal.get("a") is None
    assert journal.facts("") == []
    assert journal.feed("G22", True, 0, 10) == []
    assert journal.peaks() == []


async def test_what_was_appended_can_be_read_at_once(book: Book) -> None:
    journal = book.journal
    first = await book.add("key once/1\nfact unit/G22 ministry\nfeed G22 urgent", "second", at=1000)
    second = await book.add("fact unit/G22 renamed", at=2000)

    assert journal.head() == second
    assert (first.number, first.sequence, first.at) == (1, 2, 1000)
    assert (second.number, second.sequence, second.at) == (2, 3, 2000)
    assert journal.record(2) == StoredRecord(2, 1000, b"second")
    assert [record.sequence for record in journal.records([3, 9, 1])] == [3, 1]
    assert journal.key("once/1") == 1
    assert journal.get("unit/G22") == b"renamed"
    assert journal.facts("unit/") == [("unit/G22", b"renamed", 3)]
    assert journal.feed("G22", True, 0, 10) == [1]
    assert journal.frame_hash(2) == first.sha256
    assert journal.frame_hash(3) == second.sha256
    assert journal.frame_hash(1) is None


async def test_frames_are_the_bytes_that_were_appended(book: Book) -> None:
    appended = []
    for text in ("a", "b", "c"):
        frame = book.frame(text)
        await book.journal.append(book.journal.head(), frame, Changes())
        appended.append(frame)
    assert book.journal.frames(0) == appended
    assert book.journal.frames(1) == appended[1:]
    assert book.journal.frames(1, limit=1) == appended[1:2]
    assert book.journal.frames(3) == []
    assert book.journal.frames(7) == []
    assert hashlib.sha256(appended[0].raw).digest() == appended[1].previous_sha256


async def test_of_competing_appenders_exactly_one_succeeds(book: Book) -> None:
    head = await book.add("first")
    frames = [book.frame(f"fact winner {n}", after=head) for n in range(8)]
    changes = [Changes(facts={"winner": (str(n).encode(), 2)}) for n in range(8)]
    results = await asyncio.gather(
        *(book.journal.append(head, frame, change) for frame, change in zip(frames, changes, strict=True)),
        return_exceptions=True,
    )
    winners = [n for n, result in enumerate(results) if isinstance(result, Head)]
    assert len(winners) == 1
    now = book.journal.head()
    assert now == results[winners[0]] == frames[winners[0]].head
    for result in results:
        assert isinstance(result, Head) or (isinstance(result, Conflict) and result.head == now)
    assert book.journal.get("winner") == str(winners[0]).encode()
    assert book.journal.frames(1) == [frames[winners[0]]]


async def test_a_lost_race_stores_nothing(book: Book) -> None:
    old = book.journal.head()
    stale = book.frame("late", after=old)
    now = await book.add("first")
    change = Changes({"k": 1}, {"f": (b"v", 1)}, [FeedRow("G22", False, 1)])
    with pytest.raises(Conflict) as caught:
        await book.journal.append(old, stale, change)
    assert caught.value.head == now
    assert book.journal.head() == now
    assert book.journal.key("k") is None
    assert book.journal.get("f") is None
    assert book.journal.feed("G22", False, 0, 10) == []
    with pytest.raises(Conflict):  # another journal's head at the same place
        await book.journal.append(Head("other", 1, 1, now.sha256, now.at), stale, Changes())
    with pytest.raises(Conflict):  # another frame at the same place
        await book.journal.append(Head("j", 1, 1, bytes(32), now.at), stale, Changes())


async def test_a_key_is_taken_once_and_for_ever_and_all_or_nothing(book: Book) -> None:
    await book.add("key once/a")
    await book.add_each(f"filler {n}" for n in range(5))
    head = book.journal.head()
    with pytest.raises(KeyTaken, match="once/a"):
        await book.add("key once/b\nfact f v\nfeed G22 normal", "key once/a")
    assert book.journal.head() == head
    assert book.journal.key("once/a") == 1
    assert book.journal.key("once/b") is None
    assert book.journal.get("f") is None
    assert book.journal.feed("G22", False, 0, 10) == []
    after = await book.add("key once/b")
    assert book.journal.key("once/b") == after.sequence


async def test_a_frame_that_was_not_built_for_this_head_is_refused(book: Book) -> None:
    head = await book.add("first")
    elsewhere = Head("j", 1, 1, b"\1" * 32, head.at)
    with pytest.raises(FrameInvalid):
        await book.journal.append(head, book.frame("x", after=elsewhere), Changes())
    assert book.journal.head() == head


async def test_cancelled_appends_finish_all_the_same(book: Book) -> None:
    frame = book.frame("fact f v")
    task = asyncio.ensure_future(
        book.journal.append(book.journal.head(), frame, Changes(facts={"f": (b"v", 1)}))
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await book.journal.changed(0, 10) == frame.head
    assert book.journal.get("f") == b"v"


async def test_a_cancelled_append_that_fails_is_not_heard_of(book: Book) -> None:
    head = book.journal.head()
    stale = book.frame("late", after=head)
    await book.add("first")
    task = asyncio.ensure_future(book.journal.append(head, stale, Changes()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, Conflict)):
        await task
    await book.add("second")  # appends run one after another: the cancelled one is over
    assert book.journal.head().sequence == 2


async def test_facts_are_paged_by_sequence_in_whole_sequences(book: Book) -> None:
    await book.add("fact unit/a 1\nfact unit/b 1\nfact unit/c 1\nfact alias/a 1", "fact unit/d 1")
    await book.add("fact unit/b 2", "fact unitx/a 1")
    assert [(key, sequence) for key, _value, sequence in book.journal.facts("unit/")] == [
        ("unit/a", 1),
        ("unit/c", 1),
        ("unit/d", 2),
        ("unit/b", 3),
    ]
    assert [key for key, *_ in book.journal.facts("unit/", limit=1)] == ["unit/a", "unit/c"]
    assert [key for key, *_ in book.journal.facts("unit/", changed_after=1, limit=1)] == ["unit/d"]
    assert [key for key, *_ in book.journal.facts("unit/", changed_after=2)] == ["unit/b"]
    assert book.journal.facts("unit/", changed_after=3) == []
    # Other shapes of prefix: several families, part of one, one key's start.
    assert [key for key, *_ in book.journal.facts("unit", changed_after=2)] == ["unit/b", "unitx/a"]
    assert book.journal.facts("unit/b") == [("unit/b", b"2", 3)]
    assert [key for key, *_ in book.journal.facts("", limit=1)] == ["alias/a", "unit/a", "unit/c"]
    assert book.journal.facts("units/") == []


async def test_paging_through_facts_misses_and_repeats_nothing(book: Book) -> None:
    for n in range(12):
        await book.add("\n".join(f"fact family/{n}-{m} {n}" for m in range(n % 4)) or "nothing")
    expected = [fact[0] for fact in book.journal.facts("family/")]
    assert len(expected) == 18
    for prefix in ("family/", "fam"):
        for limit in (1, 2, 5, 100):
            seen: list[str] = []
            after = 0
            while page := book.journal.facts(prefix, after, limit):
                seen += [fact[0] for fact in page]
                after = page[-1][2]
            assert seen == expected


async def test_feeds_have_two_lanes_and_keep_the_order(book: Book) -> None:
    await book.add("feed G22 urgent\nfeed G14 normal", "feed G22 normal", "feed G22 normal\nfeed G22 normal")
    await book.add("feed G22 urgent", "feed G22.VXP normal")
    assert book.journal.feed("G22", True, 0, 10) == [1, 4]
    assert book.journal.feed("G22", False, 0, 10) == [2, 3]
    assert book.journal.feed("G22", False, 0, 1) == [2]
    assert book.journal.feed("G22", False, 2, 10) == [3]
    assert book.journal.feed("G22", False, 3, 10) == []
    assert book.journal.feed("G14", False, 0, 10) == [1]
    assert book.journal.feed("G22.VXP", False, 0, 10) == [5]
    assert book.journal.feed("nobody", False, 0, 10) == []


async def test_peaks_give_the_tree_head_over_the_records(book: Book) -> None:
    records: list[bytes] = []
    for count in (1, 3, 256, 7):
        texts = [f"record {len(records) + n}" for n in range(count)]
        records += [text.encode() for text in texts]
        await book.add(*texts)
        size = book.journal.head().sequence
        assert size == len(records)
        assert merkle.root(book.journal.peaks(), size) == merkle.root_of(records)


async def test_changed_returns_at_once_when_there_is_something(book: Book) -> None:
    head = await book.add("first")
    assert await asyncio.wait_for(book.journal.changed(0, 60), 30) == head


async def test_changed_wakes_everybody_on_an_append(book: Book) -> None:
    waiters = [asyncio.ensure_future(book.journal.changed(0, 60)) for _ in range(5)]
    later = asyncio.ensure_future(book.journal.changed(1, 60))
    await asyncio.sleep(0)
    head = await book.add("first")
    assert await asyncio.wait_for(asyncio.gather(*waiters), 30) == [head] * 5
    assert not later.done()
    head = await book.add("second")
    assert await asyncio.wait_for(later, 30) == head


async def test_changed_ends_with_its_time(book: Book) -> None:
    head = await book.add("first")
    assert await asyncio.wait_for(book.journal.changed(1, 0.01), 30) == head
    assert await asyncio.wait_for(book.journal.changed(1, 0), 30) == head


async def test_a_cancelled_wait_leaves_the_others_waiting(book: Book) -> None:
    gone = asyncio.ensure_future(book.journal.changed(0, 60))
    stays = asyncio.ensure_future(book.journal.changed(0, 60))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    head = await book.add("first")
    assert await asyncio.wait_for(stays, 30) == head


async def test_close_ends_waits_and_may_be_repeated(book: Book) -> None:
    head = await book.add("first")
    waiter = asyncio.ensure_future(book.journal.changed(1, 60))
    await asyncio.sleep(0)
    await book.journal.close()
    assert await asyncio.wait_for(waiter, 30) == head
    await book.journal.close()


async def test_listeners_hear_of_every_frame_once_it_can_be_read(book: Book) -> None:
    heard: list[tuple[Head, dict[str, int]]] = []

    def listen(frame: Frame, changes: Changes) -> None:
        assert book.journal.head() == frame.head
        heard.append((frame.head, changes.keys))

    await book.add("key before")
    book.journal.on_landed(listen)
    one = await book.add("key one")
    two = await book.add("key two", "key three")
    assert heard == [(one, {"one": 2}), (two, {"two": 3, "three": 4})]


async def test_a_journal_that_is_well_is_not_doubted(book: Book) -> None:
    await book.add("first")
    assert book.journal.doubt == ""
