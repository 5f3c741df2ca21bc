"""An agency's home copied, lost, restored: nothing is lost, doubled or sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from axispb.v1 import facts_pb2, journal_pb2

from agencies import config
from agencies.app import Node
from agencies.backup import back_up, restore
from agencies.clock import SystemClock
from agencies.commands.local_node import initialise
from agencies.store.restored import is_catching_up
from axis.app.backup import restore as restore_axis
from axis.app.home import init_home
from axis.archive.blocks import ArchiveInvalid
from axis.archive.read import HomeThere, is_draft
from axis.archive.write import ArchiveExists
from axis.control import HomeLock
from tests.e2e.test_agency_exchange import until, volumes_agree
from tests.e2e.test_agency_restore import copy as copy_journal
from tests.e2e.test_agency_restore import serving_again
from tests.e2e.test_axis_backup import CHANGES, nothing_in_flight, rewritten
from tests.support.country import LIMIT, Country, country_in, free_port

LARGE = b"large " * 50_000


def now() -> int:
    return SystemClock().now()


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in ("G14", "G22"):
            await made.join(code)
            await made.start(code)
        yield made


async def copied(country: Country, code: str = "G22") -> Path:
    """A copy of a home whose node runs."""
    out = country.folder / f"{code}.tar"
    await asyncio.to_thread(back_up, country.folder / code, out, now=now(), replace=True)
    return out


async def lost(country: Country, code: str = "G22") -> None:
    await country.nodes.pop(code).stop()
    await asyncio.to_thread(shutil.rmtree, country.folder / code)


async def restored(country: Country, code: str = "G22") -> None:
    await asyncio.to_thread(restore, country.folder / f"{code}.tar", country.folder / code, now=now())
    await country.start(code)


async def sent(country: Country, sender: str, subject: str, *contents: bytes, to: str = "") -> str:
    to = to or ("G22" if sender == "G14" else "G14")
    return str((await country.post(sender, {"to": [to], "subject": subject}, *contents))["document_id"])


async def delivered(country: Country, sender: str, subject: str, *contents: bytes) -> str:
    document_id = await sent(country, sender, subject, *contents)
    assert (await country.outcome(sender, document_id))["state"] == "delivered"
    return document_id


async def inbox_of(country: Country, code: str) -> dict[str, list[str]]:
    found = (await country.json("GET", code, "/v1/inbox"))["documents"]
    return {one["document_id"]: [each["sha256"] for each in one["attachments"]] for one in found}


def hashes(*contents: bytes) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents]


async def test_a_copy_taken_beside_a_running_node_is_restored(country: Country) -> None:
    before = await delivered(country, "G14", "Đến", b"small", LARGE)
    own = await delivered(country, "G22", "Đi", b"own small", LARGE + b"own")
    copying = asyncio.create_task(copied(country))
    beside = await delivered(country, "G14", "Trong khi", b"beside")
    await copying
    late = await delivered(country, "G14", "Muộn", b"late")
    await delivered(country, "G22", "Muộn")
    paths = ("/v1/inbox", "/v1/documents")
    cursors = {path: (await country.json("GET", "G22", path))["next"] for path in paths}
    await lost(country)
    await restored(country)
    await until(lambda: caught_up(country))
    after = await delivered(country, "G14", "Sau", b"after")
    await delivered(country, "G22", "Sau")
    for path, cursor in cursors.items():
        # Where the software stands: what came since the copy once more, nothing that came later is missed.
        subjects = [
            one["subject"]
            for one in (await country.json("GET", "G22", f"{path}?after={cursor}"))["documents"]
        ]
        assert subjects[-2:] == ["Muộn", "Sau"]
    await until(lambda: volumes_are_equal(country))
    found = await inbox_of(country, "G22")
    assert found == {
        before: hashes(b"small", LARGE),
        beside: hashes(b"beside"),
        late: hashes(b"late"),
        after: hashes(b"after"),
    }
    sent_one = await country.json("GET", "G22", f"/v1/documents/{own}")
    assert (sent_one["state"], len(sent_one["attachments"])) == ("delivered", 2)
    url = f"{country.nodes['G22'].api_url}/v1/documents/{own}/attachments/1"
    async with country.session.get(url) as response:
        assert await response.read() == LARGE + b"own"
    assert await delivered(country, "G22", "Tiếp", b"goes on")


async def of_software(country: Country, code: str = "G22") -> None:
    """From now on the unit's software says what becomes of a document."""
    await country.nodes.pop(code).stop()
    settings = config.load(country.folder / code).model_copy(update={"receipt": "software"})
    config.save(country.folder / code, settings)
    await country.start(code)


