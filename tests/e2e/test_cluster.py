"""Two axis nodes over three NATS servers: an agency may talk to either, and nothing tells them apart."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from agencies.clock import SystemClock
from agencies.link import enrol
from axis import config, control
from axis.app import serve
from axis.app.backup import back_up, restore
from axis.app.home import give_cluster_keys, init_home, join_home, read_home, set_journal
from axis.app.serve import Running, _collect, serving
from axis.archive.blocks import ArchiveInvalid
from axis.archive.databases import copy_database
from axis.blobs.chunks import store
from axis.blobs.jetstream import JetStreamBlobs
from axis.cli import app
from axis.commands.views import audit_home
from axis.core.errors import Refusal
from axis.doctor import examine
from axis.jetstream import JetStream
from axis.journal import standing
from axis.journal.sqlite import SqliteJournal
from axis.ports import BlobMissing, OutcomeUnknown
from bench.nats import NatsCluster
from tests.support.country import LIMIT, Country


@dataclass
class Cluster:
    """Two nodes of one axis, and a country behind the first."""

    country: Country
    second: Running
    urls: tuple[str, str]

    async def join(self, code: str, *, first: int) -> None:
        """An agency that knows both nodes and tries number `first` first."""
        home = self.country.folder / code
        token = await self.country.token(code)
        urls = list(self.urls)[first:] + list(self.urls)[:first]
        await enrol.init(home, token, SystemClock(), axis=urls, api="127.0.0.1:0")
        await self.country.start(code)


@asynccontextmanager
async def two_nodes(folder: Path, nats: NatsCluster) -> AsyncIterator[Cluster]:
    await nats.ready()
    async with AsyncExitStack() as opened:
        one, two = folder / "axis", folder / "axis-2"
        await asyncio.to_thread(init_home, one, "127.0.0.1:0", "127.0.0.1:0")
        give_cluster_keys(one, nats.keys)
        set_journal(one, nats.url)
        first = await opened.enter_async_context(serving(one))
        await asyncio.to_thread(join_home, one, two, "127.0.0.1:0", "127.0.0.1:0")
        second = await opened.enter_async_context(serving(two))
        session = await opened.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT))
        )
        country = Country(folder, first, session, SystemClock())
        try:
            yield Cluster(country, second, (first.agency_url, second.agency_url))
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))


@pytest.fixture
async def cluster(tmp_path: Path, nats: NatsCluster) -> AsyncIterator[Cluster]:
    async with two_nodes(tmp_path, nats) as made:
        yield made


async def test_agencies_of_either_node_exchange_documents(cluster: Cluster) -> None:
    country = cluster.country
    await cluster.join("G22", first=0)
    await cluster.join("G14", first=1)
    small, large = b"%PDF small", bytes(range(256)) * 3000
    for sender, receiver in (("G22", "G14"), ("G14", "G22")):
        sent = await country.post(sender, {"to": [receiver], "subject": "Công văn"}, small, large)
        outcome = await country.outcome(sender, sent["document_id"])
        assert outcome["state"] == "delivered"
        await country.arrived(receiver, sent["document_id"])
        for number, content in enumerate((small, large)):
            path = f"/v1/inbox/{sent['document_id']}/attachments/{number}"
            async with country.session.get(country.nodes[receiver].api_url + path) as response:
                assert await response.read() == content

    # The nodes share the axis's keys: the first makes new ones, the second takes them from it.
    homes = (country.axis_home, country.folder / "axis-2")
    rotated = await country.operator("keys.rotate")
    files = {name: pem.decode() for name, pem in read_home(homes[0]).own.current.files.items()}
    await cluster.second.node.journal.changed(country.axis.node.journal.head().sequence - 1, LIMIT)
    assert await control.call(homes[1], "keys.take", {"files": files}) == rotated
    sent = await country.post("G14", {"to": ["G22"], "subject": "Khoá mới"})
    assert (await country.outcome("G14", sent["document_id"]))["state"] == "delivered"

    journals = [node.node.journal for node in (country.axis, cluster.second)]
    heads = await asyncio.gather(*(journal.changed(0, LIMIT) for journal in journals))
    assert heads[0] == heads[1] == journals[0].head()
    assert journals[0].peaks() == journals[1].peaks()
    reports = [await asyncio.to_thread(audit_home, home, quick=False) for home in homes]
    assert [report.problems for report in reports] == [(), ()]
    assert reports[0].root_hash == reports[1].root_hash


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for long waits shorter."""
    monkeypatch.setattr(standing, "SHORT_SECONDS", 1.0)
    monkeypatch.setattr(serve, "_PUBLISH_SECONDS", 0.5)


