"""Operators at a real node: accounts by the command line, acts by the API, a journal that names them."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from axis.cli import main
from axis.console.accounts import ACCOUNTS_FILE
from axis.console.guard import CSRF_HEADER
from tests.support.described import Operations, check_request, operations
from tests.support.wire import AxisNode, axis_node

pytestmark = pytest.mark.e2e
PASSWORD = "một mật khẩu dài"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[AxisNode]:
    async with axis_node(tmp_path) as node:
        yield node


async def axis(node: AxisNode, *arguments: str, given: str = "", status: int = 0) -> str:
    """The command beside the running node; its standard output, or its message where it ends otherwise."""

    def run() -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        command = ["axis", *arguments, "--home", str(node.running.node.home.path)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", command)
            patch.setattr(sys, "stdin", io.StringIO(given))
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = int(stop.code or 0)
        return code, out.getvalue(), err.getvalue()

    code, out, err = await asyncio.wait_for(asyncio.to_thread(run), 60)
    assert code == status, err
    return err if status else out


async def operator(node: AxisNode, *arguments: str, given: str = "") -> Any:
    return json.loads(await axis(node, "operator", *arguments, "--json", given=given))


class Browser:
    """A log-in by cookie, or a program with a token."""

    def __init__(self, node: AxisNode, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = URL(node.running.console_url).with_query(None)
        # Cookies of an address, which this client else does not keep.
        self.session = aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True))
        #: What answers are held against; nothing at first.
        self.described: Operations = {}

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def log_in(self, name: str, password: str = PASSWORD) -> int:
        data = {"name": name, "password": password}
        async with self.session.post(self.url / "login", data=data, allow_redirects=False) as response:
            return response.status

    async def status(self, path: str = "/") -> int:
        async with self.session.get(self.url.join(URL(path)), allow_redirects=False) as response:
            return response.status

    async def read_description(self) -> None:
        async with self.session.get(self.url / "api/v1/openapi.json") as response:
            self.described = operations(await response.json())

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        async with self.session.post(self.url / path, json=body or {}, headers=headers) as response:
            answer = await response.json(content_type=None)
        if self.described:
            check_request(self.described, "POST", f"/{path}", response.status, answer)
        return response.status, answer


async def test_acts_through_the_api_name_who_did_them(node: AxisNode) -> None:
    registrar = (await operator(node, "add", "rin", "--role", "registrar", "--token"))["secret"]
    worker = (await operator(node, "add", "oanh", "--role", "operator", "--token"))["secret"]
    viewer = (await operator(node, "add", "vy", "--role", "viewer", "--token"))["secret"]
    sender = await node.organisation("G22")
    async with Browser(node, registrar) as rin, Browser(node, worker) as oanh, Browser(node, viewer) as vy:
        for browser in (rin, oanh, vy):
            await browser.read_description()
        unit = {"code": "G14", "name": "Bộ Tư pháp", "remark": "theo công văn 5"}
        for browser in (vy, oanh):
            status, problem = await browser.post("api/v1/units", unit)
            assert (status, problem["code"]) == (403, "role_insufficient")
        status, added = await rin.post("api/v1/units", unit)
        assert (status, added["code"], added["token"][:6]) == (200, "G14", "axis1.")
        sent = await sender.send("G14")
        document = f"api/v1/documents/{sent.document_id}"
        closing = {"to": "G14", "reason": "đã giải thể"}
        assert (await vy.post(f"{document}/close", closing))[0] == 403
        assert await oanh.post(f"{document}/close", closing) == (
            200,
            {"document_id": sent.document_id, "to": "G14", "attempt": 1, "host": "G14"},
        )
        status, problem = await oanh.post(f"{document}/close", closing)
        assert (status, problem["code"]) == (409, "delivery_closed")
        assert (await oanh.post(f"{document}/requeue", {"to": "G14"}))[1]["attempt"] == 2
        assert (await rin.post("api/v1/units/G14/suspend", {"reason": "mất khóa"}))[1]["changed"]
        assert (await rin.post("api/v1/units/G14/resume", {"remark": "khóa mới"}))[1]["changed"]
        assert (await rin.post("api/v1/units/G14/token"))[1]["token"].startswith("axis1.")
        serial = (await node.registry.certificates())["certificates"][-1]["serial"]
        revoking = {"reason": "keyCompromise", "remark": "máy bị mất"}
        assert (await rin.post(f"api/v1/certificates/{serial}/revoke", revoking))[1]["org"] == "G22"
        status, problem = await rin.post("api/v1/certificates/abcd/revoke", revoking)
        assert (status, problem["code"]) == (422, "certificate_unknown")
        link = Browser(node, URL(node.running.console_url).query["token"])
        async with link:
            assert (await link.post("api/v1/units/G14/suspend", {"reason": "thử"}))[0] == 200
    await axis(node, "org", "resume", "G14", "--as", "truc-ban", "--remark", "thử xong")
    await axis(node, "org", "suspend", "G14")
    lines = (await axis(node, "log", "--operator", "*", "--json")).splitlines()
    found = [(line["event"], line["operator"], line["reason"]) for line in map(json.loads, lines)]
    user = await axis(node, "log", "--operator", found[-1][1])
    assert "suspended" in user
    assert found == [
        ("registered", "rin", "theo công văn 5"),
        ("token_issued", "rin", "theo công văn 5"),
        ("dead", "oanh", "đã giải thể"),
        ("requeued", "oanh", None),
        ("suspended", "rin", "mất khóa"),
        ("resumed", "rin", "khóa mới"),
        ("token_issued", "rin", None),
        ("revoked", "rin", "keyCompromise: máy bị mất"),
        ("suspended", "console", "thử"),
        ("resumed", "truc-ban", "thử xong"),
        ("suspended", found[-1][1], None),
    ]
    shown = await axis(node, "show", sent.document_id)
    assert "dead for G14 by operator oanh at " in shown
    audited = json.loads(await axis(node, "audit", "--json"))
    assert (audited["problems"], audited["volumes_equal"]) == ([], True)


async def test_an_account_s_life(node: AxisNode) -> None:
    assert (await operator(node, "list"))["operators"] == []
    row = {"name": "an", "role": "viewer", "state": "active", "password": True, "token": False}
    added = await operator(
        node, "add", "an", "--role", "viewer", "--password-stdin", given=f"{PASSWORD}\nnot this\n"
    )
    assert added == row
    again = ("operator", "add", "an", "--role", "viewer", "--password-stdin")
    assert "[field_invalid]: name: an is there already" in await axis(node, *again, given=PASSWORD, status=1)
    assert "[field_invalid]: password" in await axis(node, *again[:2], "b", *again[3:], given="x", status=1)
    assert "--password-stdin" in await axis(node, *again[:-1], status=2)
    file = node.running.node.home.path / ACCOUNTS_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    async with Browser(node) as browser:
        assert await browser.log_in("an", "một mật khẩu sai") == 401
        assert await browser.log_in("an") == 303
        assert await browser.status() == 200
        assert (await browser.post("api/v1/units/G14/token"))[1]["code"] == "role_insufficient"
        assert await operator(node, "disable", "an") == row | {"state": "disabled"}
        assert await browser.status() == 303
        assert await browser.log_in("an") == 401
        await operator(node, "enable", "an")
        await operator(node, "role", "an", "registrar")
        await operator(node, "password", "an", "--password-stdin", given="một mật khẩu khác hẳn\n")
        assert await browser.log_in("an") == 401
        assert await browser.log_in("an", "một mật khẩu khác hẳn") == 303
        status, problem = await browser.post("api/v1/units/G14/token")
        assert (status, problem["code"]) == (403, "csrf_invalid")
        status, problem = await browser.post("api/v1/units/G14/token", **{CSRF_HEADER: "guessed"})
        assert (status, problem["code"]) == (403, "csrf_invalid")
        status, problem = await browser.post("api/v1/units/G14/token", Origin="http://evil.example")
        assert (status, problem["code"]) == (403, "origin_not_allowed")
    first = await operator(node, "token", "an")
    async with Browser(node, first["secret"]) as program:
        assert await program.status("/api/v1/volumes") == 200
        assert (await operator(node, "token", "an"))["secret"] != first["secret"]
        assert await program.status("/api/v1/volumes") == 401
    assert not (await operator(node, "token", "an", "--remove"))["token"]
    assert (await axis(node, "operator", "list")).splitlines()[1] == "an\tregistrar\tactive\tyes\t"
    assert "no operator is called 'x'" in await axis(node, "operator", "disable", "x", status=1)


async def test_a_terminal_is_asked_for_the_password_twice(node: AxisNode) -> None:
    controller, terminal = pty.openpty()

    def own_terminal() -> None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "axis.cli", "operator", "add", "an", "--role", "viewer", "--home",
        str(node.running.node.home.path), stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True, preexec_fn=own_terminal,
    )  # fmt: skip
    os.close(terminal)
    os.set_blocking(controller, False)
    loop, shown, came = asyncio.get_running_loop(), "", asyncio.Event()

    def read() -> None:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(controller, 4096).decode()
        came.set()

    async def until(words: str) -> None:
        while words not in shown:
            came.clear()
            await asyncio.wait_for(came.wait(), 30)

    loop.add_reader(controller, read)
    try:
        # With the blank at its end a prompt has turned the echo off.
        for prompt in ("Password: ", "confirmation: "):
            await until(prompt)
            os.write(controller, f"{PASSWORD}\n".encode())
        await until("is active, with the role viewer")
        loop.remove_reader(controller)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        loop.remove_reader(controller)
        os.close(controller)
        if process.returncode is None:
            process.kill()
    assert PASSWORD not in shown
    async with Browser(node) as browser:
        assert await browser.log_in("an") == 303
