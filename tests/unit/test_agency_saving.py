"""Saving attachments: whatever a sender calls them, nothing in the folder is replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from agencies.commands.saving import Folder


def content(data: bytes) -> Callable[[BinaryIO], Awaitable[None]]:
    async def fill(file: BinaryIO) -> None:
        file.write(data)

    return fill


async def save(out: Path, *files: tuple[str, bytes]) -> list[str]:
    with Folder(out) as folder:
        return [
            (await folder.save(name, number, content(data))).name for number, (name, data) in enumerate(files)
        ]


def everything(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


async def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(b"mine")
    (tmp_path / "0-Report.pdf").write_bytes(b"mine too")
    assert await save(tmp_path, ("report.pdf", b"theirs")) == ["0-2-report.pdf"]
    assert everything(tmp_path) == {
        "report.pdf": b"mine",
        "0-Report.pdf": b"mine too",
        "0-2-report.pdf": b"theirs",
    }


async def test_attachments_of_one_name_are_all_saved_and_saving_again_changes_nothing(tmp_path: Path) -> None:
    files = (("a.pdf", b"one"), ("A.PDF", b"two"), ("a.pdf", b"one"), ("1-a.pdf", b"four"))
    names = await save(tmp_path / "out", *files)
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == [data for _, data in files]
    before = everything(tmp_path / "out")
    assert len(before) == 4
    assert await save(tmp_path / "out", *files) == names
    assert everything(tmp_path / "out") == before


async def test_links_are_neither_followed_nor_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.pdf").symlink_to(victim)
    (out / "a.pdf.part").symlink_to(victim)
    (out / "b.pdf").symlink_to(tmp_path / "nothing")
    os.mkfifo(out / "c.pdf")
    assert await save(out, ("a.pdf", b"theirs"), ("b.pdf", b"x"), ("c.pdf", b"")) == [
        "0-a.pdf",
        "1-b.pdf",
        "2-c.pdf",
    ]
    assert victim.read_bytes() == b"theirs"
    assert (out / "a.pdf").is_symlink()
    assert not (tmp_path / "nothing").exists()


async def test_whoever_takes_the_name_meanwhile_keeps_it(tmp_path: Path) -> None:
    async def fill(file: BinaryIO) -> None:
        file.write(b"theirs")
        (tmp_path / "a.pdf").write_bytes(b"mine")

    with Folder(tmp_path) as folder:
        saved = await folder.save("a.pdf", 0, fill)
    assert everything(tmp_path) == {"a.pdf": b"mine", saved.name: b"theirs"}


async def test_nothing_is_left_of_what_breaks_off(tmp_path: Path) -> None:
    async def fill(file: BinaryIO) -> None:
        file.write(b"half")
        raise ConnectionError

    with Folder(tmp_path) as folder, pytest.raises(ConnectionError):
        await folder.save("a.pdf", 0, fill)
    assert everything(tmp_path) == {}


async def test_a_file_system_without_links_gets_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    assert await save(tmp_path, ("a.pdf", b"one"), ("a.pdf", b"two")) == ["a.pdf", "1-a.pdf"]
    assert everything(tmp_path) == {"a.pdf": b"one", "1-a.pdf": b"two"}