@pytest.mark.usefixtures("soon")
async def test_a_lost_cluster_is_made_again_beside_its_nodes(
    nats: NatsCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stream is deleted: nothing is promised, an operator reseeds, both nodes go on by themselves.

    The attachment was taken by the node that is not reseeded: it comes back as well.
    """
    country = cluster.country
    await cluster.join("G22", first=0)
    await cluster.join("G14", first=1)
    first = await country.post("G22", {"to": ["G14"], "subject": "Trước"}, bytes(200_000))
    assert (await country.outcome("G22", first["document_id"]))["state"] == "delivered"
    homes = (country.axis_home, country.folder / "axis-2")
    status = await cluster_status(homes[0])
    assert status["sound"]
    held_by = {server["name"]: server["in_reach"] for server in status["stream"]["servers"]}
    assert held_by == {"nats-1": True, "nats-2": True, "nats-3": True}

    connection = await nats.connect()
    try:
        for name in (await connection.ask("STREAM.NAMES", {}))["streams"]:
            if country.axis.node.journal.head().journal_id in name:
                await connection.ask(f"STREAM.DELETE.{name}", {})
    finally:
        await connection.close()
    for home in homes:
        async with asyncio.timeout(LIMIT):
            while "reseed" not in (await control.call(home, "node.status", {}))["doubt"]:
                await asyncio.sleep(0.1)
    assert not (await cluster_status(homes[0]))["sound"]
    said = {check.name: check for check in await asyncio.to_thread(examine, homes[0])}["cluster"]
    assert (said.ok, "reseed" in said.detail, bool(said.remedy)) == (False, True, True)
    waits = await country.post("G22", {"to": ["G14"], "subject": "Trong khi"})

    code, answer = await axis("journal", "reseed", "--home", str(homes[1]), "--json")
    assert code == 0
    assert answer["published"] == answer["last"] > 0
    assert (await country.outcome("G22", waits["document_id"]))["state"] == "delivered"
    status = await cluster_status(homes[1])
    assert status["sound"]
    # It reads attachments from the cluster, and its output is one JSON value all the same.
    code, report = await axis("audit", "--home", str(homes[1]), "--json")
    assert (code, report["problems"]) == (0, [])
    assert [node["node"].rpartition(":")[2] for node in status["nodes"]] == ["axis", "axis-2"]
    await readable(cluster.second, sha256(bytes(200_000)).digest())

    monkeypatch.setattr(JetStreamBlobs, "seed", no_room)
    with pytest.raises(Refusal) as refused:
        await control.call(homes[1], "journal.reseed", {})
    assert refused.value.name == "storage_full"


async def no_room(*_: object) -> int:
    raise OutcomeUnknown("the cluster has no room", full=True)


async def readable(node: Running, name: bytes) -> None:
    """Wait until a node can give a blob that another took."""
    assert name not in set(node.node.blobs.hashes())
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                async with node.node.blobs.open(name) as data:
                    assert sha256(b"".join([piece async for piece in data])).digest() == name
                    return
            except BlobMissing:
                await asyncio.sleep(0.1)


async def cluster_status(home: Path) -> dict[str, Any]:
    """`axis cluster status` beside the running node; exit code 1 goes with not sound."""
    code, answer = await axis("cluster", "status", "--home", str(home), "--json")
    assert code == (0 if answer["sound"] else 1)
    return answer


async def axis(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The `axis` command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "axis.cli", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode is not None
    return process.returncode, json.loads(output)


class Later(SystemClock):
    """Days on: every pin has ended."""

    def now(self) -> int:
        return super().now() + 3 * 24 * 3600 * 1000


class Behind:
    """The journal of a node that has heard of nothing since `old`, until it asks the cluster."""

    def __init__(self, old: SqliteJournal, journal: Any) -> None:
        self.reachable = False
        self._old, self._journal, self._heard = old, journal, False

    def get(self, key: str) -> bytes | None:
        answer: bytes | None = (self._journal if self._heard else self._old).get(key)
        return answer

    async def confirm(self) -> bool:
        self._heard = self.reachable and await self._journal.confirm()
        return self._heard


async def test_a_node_that_is_behind_deletes_nothing_that_others_name(cluster: Cluster) -> None:
    country, node = cluster.country, cluster.second.node
    for code in ("G22", "G14"):
        await cluster.join(code, first=0)
    await asyncio.to_thread(copy_database, node.home.journal_path, country.folder / "old.sqlite")
    content = bytes(range(256)) * 1200
    sent = await country.post("G22", {"to": ["G14"], "subject": "Công văn"}, b"%PDF small", content)
    assert (await country.outcome("G22", sent["document_id"]))["state"] == "delivered"

    old = SqliteJournal.open(country.folder / "old.sqlite", readonly=True)
    behind: Any = Behind(old, node.journal)
    for behind.reachable in (False, True):
        await _collect(replace(node, journal=behind, clock=Later()))
        for attachment in (b"%PDF small", content):
            async with node.blobs.open(sha256(attachment).digest()) as data:
                assert b"".join([chunk async for chunk in data]) == attachment
    await old.close()


SMALL, LARGE = b"%PDF small", bytes(range(256)) * 1200


async def taken_by_the_first(cluster: Cluster) -> Path:
    """The home of the second node, once the first has taken a document with two attachments."""
    country, node = cluster.country, cluster.second.node
    for code in ("G22", "G14"):
        await cluster.join(code, first=0)
    sent = await country.post("G22", {"to": ["G14"], "subject": "Công văn"}, SMALL, LARGE)
    assert (await country.outcome("G22", sent["document_id"]))["state"] == "delivered"
    await node.journal.changed(country.axis.node.journal.head().sequence - 1, LIMIT)
    assert list(node.blobs.hashes()) == []
    return country.folder / "axis-2"


def codes(home: Path, *, quick: bool) -> list[str]:
    return [problem.code for problem in audit_home(home, quick=quick).problems]


async def test_attachments_that_another_node_took_are_copied_and_audited(
    cluster: Cluster, nats: NatsCluster
) -> None:
    home, folder = await taken_by_the_first(cluster), cluster.country.folder
    about = await asyncio.to_thread(back_up, home, folder / "copy.tar")
    await asyncio.to_thread(restore, folder / "copy.tar", folder / "alone")
    assert {key.name for key in (folder / "alone/keys/cluster").iterdir()} == {"ca.pem", "tls.crt", "tls.key"}
    config.save(folder / "alone", config.load(folder / "alone").model_copy(update={"journal": ""}))
    report = await asyncio.to_thread(audit_home, folder / "alone", quick=False)
    assert (report.problems, report.head) == ((), about["head"])
    for quick in (False, True):
        assert await asyncio.to_thread(codes, home, quick=quick) == []

    # What the cluster has is hashed: another node may have written anything.
    connection = await nats.connect()
    subject = f"blobs-{about['journal_id']}.{sha256(LARGE).hexdigest()}"
    await store(connection, f"{subject}.1", bytes(131072), {"Axis-Size": str(len(LARGE)), "Axis-At": "1"})
    assert await asyncio.to_thread(codes, home, quick=False) == ["blob_mismatch"]
    with pytest.raises(ArchiveInvalid, match="damaged in the cluster"):
        await asyncio.to_thread(back_up, home, folder / "damaged.tar")
    purge = {"filter": f"{subject}.1"}
    await connection.ask(f"STREAM.PURGE.blobs-{about['journal_id']}", purge, LIMIT)
    for quick in (False, True):
        assert await asyncio.to_thread(codes, home, quick=quick) == ["blob_missing"]
    with pytest.raises(ArchiveInvalid, match=sha256(LARGE).hexdigest()):
        await asyncio.to_thread(back_up, home, folder / "lacking.tar")
    assert not list(folder.glob("*damaged.tar*")) + list(folder.glob("*lacking.tar*"))
    await connection.close()


async def test_a_cluster_that_does_not_answer_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await taken_by_the_first(cluster)
    connect = JetStream.connect

    async def soon(*arguments: Any, **more: Any) -> JetStream:
        return await connect(*arguments, **more, timeout=0.5)

    monkeypatch.setattr(JetStream, "connect", soon)
    set_journal(home, "nats://127.0.0.1:1")
    for quick in ([], ["--quick"]):
        done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "--home", str(home), *quick])
        assert (done.exit_code, done.output.count("[blobs_unreachable]: 2 attachments")) == (2, 1)
    with pytest.raises(Refusal, match="no NATS server answers"):
        await asyncio.to_thread(back_up, home, home.parent / "copy.tar")
    assert not list(home.parent.glob("*copy.tar*"))