async def decide(country: Country, document_id: str, outcome: str, **more: str) -> Any:
    path = f"/v1/inbox/{document_id}/receipt"
    return await country.json("POST", "G22", path, json={"outcome": outcome, "reason": "", **more})


async def waits(country: Country, subject: str) -> str:
    document_id = await sent(country, "G14", subject, subject.encode())
    await country.arrived("G22", document_id)
    return document_id


def late_receipts(country: Country) -> int:
    journal = country.axis.node.journal
    records = [
        journal_pb2.Record.FromString(raw) for frame in journal.frames(0, 1000) for raw in frame.records
    ]
    return sum(record.WhichOneof("body") == "late_receipt" for record in records)


async def test_what_the_software_has_decided_stands(country: Country) -> None:
    await of_software(country)
    old = [await waits(country, f"Cũ {n}") for n in range(3)]
    await copied(country)
    new = [await waits(country, f"Mới {n}") for n in range(3)]
    for refused, received, _ in (old, new):
        await decide(country, refused, "refused", reason="gửi nhầm")
        await decide(country, received, "received")
        assert (await country.outcome("G14", refused))["state"] == "refused"
        assert (await country.outcome("G14", received))["state"] == "delivered"
    await lost(country)
    await restored(country)
    await until(lambda: caught_up(country))
    for refused, received, waiting in (old, new):
        found = await country.json("GET", "G22", f"/v1/inbox/{refused}")
        assert (found["state"], found["deliveries"][0]["receipt"]) == ("refused", "taken")
        assert found["deliveries"][0]["reason"] == "gửi nhầm"
        assert (await country.json("GET", "G22", f"/v1/inbox/{received}"))["state"] == "received"
        assert (await country.json("GET", "G22", f"/v1/inbox/{waiting}"))["state"] == "waiting"
        await decide(country, waiting, "received")
        assert (await country.outcome("G14", waiting))["state"] == "delivered"
    await until(lambda: volumes_are_equal(country))
    assert late_receipts(country) == 0


async def said(country: Country, document_id: str, code: str, key: str, status: int = 202) -> list[str]:
    answer = await country.json(
        "POST",
        "G22",
        f"/v1/inbox/{document_id}/statuses",
        json={"code": code},
        headers={"Idempotency-Key": key},
        status=status,
    )
    assert answer.get("code") == (None if status == 202 else "idempotency_conflict")
    return [str(one["document_id"]) for one in answer.get("statuses", ())]


async def test_what_was_sent_after_the_copy_is_found_again_and_never_sent_twice(country: Country) -> None:
    came, other = [await delivered(country, "G14", "Đến") for _ in range(2)]
    before = await keyed(country, "trước", "before", b"old")
    await copied(country)
    contents = (b"own small", LARGE + b"own", b"")
    ours = await keyed(country, "một", "k1", *contents)
    (status,) = await said(country, came, "01", "s1")
    for document_id in (before, ours):
        assert (await country.outcome("G22", document_id))["state"] == "delivered"
    await until(lambda: accepted_status(country, status))
    at_the_axis = accepted_by(country, "G22")
    inbox = await inbox_of(country, "G14")
    await lost(country)
    await restored(country)
    # Whoever did not hear the answer asks again with its key: the same document, not another one.
    await until(lambda: caught_up(country))
    assert await keyed(country, "một", "k1", *contents) == ours
    assert await keyed(country, "trước", "before", b"old") == before
    assert await said(country, other, "01", "s1", status=422) == []
    assert await said(country, came, "01", "s1") == [status]
    for request, files in (("hai", contents), ("một", (b"other",))):
        await keyed(country, request, "k1", *files, status=422)
    found = await country.json("GET", "G22", f"/v1/documents/{ours}")
    assert (found["state"], found["subject"]) == ("delivered", "một")
    await until(lambda: contents_are(country, ours, *contents))
    after = await keyed(country, "một", "k2", b"new")
    assert (await country.outcome("G22", after))["state"] == "delivered"
    await until(lambda: volumes_are_equal(country))
    assert len(accepted_by(country, "G22")) == len(at_the_axis) + 1
    assert len(await inbox_of(country, "G14")) == len(inbox) + 1


