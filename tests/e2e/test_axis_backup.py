"""An axis copied beside traffic, lost, and restored: the nodes notice, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agencies.clock import SystemClock
from axis.app.backup import back_up, restore
from axis.app.home import init_home
from axis.archive.blocks import ArchiveInvalid
from axis.archive.read import HomeThere
from axis.archive.write import ArchiveExists
from tests.e2e.test_agency_exchange import LIMIT, Country, until, volumes_agree
from tests.e2e.test_agency_restore import serving_again
from tests.support.country import free_port

LARGE = b"large " * 50_000


async def sent(country: Any, subject: str, content: bytes) -> str:
    queued = await country.post("G14", {"to": ["G22"], "subject": subject}, content)
    document_id = str(queued["document_id"])
    assert (await country.outcome("G14", document_id))["state"] == "delivered"
    return document_id


async def test_a_copy_taken_beside_a_running_node_is_restored_and_nothing_is_lost(tmp_path: Path) -> None:
    await asyncio.to_thread(init_home, tmp_path / "axis", f"127.0.0.1:{free_port()}", "127.0.0.1:0")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
        country: Any = Country(tmp_path, None, session, SystemClock())  # type: ignore[arg-type]
        try:
            await lose_and_restore(country, tmp_path / "axis.tar")
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))


async def lose_and_restore(country: Any, copy: Path) -> None:
    contents = {f"{n}": (LARGE if n % 2 else b"small ") + b"%d" % n for n in range(6)}
    ids = {}
    async with serving_again(country):
        for code in ("G14", "G22"):
            await country.join(code)
            await country.start(code)
        for subject in ("0", "1"):
            ids[subject] = await sent(country, subject, contents[subject])
        # Beside the running node, while documents go through it.
        copying = asyncio.create_task(
            asyncio.to_thread(back_up, country.axis_home, copy, with_authority=True)
        )
        for subject in ("2", "3"):
            ids[subject] = await sent(country, subject, contents[subject])
        about = await copying
        for subject in ("4", "5"):
            ids[subject] = await sent(country, subject, contents[subject])
    assert copy.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(country.axis_home)
    assert (await asyncio.to_thread(restore, copy, country.axis_home))["head"] == about["head"]
    async with serving_again(country):
        restored = country.axis.node.journal
        await until(lambda: accepted_by(restored, ids.values()))
        for document_id in ids.values():
            assert (await country.outcome("G14", document_id))["state"] == "delivered"
        await until(lambda: nothing_in_flight(country))
        await volumes_agree(country)
        inbox = (await country.json("GET", "G22", "/v1/inbox"))["documents"]
        assert sorted(one["document_id"] for one in inbox) == sorted(ids.values())
        assert {one["attachments"][0]["sha256"] for one in inbox} == {
            hashlib.sha256(content).hexdigest() for content in contents.values()
        }
        # The authority came along: another unit can join.
        await country.join("H26")
    done = await asyncio.to_thread(axis, "audit", "--home", str(country.axis_home), "--json")
    assert json.loads(done.stdout)["problems"] == []


def axis(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "axis.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done


async def accepted_by(journal: Any, ids: Any) -> bool:
    return all(journal.key(f"accepted/{one}") for one in ids)


async def nothing_in_flight(country: Any) -> bool:
    return (await country.operator("node.status"))["in_flight"] == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backup") / "axis"
    init_home(made, "127.0.0.1:0", "127.0.0.1:0")
    (made / "blobs").mkdir()
    return opened(made)


def opened(home: Path) -> Path:
    from axis.blobs.files import FileBlobs

    asyncio.run(FileBlobs.open_root(home / "blobs").close())
    return home


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """The archive with its members changed by `change`: (name, bytes) → what to write instead of it."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as new:
        for info in old:
            content = old.extractfile(info).read()  # type: ignore[union-attr]
            for name, data, kind in change(info.name, content):
                made = tarfile.TarInfo(name)
                made.type, made.size = kind, len(data) if kind == tarfile.REGTYPE else 0
                made.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
                new.addfile(made, io.BytesIO(data))
    return target


