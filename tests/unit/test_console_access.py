"""Who may see and do what in the console: log-ins, sessions, roles, requests of other sites."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher, extract_parameters

from axis.console import accounts as accounts_module
from axis.console.access import ACCESS, OPEN, check_routes
from axis.console.accounts import ACCOUNTS_FILE, Accounts, hash_password, new_token, token_sha256
from axis.console.acts import ACTS, Acts, act_twins
from axis.console.attempts import PER_ADDRESS, PER_NAME, PER_NAME_AND_ADDRESS, WINDOW_SECONDS, Attempts
from axis.console.guard import CSRF_HEADER, GUARD, Guard
from axis.console.openapi import served
from axis.console.roles import OPERATOR, Role
from axis.console.sessions import ABSOLUTE_SECONDS, IDLE_SECONDS, TOTAL, Sessions
from axis.console.sessions import PER_NAME as SESSIONS_PER_NAME
from axis.core.errors import Refusal

LINK = "the-start-up-links-token"
PASSWORD = "một mật khẩu dài"
HASH = hash_password(PASSWORD)
NAMES = {Role.VIEWER: "vy", Role.OPERATOR: "oanh", Role.REGISTRAR: "rin"}


@dataclass
class Gate:
    """The real guard and acts before pages that answer who asked; operations are written down."""

    client: TestClient[Any, Any]
    accounts: Accounts
    guard: Guard
    tokens: dict[Role, str]
    done: list[tuple[str, dict[str, Any]]]
    seconds: list[float]

    async def ask(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        return await self.client.request(method, path, allow_redirects=False, **options)

    async def log_in(self, name: str, password: str = PASSWORD, **options: Any) -> aiohttp.ClientResponse:
        return await self.ask("POST", "/login", data={"name": name, "password": password}, **options)

    async def csrf(self) -> str:
        return (await (await self.ask("GET", "/")).json())["csrf"]


@dataclass
class _Pages:
    guard: Guard
    made: list[str] = field(default_factory=list)

    async def who(self, request: web.Request) -> web.Response:
        operator = request[OPERATOR]
        return web.json_response({"name": operator.name, "role": str(operator.role), "csrf": operator.csrf})

    async def open(self, _: web.Request) -> web.Response:
        return web.Response(text="open")

    async def log_in(self, request: web.Request) -> web.Response:
        given = await request.post()
        name = str(given.get("name", ""))
        cookie = await self.guard.log_in(request, name, str(given.get("password" if name else "token", "")))
        response = web.Response(text="welcome")
        self.guard.welcome(request, response, cookie)
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        response = web.Response(text="farewell")
        self.guard.log_out(request, response)
        return response


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    accounts, seconds, done = Accounts(tmp_path), [0.0], []
    tokens = {role: new_token() for role in Role}
    for role, name in NAMES.items():
        accounts.add(name, role, password=HASH, token=token_sha256(tokens[role]), at=1)

    def operation(name: str) -> Any:
        async def act(arguments: dict[str, Any]) -> object:
            done.append((name, arguments))
            return {"done": name}

        return act

    names = ("document.requeue", "document.close", "org.add", "org.token", "org.suspend", "org.resume")
    guard = Guard(LINK, ["axis.example"], accounts, lambda: seconds[0])
    pages = _Pages(guard)
    application = web.Application(middlewares=[guard.middleware])
    application[GUARD] = guard
    application[ACTS] = Acts({name: operation(name) for name in (*names, "cert.revoke")})
    application.add_routes(served(act_twins()))
    added = {("POST", "/login"): pages.log_in, ("POST", "/logout"): pages.log_out}
    acts = {(route.method, route.path) for route in act_twins()}
    for (method, path), least in ACCESS.items():
        if (method, path) not in acts:
            page = added.get((method, path), pages.open if least is OPEN else pages.who)
            application.router.add_route(method, path, page)
    check_routes(application)
    async with TestClient(TestServer(application)) as client:
        yield Gate(client, accounts, guard, tokens, done, seconds)


ACTS_BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/documents/{document_id}/requeue": {"to": "G14", "reason": "hỏi lại"},
    "/api/v1/documents/{document_id}/close": {"to": "G14", "reason": "đã giải thể"},
    "/api/v1/units": {"code": "G99", "name": "Cơ quan mới", "old_codes": ["000.00.00.G99"]},
    "/api/v1/units/{code}/suspend": {"reason": "mất khóa"},
    "/api/v1/certificates/{serial}/revoke": {"reason": "keyCompromise"},
}


def _path(path: str) -> str:
    for name in ("document_id", "code", "serial", "name", "language", "act"):
        path = path.replace("{" + name + "}", "x1")
    return path


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize(("method", "path"), [key for key in ACCESS if key != ("POST", "/login")])
async def test_each_route_asks_for_its_role(gate: Gate, method: str, path: str, role: Role | None) -> None:
    least = ACCESS[method, path]
    headers = {"Authorization": f"Bearer {gate.tokens[role]}"} if role is not None else {}
    body = ACTS_BODIES.get(path) if method == "POST" else None
    response = await gate.ask(method, _path(path), headers=headers, json=body)
    text = await response.text()
    if least is OPEN or (role is not None and role >= least):
        assert response.status == 200
        an_act = path.startswith("/api/") and method == "POST" and path != "/api/v1/audits"
        assert len(gate.done) == an_act
    elif role is not None:
        assert (response.status, (await response.json(content_type=None))["code"]) == (
            403,
            "role_insufficient",
        )
        assert NAMES[role] in text
        assert not gate.done
    elif path.startswith("/api/"):
        assert (response.status, (await response.json(content_type=None))["code"]) == (401, "not_authorised")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    else:
        assert (response.status, response.headers["Location"]) == (303, "/login")
    if role is None and least is not OPEN:
        assert not gate.done


async def test_a_route_without_a_role_stops_the_start() -> None:
    application = web.Application()

    async def page(_: web.Request) -> web.Response:
        return web.Response()

    application.router.add_get("/forgotten", page)
    with pytest.raises(LookupError, match="GET /forgotten"):
        check_routes(application)


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/static/"])
async def test_what_does_not_exist_is_told_inside_only(gate: Gate, path: str) -> None:
    outside = await gate.ask("GET", path)
    assert outside.status == (401 if path.startswith("/api/") else 303)
    headers = {"Authorization": f"Bearer {gate.tokens[Role.VIEWER]}"}
    assert (await gate.ask("GET", path, headers=headers)).status == 404


async def test_acts_carry_who_did_them(gate: Gate) -> None:
    headers = {"Authorization": f"Bearer {gate.tokens[Role.REGISTRAR]}"}
    for path, body in ACTS_BODIES.items():
        assert (await gate.ask("POST", _path(path), headers=headers, json=body)).status == 200
    link = {"Authorization": f"Bearer {LINK}"}
    assert (await gate.ask("POST", "/api/v1/units/G14/resume", headers=link)).status == 200
    assert [(name, arguments["operator"]) for name, arguments in gate.done] == [
        ("document.requeue", "rin"),
        ("document.close", "rin"),
        ("org.add", "rin"),
        ("org.suspend", "rin"),
        ("cert.revoke", "rin"),
        ("org.resume", "console"),
    ]
    assert gate.done[1][1] == {"document_id": "x1", "to": "G14", "reason": "đã giải thể", "operator": "rin"}


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/api/v1/documents/x/close", b'{"to": "G14"}', "reason: missing"),
        ("/api/v1/documents/x/close", b'{"to": "G14", "reason": "  "}', "say why"),
        ("/api/v1/documents/x/close", b'{"to": 7, "reason": "a"}', "to: this is a text"),
        ("/api/v1/documents/x/requeue", b"{", "not JSON"),
        ("/api/v1/documents/x/requeue", b"", "not JSON"),
        ("/api/v1/documents/x/requeue", b"[]", "JSON object"),
        ("/api/v1/documents/x/requeue", b"[" * 9000, "not JSON"),
        ("/api/v1/documents/x/close", b'{"to": "G14", "reason": "\\ud800"}', "not JSON"),
        ("/api/v1/documents/x/close", b'{"\\ud800": "G14"}', "not JSON"),
        ("/api/v1/documents/x/requeue", b'{"to": "G14", "operator": "somebody"}', "operator: not known"),
        ("/api/v1/units", b'{"code": "A", "name": "B", "old_codes": "C"}', "old_codes: this is a list"),
        ("/api/v1/units", b'{"code": "A", "name": "B", "old_codes": [1]}', "old_codes: this is a list"),
        ("/api/v1/units/G14/token", b'{"code": "G15"}', "possible is remark"),
    ],
)
async def test_bad_bodies_are_named(gate: Gate, path: str, body: bytes, word: str) -> None:
    headers = {"Authorization": f"Bearer {LINK}"}
    response = await gate.ask("POST", path, headers=headers, data=body)
    problem = await response.json(content_type=None)
    assert (response.status, problem["code"], word in problem["detail"]) == (422, "field_invalid", True)
    assert not gate.done


async def test_a_password_opens_a_session_and_logging_out_ends_it(gate: Gate) -> None:
    response = await gate.log_in(" Oanh ")
    assert response.status == 200
    cookie = response.cookies["axis_console"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"], cookie["path"]) == (
        True,
        "Lax",
        "",
        "/",
    )
    who = await (await gate.ask("GET", "/")).json()
    assert (who["name"], who["role"]) == ("oanh", "operator")
    assert (await gate.ask("POST", "/logout", data={"csrf": who["csrf"]})).status == 200
    kept = {"Cookie": f"axis_console={cookie.value}"}
    assert (await gate.ask("GET", "/", headers=kept)).status == 303


async def test_behind_tls_the_cookie_is_secure(gate: Gate) -> None:
    response = await gate.log_in("oanh", headers={"X-Forwarded-Proto": "https"})
    assert response.cookies["axis_console"]["secure"] is True


async def test_tokens_log_in_through_the_form_too(gate: Gate) -> None:
    for token, name in ((gate.tokens[Role.VIEWER], "vy"), (LINK, "console")):
        assert (await gate.ask("POST", "/login", data={"token": token})).status == 200
        assert (await (await gate.ask("GET", "/")).json())["name"] == name


async def test_a_log_in_ends_the_session_before_it(gate: Gate) -> None:
    first = (await gate.log_in("vy")).cookies["axis_console"].value
    await gate.log_in("oanh")
    gate.client.session.cookie_jar.clear()
    assert (await gate.ask("GET", "/", headers={"Cookie": f"axis_console={first}"})).status == 303
    second = {"Cookie": f"axis_console={(await gate.log_in('vy')).cookies['axis_console'].value}"}
    gate.client.session.cookie_jar.clear()
    assert (await gate.ask("GET", f"/?token={LINK}", headers=second)).status == 303
    gate.client.session.cookie_jar.clear()
    assert (await gate.ask("GET", "/", headers=second)).headers["Location"] == "/login"


@pytest.mark.parametrize("path", ["/charts/minutes.svg", "/live/overview"])
async def test_what_an_open_page_asks_for_by_itself_is_no_use_of_a_session(gate: Gate, path: str) -> None:
    await gate.log_in("vy")
    gate.seconds[0] += IDLE_SECONDS
    assert (await gate.ask("GET", path)).status == 200
    gate.seconds[0] += 1
    assert (await gate.ask("GET", "/")).status == 303


@pytest.mark.parametrize(
    ("name", "password"),
    [("oanh", "một mật khẩu khác"), ("nobody", PASSWORD), ("oanh", ""), ("", LINK + "x"), ("console", LINK)],
)
async def test_wrong_log_ins_all_read_the_same(gate: Gate, name: str, password: str) -> None:
    data = {"name": name, "password": password} if name else {"token": password}
    response = await gate.ask("POST", "/login", data=data)
    problem = await response.json(content_type=None)
    assert (response.status, problem["code"]) == (401, "not_authorised")
    assert problem["detail"] == "the name, the password or the token is not right"
    assert not response.cookies


async def test_too_many_log_ins_have_to_wait(gate: Gate) -> None:
    # Tokens and names count apart from each other by name, together by address.
    for _ in range(PER_NAME_AND_ADDRESS):
        assert (await gate.log_in("oanh", "sai")).status == 401
        gate.seconds[0] += 1
    refused = await gate.log_in("oanh")
    assert (refused.status, (await refused.json(content_type=None))["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == str(int(WINDOW_SECONDS) - PER_NAME_AND_ADDRESS)
    for _ in range(PER_ADDRESS - PER_NAME_AND_ADDRESS):
        assert (await gate.ask("POST", "/login", data={"token": "sai"})).status == 401
    assert (await gate.log_in("vy")).status == 429
    # A token is nothing to guess: whoever fails often locks nobody out who has one.
    for token in (LINK, gate.tokens[Role.VIEWER]):
        assert (await gate.ask("POST", "/login", data={"token": token})).status == 200
    assert (await gate.ask("POST", "/login", data={"token": "sai"})).status == 429
    gate.seconds[0] += WINDOW_SECONDS
    assert (await gate.log_in("oanh")).status == 200


def test_failures_elsewhere_do_not_lock_a_name_out() -> None:
    seconds = [0.0]
    attempts = Attempts(lambda: seconds[0])
    addresses = iter(range(1, 255))
    for _ in range(PER_NAME // PER_NAME_AND_ADDRESS - 1):
        stranger = f"192.0.2.{next(addresses)}"
        for _ in range(PER_NAME_AND_ADDRESS):
            attempts.begin("oanh", stranger)
        with pytest.raises(Refusal, match="rate_limited"):
            attempts.begin("oanh", stranger)
        for _ in range(PER_NAME_AND_ADDRESS):  # her own, which are right, use nothing up
            attempts.begin("oanh", "203.0.113.7")
            attempts.succeeded("oanh", "203.0.113.7")
    for _ in range(PER_NAME_AND_ADDRESS):
        attempts.begin("oanh", f"192.0.2.{next(addresses)}")
    with pytest.raises(Refusal, match="rate_limited"):  # a crowd may not guess on
        attempts.begin("oanh", f"192.0.2.{next(addresses)}")
    # It does not keep her out where she has logged in before, where few tries are left as ever.
    for _ in range(PER_NAME_AND_ADDRESS):
        attempts.begin("oanh", "203.0.113.7")
    with pytest.raises(Refusal, match="rate_limited"):
        attempts.begin("oanh", "203.0.113.7")
    attempts.begin("vy", "203.0.113.7")
    seconds[0] += WINDOW_SECONDS
    attempts.begin("oanh", "192.0.2.1")


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_trusted_proxy_says_who_failed(gate: Gate, trusted: bool) -> None:
    pages = _Pages(Guard(LINK, [], gate.accounts, proxies=["127.0.0.1"] if trusted else []))
    application = web.Application(middlewares=[pages.guard.middleware])
    application.router.add_post("/login", pages.log_in)
    async with TestClient(TestServer(application)) as client:

        async def failed(*hops: str) -> int:
            headers = [("X-Forwarded-For", hop) for hop in hops]
            return (await client.post("/login", data={"token": "sai"}, headers=headers)).status

        for number in range(PER_ADDRESS):  # the hops before the last are whatever the client wrote
            assert await failed(f"192.0.2.{number}, 203.0.113.7") == 401
        assert await failed("203.0.113.7") == 429
        assert await failed("::ffff:203.0.113.7") == 429
        assert await failed("203.0.113.7", "203.0.113.8") == (401 if trusted else 429)
        assert await failed("nonsense") == (401 if trusted else 429)  # the proxy's own


async def test_few_passwords_are_looked_at_together(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axis.console.guard._WAITING", 3)
    free = threading.Event()

    def held(_name: str, _password: str) -> None:
        assert free.wait(30)

    monkeypatch.setattr(gate.accounts, "by_password", held)
    asked = [asyncio.create_task(gate.log_in(f"name{number}", "sai")) for number in range(6)]
    turned_away: list[aiohttp.ClientResponse] = []
    while len(turned_away) < 3:
        waiting = [answer for answer in asked if not answer.done()]
        done, _ = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert done
        turned_away += [answer.result() for answer in done]
    free.set()
    assert [(answer.status, answer.headers["Retry-After"]) for answer in turned_away] == [(429, "5")] * 3
    assert sorted([(await answer).status for answer in asked]) == [401] * 3 + [429] * 3


async def test_a_cookie_changes_nothing_without_its_csrf_token(gate: Gate) -> None:
    await gate.log_in("rin")
    csrf = await gate.csrf()
    path, body = "/api/v1/units/G14/suspend", {"reason": "mất khóa"}
    for headers in ({}, {CSRF_HEADER: "đoán"}, {CSRF_HEADER: ""}):
        response = await gate.ask("POST", path, json=body, headers=headers)
        assert (response.status, (await response.json(content_type=None))["code"]) == (403, "csrf_invalid")
    assert (await gate.ask("POST", "/logout", data={"csrf": "x"})).status == 403
    gate.client.session.cookie_jar.clear()
    await gate.log_in("rin")
    assert (await gate.ask("POST", path, json=body, headers={CSRF_HEADER: csrf})).status == 403
    assert not gate.done
    ours = {CSRF_HEADER: await gate.csrf()}
    assert (await gate.ask("POST", path, json=body, headers=ours)).status == 200


async def test_a_person_is_told_in_words_and_a_program_in_a_problem(gate: Gate) -> None:
    await gate.log_in("vy")
    browser = {"Accept": "text/html,application/xhtml+xml"}
    gate.guard.page = lambda _, refusal: web.Response(text=f"<p>{refusal.name}", content_type="text/html")
    page = await gate.ask("POST", "/logout", data={"csrf": "old"}, headers=browser)
    assert await page.text() == "<p>csrf_invalid"
    for path, headers in (("/logout", {}), ("/api/v1/units/G14/token", browser)):
        program = await gate.ask("POST", path, headers=headers)
        assert program.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://{host}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://{host}.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://[x"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_other_sites_may_not_even_log_in(gate: Gate, headers: dict[str, str], status: int) -> None:
    host = f"{gate.client.host}:{gate.client.port}"
    given = {name: value.format(host=host) for name, value in headers.items()}
    response = await gate.log_in("vy", headers=given)
    assert response.status == status
    if status == 403:
        assert (await response.json(content_type=None))["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"name=an&password=\xff", "application/x-www-form-urlencoded"),
        (b"name=an", "application/x-www-form-urlencoded; charset=nobody-knows"),
        (
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n'
            b"Content-Transfer-Encoding: none\r\n\r\na\r\n--x--",
            "multipart/form-data; boundary=x",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout", "/trust/add"])
async def test_forms_that_are_no_text_are_told_so(gate: Gate, path: str, body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind}
    outside = await gate.ask("POST", path, data=body, headers=headers)
    assert outside.status == (400 if path == "/login" else 303)
    await gate.log_in("rin")
    assert (await gate.ask("POST", path, data=body, headers=headers)).status == 400


async def test_what_changes_at_an_account_is_in_force_at_once(gate: Gate, tmp_path: Path) -> None:
    beside = Accounts(tmp_path)  # as another process would
    bearer = {"Authorization": f"Bearer {gate.tokens[Role.OPERATOR]}"}
    await gate.log_in("oanh")
    beside.change("oanh", disabled=True, at=2)
    assert (await gate.ask("GET", "/")).status == 303
    assert (await gate.ask("GET", "/api/v1/volumes", headers=bearer)).status == 401
    assert (await gate.log_in("oanh")).status == 401
    beside.change("oanh", disabled=False, at=3)
    assert (await gate.ask("GET", "/")).status == 303  # what was ended stays so
    assert (await gate.log_in("oanh")).status == 200
    beside.change("oanh", password=hash_password("một mật khẩu mới hơn"), at=4)
    assert (await gate.ask("GET", "/")).status == 303
    assert (await gate.log_in("oanh")).status == 401
    assert (await gate.ask("GET", "/api/v1/volumes", headers=bearer)).status == 200
    beside.change("oanh", role=Role.VIEWER, token=token_sha256("axop_another"), at=5)
    assert (await gate.ask("GET", "/api/v1/volumes", headers=bearer)).status == 401
    (tmp_path / ACCOUNTS_FILE).write_text("{")
    assert (await gate.log_in("vy")).status == 401
    with pytest.raises(Refusal, match="cannot be read"):
        beside.change("vy", disabled=True, at=6)
    (tmp_path / ACCOUNTS_FILE).unlink()
    assert (await gate.log_in("vy")).status == 401
    assert (await gate.ask("GET", f"/?token={LINK}")).headers["Location"] == "/"


async def test_an_answer_that_goes_on_can_ask_whether_it_may(gate: Gate, tmp_path: Path) -> None:
    seen: list[web.Request] = []

    async def page(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response()

    application = web.Application(middlewares=[gate.guard.middleware])
    application.router.add_get("/", page)
    async with TestClient(TestServer(application)) as client:
        headers = {"Authorization": f"Bearer {gate.tokens[Role.VIEWER]}"}
        assert (await client.get("/", headers=headers)).status == 200
        assert gate.guard.holds(seen[0])
        Accounts(tmp_path).change("vy", disabled=True, at=2)
        assert not gate.guard.holds(seen[0])


def test_sessions_end_idle_and_in_any_case_and_are_bounded() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    idle, used = sessions.begin("a", 1), sessions.begin("b", 1)
    while now[0] < ABSOLUTE_SECONDS:
        assert sessions.find(used) is not None
        now[0] += IDLE_SECONDS
    assert sessions.find(idle) is None
    now[0] += 1
    assert sessions.find(used) is None
    own = [sessions.begin("a", 1) for _ in range(SESSIONS_PER_NAME + 1)]
    assert [sessions.find(cookie) is not None for cookie in own] == [False] + [True] * SESSIONS_PER_NAME
    for number in range(TOTAL + 10):
        sessions.begin(f"name{number}", 1)
    assert len(sessions) == TOTAL
    looked = sessions.begin("c", 1)
    now[0] += IDLE_SECONDS
    assert sessions.find(looked, use=False) is not None
    now[0] += 1
    assert sessions.find(looked) is None


def test_the_accounts_file_is_private_and_holds_no_secret(tmp_path: Path) -> None:
    accounts, token = Accounts(tmp_path), new_token()
    accounts.add("an", Role.VIEWER, password=HASH, token=token_sha256(token), at=1)
    file = tmp_path / ACCOUNTS_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert token not in text
    assert PASSWORD not in text
    assert "$argon2id$" in text
    assert accounts.find("an") == Accounts(tmp_path).find("an")
    assert accounts.all()[0].shown() == {
        "name": "an", "role": "viewer", "state": "active", "password": True, "token": True,
    }  # fmt: skip


def test_a_change_is_in_force_while_another_thread_still_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("an", Role.REGISTRAR, password=HASH, at=1)
    assert accounts.find("an") is not None
    Accounts(tmp_path).change("an", disabled=True, at=2)
    parsed, reading, go_on = accounts_module._parsed, threading.Event(), threading.Event()

    def slowly(data: bytes) -> Any:
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            assert go_on.wait(20)
        return parsed(data)

    monkeypatch.setattr(accounts_module, "_parsed", slowly)
    thread = threading.Thread(target=accounts.find, args=("an",))
    thread.start()
    try:
        assert reading.wait(20)
        assert accounts.find("an") is None
    finally:
        go_on.set()
        thread.join(20)


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("console", {"password": HASH}, "name"),
        ("Ân", {"password": HASH}, "name"),
        ("", {"password": HASH}, "name"),
        ("a" * 65, {"password": HASH}, "name"),
        ("an", {"password": HASH}, "there already"),
        ("binh", {}, "needs a password or a token"),
        ("binh", {"password": "plain"}, "argon2id"),
        ("binh", {"password": HASH.replace("argon2id", "argon2i")}, "argon2id"),
        ("binh", {"token": "plain"}, "SHA-256"),
    ],
)
def test_odd_accounts_are_refused(tmp_path: Path, name: str, options: dict[str, str], word: str) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("an", Role.VIEWER, password=HASH, at=1)
    with pytest.raises(Refusal, match=word) as refused:
        accounts.add(name, Role.VIEWER, at=2, **options)
    assert refused.value.name == "field_invalid"
    assert [account.name for account in accounts.all()] == ["an"]


@pytest.mark.parametrize("password", ["ngắn", "a" * 257, "abcabcabcabcabc"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(Refusal, match="password") as refused:
        hash_password(password)
    assert refused.value.name == "field_invalid"


def test_a_password_is_the_same_however_its_marks_are_typed(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("an", Role.VIEWER, password=hash_password("mật khẩu của An"), at=1)
    assert accounts.by_password("an", "mật khẩu của An") is not None
    assert accounts.by_password("an", "mật khẩu của an") is None


def test_a_wrong_name_costs_as_much_as_a_wrong_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, looked = Accounts(tmp_path), []
    accounts.add("an", Role.VIEWER, password=HASH, at=1)
    accounts.add("off", Role.VIEWER, password=HASH, at=1)
    accounts.change("off", disabled=True, at=2)
    accounts.add("token-only", Role.VIEWER, token=token_sha256("axop_x"), at=1)
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, kept: str, password: str) -> bool:
        looked.append(extract_parameters(kept))
        return bool(verify(self, kept, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for name in ("nobody", "off", "token-only"):
        assert accounts.by_password(name, PASSWORD) is None
    assert accounts.by_password("an", "sai hoàn toàn") is None
    assert len(looked) == 4
    assert len(set(map(str, looked))) == 1, "the same passes and the same memory"


def test_roles_have_names() -> None:
    assert [Role.named(str(role)) for role in Role] == list(Role)
    with pytest.raises(Refusal, match="none of viewer, operator, registrar"):
        Role.named("root")