async def keyed(country: Country, subject: str, key: str, *contents: bytes, status: int = 202) -> str:
    headers, request = {"Idempotency-Key": key}, {"to": ["G14"], "subject": subject}
    answer = await country.post("G22", request, *contents, headers=headers, status=status)
    assert answer.get("code") == (None if status == 202 else "idempotency_conflict")
    return str(answer.get("document_id"))


def accepted_by(country: Country, code: str) -> list[str]:
    """Ids of all that the axis accepted from an organisation."""
    rows = country.axis.node.journal.facts("document/", limit=10_000)
    facts = [(key.removeprefix("document/"), facts_pb2.DocumentFact.FromString(raw)) for key, raw, _ in rows]
    return [document_id for document_id, fact in facts if fact.sender_host == code]


async def accepted_status(country: Country, document_id: str) -> bool:
    return document_id in accepted_by(country, "G22")


async def contents_are(country: Country, document_id: str, *contents: bytes) -> bool:
    for number, content in enumerate(contents):
        url = f"{country.nodes['G22'].api_url}/v1/documents/{document_id}/attachments/{number}"
        async with country.session.get(url) as response:
            if response.status != 200 or await response.read() != content:
                return False
    return True


async def test_a_home_copied_by_hand_takes_over_what_the_axis_answers(country: Country) -> None:
    """A snapshot of the machine, say: nothing tells the node that it is an older one."""
    await of_software(country)
    refused, received, closed = [await waits(country, f"{n}") for n in range(3)]
    home, copy = country.folder / "G22", country.folder / "copy"
    await country.nodes.pop("G22").stop()
    await asyncio.to_thread(shutil.copytree, home, copy)
    await country.start("G22")
    await decide(country, refused, "refused", reason="gửi nhầm")
    await decide(country, received, "received")
    await country.outcome("G14", received)
    await country.outcome("G14", refused)
    await lost(country)
    await country.operator("document.close", document_id=closed, to="G22", reason="đóng")
    await asyncio.to_thread(shutil.copytree, copy, home)
    await country.start("G22")
    await decide(country, refused, "received")
    await decide(country, received, "received")
    await until(lambda: volumes_are_equal(country))
    found = await country.json("GET", "G22", f"/v1/inbox/{refused}")
    assert (found["state"], found["deliveries"][0]["reason"]) == ("refused", "gửi nhầm")
    assert late_receipts(country) == 2, "kept as evidence, once each, not counted"


async def test_keys_replaced_after_the_copy_are_named(country: Country) -> None:
    await copied(country)
    home = country.folder / "G22"
    await initialise(home, (await country.operator("org.token", code="G22"))["token"], (), None)
    came, ours = await delivered(country, "G14", "Khóa mới"), await delivered(country, "G22", "Ký mới")
    await lost(country)
    await restored(country)
    # The old keys still count: what the new ones signed is found, and somebody is told.
    await until(lambda: caught_up(country))
    assert (await country.json("GET", "G22", f"/v1/inbox/{came}"))["state"] == "received"
    assert (await country.json("GET", "G22", f"/v1/documents/{ours}"))["state"] == "delivered"
    await until(lambda: volumes_are_equal(country))
    assert late_receipts(country) == 0
    assert (await country.json("GET", "G22", "/v1/node"))["axis"]["keys_replaced"]
    alarms = [e.data["what"] for e in country.nodes["G22"].parts.events.after(0) if e.name == "alarm"]
    assert set(alarms) == {"keys_replaced"}
    # Once they are revoked the axis answers nothing else, and the node says what is to be done.
    for one in (await country.operator("cert.list"))["certificates"]:
        if one["org"] == "G22":
            await country.operator("cert.revoke", serial=one["serial"], reason="superseded")
    await until(lambda: in_trouble(country, "keys_replaced"))
    await initialise(home, (await country.operator("org.token", code="G22"))["token"], (), None)
    await until(lambda: in_trouble(country, ""))
    assert await delivered(country, "G22", "Lại ký")
    assert not (await country.json("GET", "G22", "/v1/node"))["axis"]["keys_replaced"]


async def in_trouble(country: Country, code: str) -> bool:
    return bool((await country.json("GET", "G22", "/v1/node"))["axis"]["trouble"] == code)


