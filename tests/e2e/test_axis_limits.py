"""What a client may not do to the node, and what the node still promises when it cannot do its work."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
import pytest_asyncio
from axispb.v1 import api_pb2
from structlog.testing import capture_logs

from axis.app.node import Node, open_home
from axis.app.serve import _every
from axis.control import HomeBusy
from axis.http import streams
from axis.ports import StorageFull
from tests.e2e.test_axis_bad_input import self_signed
from tests.support.flow import HandClock
from tests.support.wire import AxisNode, axis_node, call, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDLE = 0.5

Connect = Callable[
    [AxisNode, ssl.SSLContext | None], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def axis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AxisNode]:
    folder = tmp_path_factory.mktemp("limits")
    async with axis_node(folder, idle_seconds=IDLE, handshake_seconds=IDLE, concurrent_uploads=4) as node:
        yield node


class TestTls:
    """What TLS itself refuses: an alert for the client, one event for the operator."""

    async def test_without_a_certificate_the_answer_is_coded(self, axis: AxisNode) -> None:
        for method, path in (
            ("GET", "/v1/feed"),
            ("POST", "/v1/envelopes"),
            ("PUT", f"/v1/blobs/{'0' * 64}"),
        ):
            answer = await axis.stranger.call(method, path)
            assert answer.code == "certificate_unknown"
        assert (await axis.stranger.get("/v1/enrol")).message(api_pb2.Trust).axis_id == axis.axis_id

    async def refused_handshake(self, axis: AxisNode, context: ssl.SSLContext) -> list[str]:
        """Try to ask something; the events of the refusal."""
        with capture_logs() as logs:
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(axis.running.agency_url, connector=connector) as session:
                with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
                    # Not GET: aiohttp tries that twice.
                    await call(session, "POST", "/v1/receipts", None, {})
        return [str(event["event"]) for event in logs]

    async def test_another_authoritys_certificate(self, axis: AxisNode) -> None:
        file = self_signed("G22").write(axis.folder / "foreign.pem.tmp")
        assert await self.refused_handshake(axis, axis.context(file)) == ["tls_refused"]

    async def test_a_signing_certificate(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        file = organisation.sign.write(axis.folder / "signing.pem.tmp")
        assert await self.refused_handshake(axis, axis.context(file)) == ["tls_refused"]

    async def test_tls_1_2(self, axis: AxisNode) -> None:
        context = axis.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await self.refused_handshake(axis, context) == ["tls_refused"]

    async def test_a_revoked_certificate_is_refused_on_an_open_connection(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        assert (await organisation.get("/v1/directory")).status == 200
        await axis.registry.revoke(organisation.tls.serial, "superseded")
        assert (await organisation.get("/v1/directory")).code == "certificate_revoked"

    async def test_a_new_token_brings_a_revoked_organisation_back(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        await axis.registry.revoke(organisation.tls.serial, "superseded")
        organisation.tls, organisation.sign = type(organisation.tls).new(), type(organisation.sign).new()
        token = (await axis.registry.token(organisation.code))["token"]
        assert (await organisation.enrol(token)).status == 200
        assert (await organisation.get("/v1/directory")).status == 200

    async def test_the_axis_is_no_organisation(self, axis: AxisNode) -> None:
        keys = axis.running.node.home.keys_path
        context = axis.context()
        context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(axis.running.agency_url, connector=connector) as session:
            assert (await call(session, "GET", "/v1/feed", None, {})).code == "sender_not_registered"


class TestPolls:
    """Long polls end when they should."""

    @pytest.mark.parametrize("event", ["suspend", "revoke"])
    async def test_suspension_and_revocation_close_open_polls(self, axis: AxisNode, event: str) -> None:
        organisation = await axis.organisation()
        page = await organisation.feed()
        path = f"/v1/feed?normal_after={page.normal_next}&wait=30"
        poll = asyncio.create_task(organisation.get(path))
        await until(lambda: axis.running.node.feed.waiting == 1)
        if event == "suspend":
            await axis.registry.suspend(organisation.code)
        else:
            await axis.registry.revoke(organisation.tls.serial, "keyCompromise")
        answer = await asyncio.wait_for(poll, 20)
        assert answer.code == {"suspend": "sender_suspended", "revoke": "certificate_revoked"}[event]

    async def test_a_document_ends_the_wait(self, axis: AxisNode) -> None:
        sender, receiver = await axis.organisation(), await axis.organisation()
        page = await receiver.feed()
        poll = asyncio.create_task(receiver.feed(wait=30, normal_after=page.normal_next))
        await until(lambda: axis.running.node.feed.waiting == 1)
        sent = await sender.send(receiver.code)
        items = (await asyncio.wait_for(poll, 20)).items
        assert [item.sequence for item in items] == [sent.sequence]

    async def test_a_directory_change_ends_the_wait(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        page = await organisation.feed()
        known = page.directory_sequence
        poll = asyncio.create_task(organisation.feed(wait=30, normal_after=page.normal_next, directory=known))
        await until(lambda: axis.running.node.feed.waiting == 1)
        await axis.unit()
        page = await asyncio.wait_for(poll, 20)
        assert not page.items
        assert page.directory_sequence > known

    async def test_a_wait_without_news_ends_empty(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        page = await organisation.feed()
        page = await asyncio.wait_for(organisation.feed(wait=1, normal_after=page.normal_next), 5)
        assert not page.items


class TestSlowClients:
    """Nobody holds a connection by doing nothing."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def connect(self) -> AsyncIterator[Connect]:
        """Open raw connections; they are gone when the test ends."""
        writers = []

        async def connect(
            axis: AxisNode, context: ssl.SSLContext | None
        ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            host, port = axis.running.agency_url.removeprefix("https://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writers.append(writer)
            return reader, writer

        yield connect
        for writer in writers:
            writer.transport.abort()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def test_no_handshake(self, axis: AxisNode, connect: Connect) -> None:
        reader, _ = await connect(axis, None)
        assert await asyncio.wait_for(gone(reader), 30)

    async def test_headers_that_do_not_end(self, axis: AxisNode, connect: Connect) -> None:
        reader, writer = await connect(axis, axis.context())
        writer.write(b"GET /v1/enrol HTTP/1.1\r\nHost: axis\r\nX-Slow: ")
        assert await asyncio.wait_for(gone(reader), 30)

    async def test_a_body_that_stalls(self, axis: AxisNode, connect: Connect) -> None:
        organisation = await axis.organisation()
        context = axis.context(organisation.tls.write(axis.folder / "stall.pem.tmp"))
        reader, writer = await connect(axis, context)
        name = "ab" * 32
        writer.write(
            f"PUT /v1/blobs/{name} HTTP/1.1\r\nHost: axis\r\nContent-Length: 1000000\r\n\r\n".encode()
            + b"x" * 10
        )
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert b" 503 " in answer.splitlines()[0]
        assert axis.running.node.blobs.size(bytes.fromhex(name)) is None
        assert not list((axis.running.node.home.blobs_path / "tmp").iterdir())

    async def test_a_client_that_breaks_off_leaves_nothing(self, axis: AxisNode, connect: Connect) -> None:
        organisation = await axis.organisation()
        context = axis.context(organisation.tls.write(axis.folder / "break.pem.tmp"))
        _, writer = await connect(axis, context)
        name = "cd" * 32
        writer.write(
            f"PUT /v1/blobs/{name} HTTP/1.1\r\nHost: axis\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        writer.write(b"x" * 500_000)
        await writer.drain()
        writer.transport.abort()
        folder = axis.running.node.home.blobs_path / "tmp"
        await until(lambda: not list(folder.iterdir()))
        assert axis.running.node.blobs.size(bytes.fromhex(name)) is None

    async def test_a_client_that_does_not_read(self, axis: AxisNode, connect: Connect) -> None:
        organisation = await axis.organisation()
        content = bytes(64 * 1024 * 1024)
        sent = await organisation.send(organisation.code, files=(content,))
        context = axis.context(organisation.tls.write(axis.folder / "deaf.pem.tmp"))
        reader, writer = await connect(axis, context)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with capture_logs() as logs:
            path = f"/v1/documents/{sent.document_id}/attachments/0"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: axis\r\n\r\n".encode())
            await until(lambda: [event for event in logs if event["event"] == "client_gone"])
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        with suppress(ConnectionError, ssl.SSLError):
            while chunk := await reader.read(1024 * 1024):
                received += len(chunk)
        assert received < len(content)

    async def test_an_upload_needs_its_length(self, axis: AxisNode, connect: Connect) -> None:
        organisation = await axis.organisation()
        assert organisation.session is not None

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x"

        async with organisation.session.put(f"/v1/blobs/{'ab' * 32}", data=pieces()) as answer:
            assert (await answer.json(content_type=None))["code"] == "field_invalid"
        headers = {"Content_Length": str(3 * 1024**3), "Expect": "100-continue"}
        context = axis.context(organisation.tls.write(axis.folder / "huge.pem.tmp"))
        reader, writer = await connect(axis, context)
        lines = [f"PUT /v1/blobs/{'ab' * 32} HTTP/1.1", "Host: axis"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answered = await asyncio.wait_for(reader.readuntil(b"413"), 30)
        assert b"200" not in answered

    async def test_connections_are_bounded(
        self, tmp_path_factory: pytest.TempPathFactory, connect: Connect
    ) -> None:
        async with axis_node(tmp_path_factory.mktemp("full"), connections=2) as axis:
            organisation = await axis.organisation()
            await axis.stranger.disconnect()
            await organisation.disconnect()
            context = axis.context(organisation.tls.write(axis.folder / "bounded.pem.tmp"))
            held = [await connect(axis, axis.context()) for _ in range(2)]
            await connect(axis, context)
            ended = [asyncio.create_task(gone(reader)) for reader, _ in held]
            await asyncio.wait_for(asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED), 30)
            # Strangers make room, agencies do not.
            await connect(axis, context)
            assert all(await asyncio.wait_for(asyncio.gather(*ended), 30))
            reader, _ = await connect(axis, context)
            assert await asyncio.wait_for(gone(reader), 30)

    async def test_a_body_that_trickles(
        self, axis: AxisNode, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never idle for long, and never done."""
        monkeypatch.setattr(streams, "_BODY_SECONDS", 1.0)
        reader, writer = await connect(axis, axis.context())
        writer.write(b"POST /v1/enrol HTTP/1.1\r\nHost: axis\r\nContent-Length: 1000\r\n\r\n")
        answer = asyncio.create_task(reader.readuntil(b"the body took over"))
        async with asyncio.timeout(30):
            while not answer.done():
                writer.write(b"x")
                await asyncio.wait([answer], timeout=IDLE / 5)
        assert b" 503 " in answer.result()

    async def test_uploads_at_a_time_are_bounded(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            started.set()
            await go_on.wait()
            yield b"y"

        async def upload() -> int:
            assert organisation.session is not None
            headers = {"Content-Length": "100001"}
            async with organisation.session.put(
                f"/v1/blobs/{'ef' * 32}", data=slowly(), headers=headers
            ) as a:
                return a.status

        first = asyncio.create_task(upload())
        await started.wait()
        second = await organisation.upload(b"one too many for one organisation")
        assert (second.status, second.code) == (429, "rate_limited")
        assert int(second.headers["Retry-After"]) >= 1
        go_on.set()
        assert await first == 422, "other bytes than named"


class TestFull:
    """No room: nothing is promised that is not durable."""

    async def test_the_journal_is_full(self, axis: AxisNode) -> None:
        sender, receiver = await axis.organisation(), await axis.organisation()
        node = axis.running.node
        document = sender.document(receiver.code)
        document.fields.content = "x" * 200_000
        with full_journal(node.journal):
            before = node.journal.head()
            answer = await sender.submit(document)
            assert (answer.status, answer.code) == (507, "storage_full")
            assert answer.problem["temporary"]
            assert int(answer.headers["Retry-After"]) > 0
            assert node.journal.head() == before
            assert (await receiver.feed()).normal_next < before.sequence
        sent = await sender.submit(document)
        assert sent.status == 201, "the same document again, once there is room"

    async def test_no_room_for_the_contents_of_a_batch(self, axis: AxisNode) -> None:
        sender, receiver = await axis.organisation(), await axis.organisation()
        one = sender.submission(receiver.code, files=tuple(os.urandom(60_000) for _ in range(20)))
        batch = api_pb2.SubmissionBatch(submissions=[one])
        with file_size_limit(1_000_000):
            answer = await sender.post("/v1/submissions", batch)
        assert (answer.status, answer.code) == (507, "storage_full")
        assert not [item for item in (await receiver.feed()).items if item.event == "accepted"]
        (again,) = await sender.hand_in(one)
        assert again.code == ""

    async def test_no_room_for_a_blob(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        content = b"z" * 3_000_000
        with file_size_limit(1_000_000):
            answer = await organisation.upload(content)
        assert (answer.status, answer.code) == (507, "storage_full")
        assert "Retry-After" in answer.headers
        asked = api_pb2.BlobList(sha256=[hashlib.sha256(content).digest()])
        assert not (await organisation.post("/v1/blobs/have", asked)).message(api_pb2.BlobList).sha256
        assert (await organisation.upload(content)).status == 201


class TestLife:
    """Starting and stopping."""

    async def test_a_second_node_on_the_same_home_is_refused(self, axis: AxisNode) -> None:
        home = axis.running.node.home.path
        with pytest.raises(HomeBusy):
            async with open_home(home):
                pass
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "axis.cli", "serve", "--home", str(home)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 2
        assert b"in use" in errors
        assert not output

    async def test_a_stop_ends_polls_and_keeps_everything(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("stop")
        async with axis_node(folder) as axis:
            sender, receiver = await axis.organisation(), await axis.organisation()
            sent = await sender.send(receiver.code, files=(b"content",))
            page = await receiver.feed()
            poll = asyncio.create_task(receiver.get(f"/v1/feed?normal_after={page.normal_next}&wait=30"))
            await until(lambda: axis.running.node.feed.waiting == 1)
            head = axis.running.node.journal.head()
            axis.organisations.remove(receiver)  # its connections outlive the node
        assert (await poll).code == "shutting_down"
        await receiver.disconnect()
        async with served(folder / "axis") as axis:
            node = axis.running.node
            assert node.journal.head() == head
            again = type(sender)(axis, sender.code, sender.tls, sender.sign)
            axis.organisations.append(again)
            await again.connect()
            answer = await again.submit(sent.envelope)
            assert answer.status == 200
            assert answer.message(api_pb2.SubmitResponse).sequence == sent.sequence

    async def test_a_restored_journal_gets_the_issuers_list(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """The journal is of before an enrolment: the certificate and its revocation come back."""
        folder = tmp_path_factory.mktemp("restore")
        home: Path = folder / "axis"
        async with axis_node(folder) as axis:
            await axis.unit("G22")
        copy = {p.name: p.read_bytes() for p in home.glob("journal.sqlite*")}
        async with served(home) as axis:
            organisation = await axis.organisation("G22")
            await axis.registry.revoke(organisation.sign.serial, "keyCompromise")
        for file in home.glob("journal.sqlite*"):
            file.unlink()
        for name, raw in copy.items():
            (home / name).write_bytes(raw)
        async with served(home) as axis:
            rows = {row["serial"]: row for row in (await axis.registry.certificates())["certificates"]}
            assert rows[organisation.tls.serial]["state"] == "active"
            assert rows[organisation.sign.serial]["state"] == "revoked"

    async def test_housekeeping_goes_on_after_a_full_disk(self) -> None:
        clock, tried = HandClock(), []

        async def act() -> None:
            tried.append(len(tried))
            if len(tried) == 1:
                raise StorageFull("no room")

        running = asyncio.create_task(_every(cast(Node, SimpleNamespace(clock=clock)), 60, act))
        for expected in (1, 2):
            await asyncio.sleep(0)
            clock.advance(60_000)
            await until(lambda expected=expected: len(tried) == expected)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def test_too_many_requests(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("rate")
        async with axis_node(folder, requests_per_second=0.5, request_burst=3) as axis:
            organisation = await axis.organisation()
            codes = [(await organisation.get("/v1/directory")).code for _ in range(6)]
            assert codes[0] == ""
            assert codes[-1] == "rate_limited"
            answer = await organisation.get("/v1/directory")
            assert int(answer.headers["Retry-After"]) >= 1

    async def test_unknown_paths_and_methods_are_problems_too(self, axis: AxisNode) -> None:
        organisation = await axis.organisation()
        assert (await organisation.get("/v1/nothing")).problem["status"] == 404
        answer = await organisation.call("DELETE", "/v1/feed")
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert (await organisation.get("/v1/feed?limit=many")).code == "field_invalid"


async def until(holds: object) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def gone(reader: asyncio.StreamReader) -> bool:
    """Read until the other side has closed."""
    try:
        return not await reader.read()
    except (ConnectionError, ssl.SSLError):
        return True


@contextmanager
def full_journal(journal: object) -> Iterator[None]:
    """The journal's file may not grow any more."""
    connection = journal._appender._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (before,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA max_page_count = {before}").fetchall()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow over `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