PLAIN = tarfile.REGTYPE
CHANGES: dict[str, Any] = {
    "a changed byte": lambda n, c: [(n, c[:-1] + bytes([c[-1] ^ 1]) if n == "keys/tls.crt" else c, PLAIN)],
    "a missing member": lambda n, c: [] if n == "keys/tls.crt" else [(n, c, PLAIN)],
    "a member more": lambda n, c: (
        [(n, c, PLAIN)] + ([("keys/x.pem", b"", PLAIN)] if n == "axis.toml" else [])
    ),
    "a member twice": lambda n, c: [(n, c, PLAIN)] * (1 + (n == "axis.toml")),
    "a way out": lambda n, c: [("../x" if n == "axis.toml" else n, c, PLAIN)],
    "an absolute name": lambda n, c: [("/tmp/x" if n == "axis.toml" else n, c, PLAIN)],
    "a link": lambda n, c: [(n, c, tarfile.SYMTYPE if n == "axis.toml" else PLAIN)],
    "a hard link": lambda n, c: [(n, c, tarfile.LNKTYPE if n == "axis.toml" else PLAIN)],
    "a long name": lambda n, c: [("keys/" + "x" * 200 if n == "keys/tls.crt" else n, c, PLAIN)],
    "a foreign file": lambda n, c: [("lock" if n == "axis.toml" else n, c, PLAIN)],
    "no manifest": lambda n, c: [] if n == "manifest.jsonl" else [(n, c, PLAIN)],
    "more behind the manifest": lambda n, c: (
        [(n, c, PLAIN)] + ([("keys/x.pem", b"", PLAIN)] if n == "manifest.jsonl" else [])
    ),
    "another head": lambda n, c: [(n, other_head(c) if n == "manifest.jsonl" else c, PLAIN)],
    "another root": lambda n, c: [(n, other_root(c) if n == "manifest.jsonl" else c, PLAIN)],
}


def changed_about(manifest: bytes, **changes: str) -> bytes:
    first, _, rest = manifest.partition(b"\n")
    return json.dumps(json.loads(first) | changes).encode() + b"\n" + rest


def other_head(manifest: bytes) -> bytes:
    return changed_about(manifest, head="x:1:" + "0" * 64)


def other_root(manifest: bytes) -> bytes:
    return changed_about(manifest, root_hash="0" * 64)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_makes_no_home(home: Path, tmp_path: Path, name: str) -> None:
    back_up(home, tmp_path / "good.tar")
    bad = rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", CHANGES[name])
    with pytest.raises(ArchiveInvalid):
        restore(bad, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "good.tar"]
    same = rewritten(tmp_path / "good.tar", tmp_path / "same.tar", lambda n, c: [(n, c, PLAIN)])
    restore(same, tmp_path / "new")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_a_cut_copy_makes_no_home(home: Path, tmp_path: Path, part: float) -> None:
    back_up(home, tmp_path / "whole.tar")
    whole = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ArchiveInvalid):
        restore(tmp_path / "cut.tar", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_that_is_there_is_replaced(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar")
    before = (tmp_path / "a.tar").read_bytes()
    with pytest.raises(ArchiveExists):
        back_up(home, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == before
    (tmp_path / "new").mkdir()
    with pytest.raises(HomeThere):
        restore(tmp_path / "a.tar", tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_the_authority_comes_along_only_where_it_is_asked_for(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "without.tar")
    back_up(home, tmp_path / "with.tar", with_authority=True)
    found = {}
    for name in ("without", "with"):
        with tarfile.open(tmp_path / f"{name}.tar") as archive:
            found[name] = {member for member in archive.getnames() if member.startswith("pki/")}
    assert found["without"] == set()
    assert {"pki/root.key", "pki/issuing.key", "pki/issued.sqlite"} <= found["with"]


def test_the_commands(home: Path, tmp_path: Path) -> None:
    copy, new = str(tmp_path / "a.tar"), str(tmp_path / "new")
    made = json.loads(axis("backup", "--home", str(home), "--out", copy, "--json").stdout)
    assert "there already" in axis("backup", "--home", str(home), "--out", copy, status=2).stderr
    assert "NOT in it" in axis("backup", "--home", str(home), "--out", copy, "--force").stderr
    assert "head_unknown" in axis("restore", copy, "--home", new).stderr
    audited = json.loads(axis("audit", "--home", new, "--json").stdout)
    assert (audited["root_hash"], audited["problems"]) == (made["root_hash"], [])