async def test_both_restored_from_older_copies_come_to_the_same(tmp_path: Path) -> None:
    """The axis's copy is the older one: what it lacks the nodes offer again, what they lack they find."""
    await asyncio.to_thread(init_home, tmp_path / "axis", f"127.0.0.1:{free_port()}", "127.0.0.1:0")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session:
        country: Any = Country(tmp_path, None, session, SystemClock())  # type: ignore[arg-type]
        try:
            await both_restored(country)
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))


async def both_restored(country: Country) -> None:
    async with serving_again(country):
        for code in ("G14", "G22"):
            await country.join(code)
            await country.start(code)
        first = await delivered(country, "G14", "Một", b"one")
    copy_journal(country.axis_home, country.folder / "copy")
    async with serving_again(country):
        second = await delivered(country, "G14", "Hai", b"two")
        third = await delivered(country, "G22", "Ba", b"three", LARGE)
        (status,) = await said(country, second, "03", "s")
        await until(lambda: accepted_status(country, status))
        before = {code: await inbox_of(country, code) for code in ("G14", "G22")}
        await copied(country)
        lately = await delivered(country, "G14", "Bốn", b"four")
        await lost(country)
        await country.nodes.pop("G14").stop()
    copy_journal(country.folder / "copy", country.axis_home)
    async with serving_again(country):
        assert status not in accepted_by(country, "G22")
        await restored(country)
        # A status whose document its sender has not offered again yet waits for that.
        await until(lambda: refused_for_now(country, status, "document_unknown"))
        await country.start("G14")
        ids = {first, second, third, status, lately}
        await until(lambda: all_accepted(country, ids))
        await until(lambda: caught_up(country))
        await until(lambda: nothing_in_flight(country))
        await until(lambda: volumes_are_equal(country))
        assert set(accepted_by(country, "G14") + accepted_by(country, "G22")) == ids
        found = {code: await inbox_of(country, code) for code in ("G14", "G22")}
        assert found["G14"] == before["G14"]
        assert found["G22"] == before["G22"] | {lately: hashes(b"four")}


async def refused_for_now(country: Country, document_id: str, code: str) -> bool:
    query = "SELECT state, code FROM sent WHERE document_id = ?"
    row = country.nodes["G22"].parts.store.row(query, document_id)
    return row is not None and (row["state"], row["code"]) == ("queued", code)


async def all_accepted(country: Country, ids: set[str]) -> bool:
    return ids <= set(accepted_by(country, "G14") + accepted_by(country, "G22"))


async def caught_up(country: Country, code: str = "G22") -> bool:
    return not is_catching_up(country.nodes[code].parts.store)


async def volumes_are_equal(country: Country) -> bool:
    try:
        await volumes_agree(country)
    except AssertionError:
        return False
    return True


