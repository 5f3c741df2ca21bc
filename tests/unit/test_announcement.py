"""Announcements of blobs in the cluster: exactly shaped, or not taken at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from axis.blobs.announced import Pin
from axis.blobs.announcement import PINS_TOGETHER, Announcement, read_announcement

MADE = "2026-11-29T00:00:00Z"
SHA = "ab" * 32
GOOD = [SHA, "G22", 1, 2]


def test_what_is_written_is_read() -> None:
    pins = tuple(Pin(bytes([n]) * 32, f"H{n:02}", n, 1_700_000_000_000 + n) for n in range(PINS_TOGETHER))
    said = Announcement(MADE, pins)
    assert read_announcement(said.as_bytes()) == said


@pytest.mark.parametrize(
    "pin",
    [
        None,
        {},
        "abcd",
        [SHA, "G22", 1],
        [*GOOD, 3],
        [SHA, "G22", True, 2],
        [SHA, "G22", 1, False],
        [SHA, "G22", 1.0, 2],
        [SHA, "G22", "1", 2],
        [SHA, "G22", -1, 2],
        [SHA, "G22", 1, -2],
        [SHA, "G22", 1 << 63, 2],
        [SHA, "G22", 1, 1 << 60],
        [SHA, "", 1, 2],
        [SHA, "axis", 1, 2],
        [SHA, "\ud800", 1, 2],
        [SHA, "G" * 36, 1, 2],
        [SHA, 22, 1, 2],
        [SHA[:-2], "G22", 1, 2],
        [SHA + "ab", "G22", 1, 2],
        [SHA.upper(), "G22", 1, 2],
        [" ".join(SHA), "G22", 1, 2],
        [[SHA], "G22", 1, 2],
    ],
)
def test_one_bad_pin_is_none_at_all(pin: Any) -> None:
    body = json.dumps({"chunks": MADE, "pins": [GOOD, pin]}).encode()
    with pytest.raises(ValueError, match=r"."):
        read_announcement(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"chunks": ' + b"9" * 5000 + b', "pins": []}',
        json.dumps({"chunks": MADE}).encode(),
        json.dumps({"chunks": 1, "pins": []}).encode(),
        json.dumps({"chunks": MADE, "pins": {}}).encode(),
        json.dumps({"chunks": MADE, "pins": [], "more": 1}).encode(),
        json.dumps({"chunks": "x" * 65, "pins": []}).encode(),
        json.dumps({"chunks": MADE, "pins": [GOOD] * (PINS_TOGETHER + 1)}).encode(),
    ],
)
def test_what_is_no_announcement(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_announcement(body)
