"""Random lives of a blob store against a model: uploads good and bad, at once, collections and restarts."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.blobs.files import FileBlobs
from axis.blobs.memory import MemoryBlobs
from axis.ports import BlobMismatch, Blobs

HOUR = 60 * 60 * 1000
OWNERS = ("G22", "G14")
BODIES = tuple(bytes([n]) * size for n, size in enumerate((0, 10, 70_000, 10)))
NAMES = tuple(hashlib.sha256(body).digest() for body in BODIES)


@dataclass
class Upload:
    """One put: of the right bytes, or of `wrong` ones."""

    body: int
    owner: int
    pin_hours: int
    wrong: bool


@dataclass
class Step:
    """Uploads at the same time, then perhaps a collection and a restart."""

    uploads: list[Upload]
    hours: int
    named: set[int]
    collect: bool
    restart: bool


@dataclass
class Model:
    """Who has pinned what until when; a key without pins is a blob that is merely stored."""

    now: int = 1_700_000_000_000
    pins: dict[int, dict[str, int]] = field(default_factory=dict)

    def collect(self, named: set[int]) -> int:
        gone = [
            body
            for body, pins in self.pins.items()
            if body not in named and all(until < self.now - HOUR for until in pins.values())
        ]
        for body in gone:
            del self.pins[body]
        return len(gone)

    async def agrees(self, blobs: Blobs) -> None:
        assert sorted(blobs.hashes()) == sorted(NAMES[body] for body in self.pins)
        for n, body in enumerate(BODIES):
            pins = self.pins.get(n, {})
            assert blobs.size(NAMES[n]) == (len(body) if n in self.pins else None)
            for owner in OWNERS:
                expected = (len(body), pins[owner]) if owner in pins else None
                assert blobs.pinned(NAMES[n], owner) == expected
            if n in self.pins:
                async with blobs.open(NAMES[n]) as stream:
                    assert b"".join([chunk async for chunk in stream]) == body


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 30_000):
        await asyncio.sleep(0)
        yield body[start : start + 30_000]


async def upload(one: Upload, blobs: Blobs, model: Model) -> None:
    body, owner = BODIES[one.body], OWNERS[one.owner]
    until = model.now + one.pin_hours * HOUR
    sent = chunks(body + b"x" if one.wrong else body)
    try:
        await blobs.put(NAMES[one.body], len(body), sent, owner=owner, now=model.now, pin_until=until)
    except BlobMismatch:
        assert one.wrong
        return
    assert not one.wrong
    pins = model.pins.setdefault(one.body, {})
    pins[owner] = max(until, pins.get(owner, until))


steps = st.lists(
    st.builds(
        Step,
        uploads=st.lists(
            st.builds(
                Upload,
                body=st.integers(0, len(BODIES) - 1),
                owner=st.integers(0, len(OWNERS) - 1),
                pin_hours=st.integers(0, 3),
                wrong=st.sampled_from([False, False, True]),
            ),
            max_size=5,
        ),
        hours=st.integers(0, 2),
        named=st.sets(st.integers(0, len(BODIES) - 1), max_size=2),
        collect=st.booleans(),
        restart=st.sampled_from([False, False, True]),
    ),
    max_size=6,
)


async def live(life: list[Step], root: Path | None) -> None:
    blobs: Blobs = MemoryBlobs() if root is None else FileBlobs.open_root(root)
    model = Model()
    for step in life:
        await asyncio.gather(*(upload(one, blobs, model) for one in step.uploads))
        model.now += step.hours * HOUR + 1
        if step.collect:
            names = {NAMES[body] for body in step.named}
            assert await blobs.collect(model.now, names.__contains__) == model.collect(step.named)
        if step.restart and root is not None:
            await blobs.close()
            blobs = FileBlobs.open_root(root)
        await model.agrees(blobs)
    await blobs.close()


@pytest.mark.parametrize("engine", ["memory", "files"])
@settings(max_examples=40, deadline=None)
@given(life=steps)
def test_a_random_life_agrees_with_the_model(engine: str, life: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(life, Path(folder) / "blobs" if engine == "files" else None))
