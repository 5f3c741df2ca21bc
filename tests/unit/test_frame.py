"""Frames chain, and whatever does not is named."""

import hashlib

import pytest
from axispb.v1 import journal_pb2

from axis.core.frame import MAX_RECORD_BYTES, MAX_RECORDS, Frame, FrameInvalid, Head, decode, encode

EMPTY = Head.empty("j")


def chain(length: int) -> list[Frame]:
    frames: list[Frame] = []
    head = EMPTY
    for number in range(length):
        frames.append(encode(head, 1000 + number, [b"a", b"b"]))
        head = frames[-1].head
    return frames


def test_records_are_numbered_through_the_journal() -> None:
    first, second = chain(2)
    assert (first.first_sequence, first.head.sequence, first.head.number) == (1, 2, 1)
    assert (second.first_sequence, second.head.sequence, second.head.number) == (3, 4, 2)
    assert second.previous_sha256 == first.head.sha256 == hashlib.sha256(first.raw).digest()


def test_what_was_encoded_is_decoded() -> None:
    first, second = chain(2)
    assert decode(first.raw, EMPTY) == first
    assert decode(second.raw, first.head) == second


def test_time_never_runs_backwards() -> None:
    first = encode(EMPTY, 5000, [b"a"])
    assert encode(first.head, 4000, [b"b"]).at == 5000


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "not 0"),
        ([b""] * (MAX_RECORDS + 1), "not 257"),
        ([b"x" * (MAX_RECORD_BYTES + 1)], "a record is over"),
        ([b"x" * 300_000] * 2, "a frame of"),
    ],
)
def test_limits(records: list[bytes], said: str) -> None:
    with pytest.raises(FrameInvalid, match=said):
        encode(EMPTY, 0, records)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("journal_id", "other", "journal id"),
        ("number", 9, "number"),
        ("first_sequence", 9, "first sequence"),
        ("at", 1, "time"),
        ("previous_sha256", bytes(32), "hash of the predecessor"),
        ("records", [], "count of records"),
    ],
)
def test_a_frame_that_does_not_follow_is_named(field: str, value: object, said: str) -> None:
    first, second = chain(2)
    message = journal_pb2.Frame.FromString(second.raw)
    message.ClearField(field)
    message.MergeFrom(journal_pb2.Frame(**{field: value}))
    with pytest.raises(FrameInvalid, match=f"frame 2: {said}"):
        decode(message.SerializeToString(), first.head)


def test_bytes_that_are_no_frame() -> None:
    with pytest.raises(FrameInvalid, match="frame 1 is not a frame"):
        decode(b"\xff\xff", EMPTY)


def test_the_head_as_a_header() -> None:
    assert str(Head("j", 2, 5, b"\xab" * 32)) == "j:5:" + "ab" * 32