# --- the file itself, without an axis


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was served once, and is not now."""
    folder = tmp_path_factory.mktemp("agency")

    async def make() -> None:
        async with country_in(folder) as made:
            for code in ("G14", "G22"):
                await made.join(code)
                await made.start(code)
            await delivered(made, "G14", "Đến", b"small", LARGE)

    asyncio.run(make())
    return folder / "G22"


def agency(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agencies.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_the_commands(home: Path, tmp_path: Path) -> None:
    out, new = str(tmp_path / "a.tar"), str(tmp_path / "new")
    made = json.loads(agency("backup", "--home", str(home), "--out", out, "--json").stdout)
    assert (made["code"], made["received"], made["contents_lacking"]) == ("G22", 1, 0)
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    assert "is there already" in agency("backup", "--home", str(home), "--out", out, status=2).stderr
    assert json.loads(agency("restore", out, "--home", new, "--json").stdout)["head"] == made["head"]
    assert "is there already" in agency("restore", out, "--home", str(home), status=2).stderr


async def test_before_it_has_caught_up_a_node_decides_nothing(home: Path, tmp_path: Path) -> None:
    """Its axis is out of reach."""
    back_up(home, tmp_path / "a.tar", now=now())
    restore(tmp_path / "a.tar", tmp_path / "new", now=now())
    async with (
        Node(tmp_path / "new") as node,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
    ):
        country: Any = Country(tmp_path, None, session, SystemClock(), {"G22": node})  # type: ignore[arg-type]
        assert (await country.json("GET", "G22", "/v1/node"))["axis"]["catching_up"]
        ((document_id, _),) = (await inbox_of(country, "G22")).items()
        request, key = {"to": ["G14"], "subject": "?"}, {"Idempotency-Key": "k"}
        refused = await country.post("G22", request, b"?", headers=key, status=503)
        assert (refused["code"], refused["temporary"], refused["retry_after"]) == ("catching_up", True, 2)
        decision = {"outcome": "received", "reason": ""}
        path = f"/v1/inbox/{document_id}/receipt"
        refused = await country.json("POST", "G22", path, json=decision, status=503)
        assert refused["code"] == "catching_up"
        refused = await country.json(
            "POST", "G22", f"/v1/inbox/{document_id}/statuses", json={"code": "01"}, headers=key, status=503
        )
        assert refused["code"] == "catching_up"
        # Without a key it cannot have been handed in before.
        assert (await country.post("G22", request, b"?"))["state"] == "queued"


def test_a_restore_that_breaks_off_leaves_nothing_that_starts(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar", now=now())
    for syncs in range(1, 100, 3):
        new = tmp_path / f"new {syncs}"
        if not killed_at_sync(syncs, tmp_path / "a.tar", new):
            break
        if new.exists():  # the name's own sync was still to come
            assert not list(tmp_path.glob(f".new {syncs}.restore-*"))
            verify_whole(new)
            continue
        (draft,) = tmp_path.glob(f".new {syncs}.restore-*")
        if is_draft(draft) or not (draft / "agency.toml").exists():
            with pytest.raises(config.ConfigError):
                asyncio.run(started(draft))
        else:
            verify_whole(draft)
    assert syncs > 8
    verify_whole(new)  # the last one lived


def killed_at_sync(number: int, archive: Path, new: Path) -> bool:
    """Restore in a process that dies, as by kill -9, at its n-th fsync; whether it came so far."""
    child = os.fork()
    if child == 0:
        left, sync = number, os.fsync

        def dying(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)
            sync(descriptor)

        os.fsync = dying
        try:
            restore(archive, new, now=now())
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


async def started(home: Path) -> None:
    async with Node(home, online=False):
        pass


def verify_whole(home: Path) -> None:
    asyncio.run(started(home))
    with contextlib.closing(sqlite3.connect(home / "agency.sqlite")) as store:
        assert store.execute("SELECT value FROM setting WHERE name = 'catching_up'").fetchone() == ("1",)
        assert store.execute("SELECT count(*) FROM received").fetchone() == (1,)


def test_a_home_in_use_is_not_written_over(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar", now=now())
    with HomeLock(home), pytest.raises(HomeThere):
        restore(tmp_path / "a.tar", home, now=now())


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("another head", "another root")])
def test_a_changed_copy_makes_no_home(home: Path, tmp_path: Path, name: str) -> None:
    back_up(home, tmp_path / "good.tar", now=1)
    keys_member = "keys/current"

    def change(member: str, content: bytes) -> Any:
        # The cases are written for an axis's members.
        known = {keys_member: "keys/tls.crt", "agency.toml": "axis.toml"}
        back = {one: other for other, one in known.items()}
        changed = CHANGES[name](known.get(member, member), content)
        return [(back.get(one, one), data, kind) for one, data, kind in changed]

    bad = rewritten(tmp_path / "good.tar", tmp_path / "bad.tar", change)
    with pytest.raises(ArchiveInvalid):
        restore(bad, tmp_path / "new", now=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "good.tar"]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_a_cut_copy_makes_no_home(home: Path, tmp_path: Path, part: float) -> None:
    back_up(home, tmp_path / "whole.tar", now=1)
    whole = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ArchiveInvalid):
        restore(tmp_path / "cut.tar", tmp_path / "new", now=1)
    assert not (tmp_path / "new").exists()


def test_nothing_that_is_there_is_replaced(home: Path, tmp_path: Path) -> None:
    back_up(home, tmp_path / "a.tar", now=1)
    with pytest.raises(ArchiveExists):
        back_up(home, tmp_path / "a.tar", now=1)
    (tmp_path / "new").mkdir()
    with pytest.raises(HomeThere):
        restore(tmp_path / "a.tar", tmp_path / "new", now=1)
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ArchiveInvalid, match="does not belong"):
        restore_axis(tmp_path / "a.tar", tmp_path / "axis")


def test_a_home_that_never_ran_is_copied_too(home: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copytree(home / "keys", fresh / "keys")
    config.save(fresh, config.load(home))
    assert back_up(fresh, tmp_path / "a.tar", now=1)["head"] == ""
    restore(tmp_path / "a.tar", tmp_path / "new", now=1)
    assert config.load(tmp_path / "new").code == "G22"
