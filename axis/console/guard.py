"""Who may see the console: host names, the start-up link, the cookie, the bearer token, and safe headers."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from axis.console.site import KNOWN
from axis.control import PROBLEM_JSON, problem
from axis.core.errors import Refusal

__all__ = ["COOKIE", "Guard"]

COOKIE: Final = "axis_console"

_OPEN: Final = frozenset({"/livez", "/readyz", "/metrics", "/login"})
_OPEN_FOLDERS: Final = ("/static/", "/language/")
_LOCAL: Final = ("localhost", "axis")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Lets requests through that come with the token or a cookie of this run of the node."""

    def __init__(self, token: str, hosts: Iterable[str]) -> None:
        self._token = token
        self._session = secrets.token_urlsafe(32)
        self._hosts = frozenset(host.lower() for host in (*_LOCAL, *hosts))

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check, answer, and set the headers that every answer has."""
        try:
            response = await self._answer(request, handler)
        except web.HTTPException as error:
            _set_headers(error)
            raise
        except Refusal as refusal:
            body = problem(refusal)
            response = web.json_response(body, status=refusal.code.http_status, content_type=PROBLEM_JSON)
        _set_headers(response)
        return response

    def log_in(self, token: str) -> bool:
        """Whether this is the token. Takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def welcome(self, response: web.StreamResponse) -> None:
        """Give the browser its cookie: not the token, and worth nothing once the node has stopped."""
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="Strict", path="/")

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        # A page of somebody else's whose name is made to resolve to this machine must not read answers
        # (DNS rebinding). A literal address cannot be rebound.
        if not self._is_ours(request.host):
            raise web.HTTPMisdirectedRequest(text="this console is not known under that name\n")
        if request.path == "/" and "token" in request.query:
            return self._link(request)
        request[KNOWN] = self._may(request)
        if request[KNOWN] or request.path in _OPEN or request.path.startswith(_OPEN_FOLDERS):
            return await handler(request)
        if request.path.startswith("/api/"):
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": "Bearer"},
                text=json.dumps(problem(Refusal("not_authorised"))),
                content_type=PROBLEM_JSON,
            )
        raise web.HTTPSeeOther("/login")

    def _link(self, request: web.Request) -> web.StreamResponse:
        """The start-up link: the token leaves the address bar at once."""
        if not self.log_in(request.query["token"]):
            raise web.HTTPSeeOther("/login")
        response = web.HTTPSeeOther("/")
        self.welcome(response)
        raise response

    def _may(self, request: web.Request) -> bool:
        kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.log_in(credentials.strip())
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(), self._session.encode())

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _set_headers(response: web.StreamResponse) -> None:
    response.headers.update(
        {
            "Content-Security-Policy": (
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
                " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
    )
    response.headers.setdefault("Cache-Control", "no-store")
