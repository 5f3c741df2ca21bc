"""Old codes may be given; what the node stores, lists and counts has the primary ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.commands.local_node import with_api
from agencies.commands.sending import send_files
from axis.core.envelope import Kind, parse, signed_bytes
from tests.support.stub_axis import StubAxis

OLD_G22, OLD_G14, OLD_PART = "000.00.00.G22", "000.00.00.G14", "000.01.00.G22"


@pytest.fixture
async def axis(tmp_path: Path) -> AsyncIterator[StubAxis]:
    made = StubAxis(tmp_path, SystemClock().now)
    runner = await made.start()
    made.agency("G22", tmp_path / "home")
    made.stranger("G14")
    made.unit("G22.1", enrolled=False, parent="G22")
    for code, old in (("G22", OLD_G22), ("G14", OLD_G14), ("G22.1", OLD_PART)):
        made.rename(code, old)
    yield made
    await runner.cleanup()


async def until(node: Node, condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await node.parts.events.beyond(node.parts.events.newest, 0.02)


async def ask(node: Node, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(node.api_url + path) as response:
        assert response.status == 200
        return await response.json()


async def test_a_document_queued_under_old_codes_has_primary_ones(axis: StubAxis, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with Node(home) as node:
        await until(node, lambda: node.parts.directory.directory.resolve(OLD_G14))
    request = {"to": [OLD_G14, "NEW"], "from": OLD_PART, "subject": "S"}
    queued = await with_api(home, lambda local: send_files(local, request, []))
    path = f"/v1/documents/{queued['document_id']}"
    found = await with_api(home, lambda local: local.json("GET", path))
    assert (found["state"], found["from"], found["to"]) == ("queued", "G22.1", ["G14", "NEW"])


async def test_what_was_stored_under_old_codes_is_listed_and_counted_under_primary_ones(
    axis: StubAxis, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    # The node has not read the directory yet: nothing is known of these codes.
    request = {"to": [OLD_G14], "from": OLD_PART, "subject": "S"}
    document_id = (await with_api(home, lambda local: send_files(local, request, [])))["document_id"]
    async with Node(home) as node:
        count = "SELECT unit FROM counted WHERE event = 'sent'"
        await until(node, lambda: node.parts.store.row(count))
        (listed,) = (await ask(node, "/v1/documents"))["documents"]
        found = await ask(node, f"/v1/documents/{document_id}")
        assert (listed["to"], found["to"], found["from"]) == (["G14"], ["G14"], "G22.1")
        rows = {row["code"]: row for row in (await ask(node, "/v1/volumes"))["rows"]}
        assert rows.keys() == {"G22", "G22.1"}
        assert (rows["G22.1"]["sent"], rows["G22"]["sent"], rows["G22.1"]["name"]) == (1, 0, "Unit G22.1")


async def test_a_sender_is_shown_by_its_primary_code(axis: StubAxis, tmp_path: Path) -> None:
    async with Node(tmp_path / "home") as node:
        envelope = axis.document("G14", OLD_G22)
        message = parse(envelope.signed, Kind.DOCUMENT)
        message.sender_unit = OLD_G14
        axis.accept(axis.sign(signed_bytes(Kind.DOCUMENT, message), "G14"))
        await until(node, lambda: node.parts.store.row("SELECT 1 FROM received"))
        (listed,) = (await ask(node, "/v1/inbox"))["documents"]
        found = await ask(node, f"/v1/inbox/{listed['document_id']}")
        assert (listed["from"], listed["to"], listed["code"]) == ("G14", ["G22"], "")
        assert (found["from"], found["recipients"]) == ("G14", ["G22"])


async def test_each_hosted_unit_has_a_row_without_any_event(axis: StubAxis, tmp_path: Path) -> None:
    axis.unit("G22.2", parent="G22")  # has a node of its own
    async with Node(tmp_path / "home") as node:
        await until(node, lambda: node.parts.directory.directory.unit("G22.2"))
        for query in ("", "?kind=status", "?month=2020-01"):
            found = await ask(node, "/v1/volumes" + query)
            assert [row["code"] for row in found["rows"]] == ["G22", "G22.1"]
            assert {row["received"] for row in found["rows"]} == {0}
            assert found["total"]["sent"] == 0
