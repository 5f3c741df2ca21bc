"""The lock and the control socket of a home."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axis.control import (
    ControlServer,
    HomeBusy,
    HomeLock,
    NotRunning,
    call,
    problem,
    refusal_from_problem,
)
from axis.core.errors import Refusal


async def echo(arguments: dict[str, Any]) -> object:
    return {"got": arguments}


async def refuse(arguments: dict[str, Any]) -> object:
    raise Refusal("recipient_unknown", "no such unit", retry_after=7, extra={"recipients": {"X": "y"}})


async def need_code(arguments: dict[str, Any]) -> object:
    return arguments["code"]


async def break_down(arguments: dict[str, Any]) -> object:
    raise RuntimeError("secret detail")


OPERATIONS = {"echo": echo, "refuse": refuse, "need": need_code, "break": break_down}


def test_a_second_lock_on_a_home_is_refused(tmp_path: Path) -> None:
    with HomeLock(tmp_path), pytest.raises(HomeBusy):
        HomeLock(tmp_path)
    lock = HomeLock(tmp_path)
    lock.release()
    lock.release()


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        lock.release()
        HomeLock(tmp_path).release()
    finally:
        child.communicate(b"\n", timeout=60)


async def test_an_operation_answers_with_its_value(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, OPERATIONS):
        assert await call(tmp_path, "echo", {"name": "Bộ Công an"}) == {"got": {"name": "Bộ Công an"}}


async def test_a_refusal_comes_out_as_the_same_refusal(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, OPERATIONS):
        with pytest.raises(Refusal) as caught:
            await call(tmp_path, "refuse", {})
    assert caught.value.name == "recipient_unknown"
    assert caught.value.detail == "no such unit"
    assert caught.value.retry_after == 7
    assert caught.value.extra == {"recipients": {"X": "y"}}


async def test_bad_arguments_and_unknown_operations_are_refused(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, OPERATIONS):
        for operation, code in (("need", "field_invalid"), ("nothing", "unavailable")):
            with pytest.raises(Refusal) as caught:
                await call(tmp_path, operation, {})
            assert caught.value.name == code


async def test_a_failure_inside_is_temporary_and_tells_nothing(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, OPERATIONS):
        with pytest.raises(Refusal) as caught:
            await call(tmp_path, "break", {})
    assert caught.value.code.temporary
    assert "secret detail" not in caught.value.detail


async def test_a_call_has_a_limit_of_time(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def wait(arguments: dict[str, Any]) -> object:
        await over.wait()
        return None

    async with ControlServer(tmp_path, {"wait": wait}):
        with pytest.raises(Refusal) as caught:
            await call(tmp_path, "wait", {}, timeout=0.05)
        over.set()
    assert caught.value.name == "unavailable"


async def test_without_a_node_the_caller_learns_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        await call(tmp_path / "nowhere", "echo", {})
    async with ControlServer(tmp_path, OPERATIONS):
        pass
    with pytest.raises(NotRunning):
        await call(tmp_path, "echo", {})


async def test_the_socket_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control.sock"))
    dead.close()
    with pytest.raises(NotRunning):
        await call(tmp_path, "echo", {})
    async with ControlServer(tmp_path, OPERATIONS):
        assert await call(tmp_path, "echo", {}) == {"got": {}}


async def test_a_deep_home_works_and_the_socket_is_private(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 80) / ("e" * 80)
    home.mkdir(parents=True)
    async with ControlServer(home, OPERATIONS):
        assert stat.S_IMODE((home / "control.sock").stat().st_mode) == 0o600
        assert await call(home, "echo", {}) == {"got": {}}


def test_a_problem_keeps_everything_of_a_refusal() -> None:
    refusal = Refusal("signature_invalid", "differs", check=9, extra={"code": "ignored", "where": "here"})
    members = problem(refusal)
    assert members["status"] == 422
    assert members["temporary"] is False
    back = refusal_from_problem(members)
    assert (back.name, back.detail, back.check, back.extra) == (
        "signature_invalid",
        "differs",
        9,
        {"where": "here"},
    )


def test_an_unknown_code_is_temporary() -> None:
    assert refusal_from_problem({"code": "from_the_future"}).code.temporary


def test_commands_beside_a_stopped_node_do_without_http() -> None:
    """A third of a second for each command, whose work takes a hundredth."""
    program = "import sys, axis.app.operations, axis.control; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
