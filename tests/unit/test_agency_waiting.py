"""`agency send --wait`: only beside a running node, and never in the way of one that starts again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.commands.local_node import with_api
from agencies.commands.sending import send_files
from agencies.commands.waiting import wait_for_outcomes
from axis.control import HomeLock, NotRunning
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis


@pytest.fixture
async def axis(tmp_path: Path) -> AsyncIterator[StubAxis]:
    made = StubAxis(tmp_path, SystemClock().now)
    runner = await made.start()
    made.agency("G22", tmp_path / "home")
    made.stranger("G14")
    yield made
    await runner.cleanup()


async def queued(home: Path) -> str:
    request = {"to": ["G14"], "subject": "S"}
    answer = await with_api(home, lambda local: send_files(local, request, []))
    return str(answer["document_id"])


async def accepted(axis: StubAxis, document_id: str) -> None:
    while document_id not in axis.accepted:
        await asyncio.sleep(0.01)


async def test_a_node_that_stops_is_waited_for_and_can_start_again(axis: StubAxis, tmp_path: Path) -> None:
    home, told = tmp_path / "home", asyncio.Event()
    async with asyncio.timeout(30):
        async with Node(home):
            document_id = await queued(home)
            waiting = asyncio.create_task(wait_for_outcomes(home, document_id, lambda _: told.set()))
            await accepted(axis, document_id)
        await told.wait()
        # Another command's node, which has the socket for a moment, is not taken for the node.
        async with Node(home, online=False):
            await asyncio.sleep(0.5)
            assert not waiting.done()
        HomeLock(home).release()
        async with Node(home):
            axis.receipt(document_id, "G14")
            found = await waiting
    assert found["state"] == "delivered"


async def test_a_node_that_does_not_come_back_ends_the_wait(axis: StubAxis, tmp_path: Path) -> None:
    home, told = tmp_path / "home", []
    async with Node(home):
        document_id = await queued(home)
    with pytest.raises(NotRunning):
        async with asyncio.timeout(30):
            await wait_for_outcomes(home, document_id, told.append, patience=0.3)
    assert len(told) == 1
    HomeLock(home).release()


async def test_an_unknown_document_is_not_waited_for(axis: StubAxis, tmp_path: Path) -> None:
    async with Node(tmp_path / "home"):
        with pytest.raises(Refusal) as refused:
            await wait_for_outcomes(tmp_path / "home", "nothing", print)
    assert refused.value.name == "document_unknown"


@pytest.mark.parametrize(
    ("options", "code"), [((), 0), (("--wait",), 2), (("--json",), 0), (("--wait", "--json"), 2)]
)
async def test_beside_a_stopped_node_a_document_is_queued_and_not_waited_for(
    axis: StubAxis, tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    (tmp_path / "a.txt").write_text("content")
    command = ("agencies.cli", "send", "a.txt", "--home", "home", "--to", "G14", "--subject", "S")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command, *options),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert (process.returncode, b"the node is not running" in err) == (code, True), err
    (line,) = out.decode().splitlines()
    document_id: Any = line
    if "--json" in options:
        document = json.loads(line)
        document_id = document["document_id"]
        assert document["state"] == "queued"
    HomeLock(tmp_path / "home").release()
    async with Node(tmp_path / "home"):
        await asyncio.wait_for(accepted(axis, document_id), 20)
