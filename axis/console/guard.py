"""Who may see and do what: host names, log-ins, roles, requests of other sites, and safe headers.

In this order: the Host header; the start-up link; who asks (bearer token, else cookie); whether the role is
enough for the route (`axis.console.access`); and whether what changes anything comes from a page of ours.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog
from aiohttp import hdrs, web

from axis.console import problems
from axis.console.access import OPEN, least_role
from axis.console.accounts import Account, Accounts
from axis.console.attempts import Attempts
from axis.console.roles import CONSOLE, OPERATOR, Operator, Role
from axis.console.sessions import Sessions
from axis.core.errors import Refusal

__all__ = ["COOKIE", "CSRF_FIELD", "CSRF_HEADER", "GUARD", "Guard"]

COOKIE: Final = "axis_console"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"

#: Sent with a link that is followed from a mail, else who has logged in would have to again. Safe, since
#: nothing that is asked for so changes anything: what does is held to its origin and to the session's token.
_SAME_SITE: Final = "Lax"

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_FORM: Final = "application/x-www-form-urlencoded"
#: What an open page asks for again and again while nobody is there.
_BY_THEMSELVES: Final = ("/live/", "/charts/")
_LOCAL: Final = ("localhost", "axis")
_LONGEST_NAME: Final = 64
_LAST_PORT: Final = 65_535
#: Passwords looked at together; each takes 64 MiB for the time.
_TOGETHER: Final = 2
#: Log-ins that wait for that; about 3 s.
_WAITING: Final = 32
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


class Guard:
    """Lets requests through that may pass. `token` is the start-up link's; `clock` gives seconds;
    `proxies` are addresses whose X-Forwarded-For is believed."""

    def __init__(
        self,
        token: str,
        hosts: Iterable[str],
        accounts: Accounts | None = None,
        clock: Callable[[], float] = time.monotonic,
        proxies: Iterable[str] = (),
    ) -> None:
        self._token = token
        self._hosts = frozenset(host.lower() for host in (*_LOCAL, *hosts))
        self._accounts = accounts
        self._proxies = frozenset(proxies)
        #: Makes the page that tells a person of a refusal; without it they get what programs get.
        self.page: Callable[[web.Request, Refusal], web.Response] | None = None
        self._sessions = Sessions(clock)
        self._attempts = Attempts(clock)
        self._together = asyncio.Semaphore(_TOGETHER)
        self._waiting = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check, answer, and set the headers that every answer has."""
        try:
            response = await self._answer(request, handler)
        except web.HTTPException as error:
            if not request.path.startswith("/api/") or error.status < 400:
                _set_headers(error)
                raise
            response = problems.of_http(error)
        except Refusal as refusal:
            response = self._refused(request, refusal)
        except ConnectionError:
            raise
        except Exception:
            if not request.path.startswith("/api/"):
                raise
            _log.exception("request_failed", path=request.path, method=request.method)
            response = problems.of(Refusal("unavailable", "the node failed; its log says why"))
        _set_headers(response)
        return response

    async def log_in(self, request: web.Request, name: str, password: str) -> str:
        """Check a name and its password, or the start-up link's or an account's token without a name.

        The cookie's value; give it to `welcome`. Refusal `not_authorised`, `rate_limited`.
        """
        name = name.strip().lower()[:_LONGEST_NAME]
        address = self._address(request)
        # A token has 256 random bits: nobody guesses it, and nobody's failures lock its holder out.
        found = None if name else self._by_token(password.strip())
        if found is None:
            self._attempts.begin(name, address)
        if name:
            account = await self._by_password(name, password)
            if account is not None:
                found = (account.name, account.generation)
                self._attempts.succeeded(name, address)
        if found is None:
            # The name stays out of the log: people type passwords into that field.
            _log.warning("console_login_failed", address=address)
            raise Refusal("not_authorised", "the name, the password or the token is not right")
        _log.info("console_login", operator=found[0], address=address)
        self._sessions.end(request.cookies.get(COOKIE, ""))
        return self._sessions.begin(*found)

    def welcome(self, request: web.Request, response: web.StreamResponse, cookie: str) -> None:
        """Give the browser its cookie: worth nothing once the node has stopped."""
        # Only ever made stricter by what a proxy in front says.
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        response.set_cookie(COOKIE, cookie, httponly=True, samesite=_SAME_SITE, secure=secure, path="/")

    def log_out(self, request: web.Request, response: web.StreamResponse) -> None:
        """End the session of a request's cookie."""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response.del_cookie(COOKIE, path="/", httponly=True, samesite=_SAME_SITE)

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        # A page of somebody else's whose name is made to resolve to this machine must not read answers
        # (DNS rebinding). A literal address cannot be rebound.
        if not self._is_ours(request.host):
            raise web.HTTPMisdirectedRequest(text="this console is not known under that name\n")
        if request.path == "/" and "token" in request.query:
            return self._link(request)
        least = least_role(request)
        operator, by_cookie = self._who(request, use=not request.path.startswith(_BY_THEMSELVES))
        if request.method not in _SAFE:
            _check_origin(request)
        if operator is not None:
            request[OPERATOR] = operator
        if operator is None and least is not OPEN:
            return self._unknown(request)
        if operator is not None and least is not OPEN:
            operator.require(least)
        if request.method not in _SAFE:
            await _check_form(request)
        if operator is None or least is OPEN:
            return await handler(request)
        if by_cookie and request.method not in _SAFE:
            await _check_csrf(request, operator)
        return await handler(request)

    def _unknown(self, request: web.Request) -> web.StreamResponse:
        """Nobody has logged in."""
        if request.path.startswith("/api/"):
            return self._refused(request, Refusal("not_authorised"))
        # A page is shown after the log-in; nothing else that a browser fetches is worth going back to.
        page = request.method == hdrs.METH_GET and "text/html" in request.headers.get(hdrs.ACCEPT, "")
        back = str(request.rel_url) if page and request.path != "/" else ""
        raise web.HTTPSeeOther("/login" + (f"?{urlencode({'back': back})}" if back else ""))

    def _refused(self, request: web.Request, refusal: Refusal) -> web.Response:
        """A page for a browser, a problem for a program."""
        person = "text/html" in request.headers.get(hdrs.ACCEPT, "") and not request.path.startswith("/api/")
        response = self.page(request, refusal) if person and self.page is not None else problems.of(refusal)
        if refusal.name == "not_authorised":
            response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
        if refusal.retry_after is not None:
            response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after)
        return response

    def _link(self, request: web.Request) -> web.StreamResponse:
        """The start-up link: the token leaves the address bar at once."""
        if not self._is_link(request.query["token"]):
            raise web.HTTPSeeOther("/login?link=ended")
        response = web.HTTPSeeOther("/")
        self._sessions.end(request.cookies.get(COOKIE, ""))
        self.welcome(request, response, self._sessions.begin(CONSOLE, 0))
        raise response

    def holds(self, request: web.Request) -> bool:
        """Whether whoever sent a request may still see its answer: for answers that go on, like live updates.

        Does not count as use of a session.
        """
        least, (operator, _) = least_role(request), self._who(request, use=False)
        return least is OPEN or (operator is not None and operator.may(least))

    def _who(self, request: web.Request, *, use: bool = True) -> tuple[Operator | None, bool]:
        """Who asks, and whether only the cookie says so."""
        kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            found = self._by_token(credentials.strip())
            return (self._operator(*found) if found is not None else None), False
        cookie = request.cookies.get(COOKIE, "")
        session = self._sessions.find(cookie, use=use) if cookie else None
        if session is None:
            return None, True
        operator = self._operator(session.name, session.generation, session.csrf)
        if operator is None:
            self._sessions.end(cookie)
        return operator, True

    def _operator(self, name: str, generation: int, csrf: str = "") -> Operator | None:
        """With the role of now; None where the account was changed since."""
        if name == CONSOLE:
            return Operator(CONSOLE, Role.REGISTRAR, csrf)
        account = self._accounts.find(name) if self._accounts is not None else None
        if account is None or account.generation != generation:
            return None
        return Operator(account.name, account.role, csrf)

    def _by_token(self, token: str) -> tuple[str, int] | None:
        if self._is_link(token):
            return CONSOLE, 0
        account = self._accounts.by_token(token) if self._accounts is not None and token else None
        return (account.name, account.generation) if account is not None else None

    def _address(self, request: web.Request) -> str:
        """Where a request comes from: what a trusted proxy says of the hop before it, and no earlier hop,
        since anybody may write those.
        """
        remote = request.remote or ""
        if remote in self._proxies:
            hop = ",".join(request.headers.getall("X-Forwarded-For", ())).rpartition(",")[2].strip()
            try:
                return str(ipaddress.ip_address(hop))
            except ValueError:
                pass
        return remote

    async def _by_password(self, name: str, password: str) -> Account | None:
        if self._accounts is None:
            return None
        if self._waiting >= _WAITING:
            raise Refusal("rate_limited", "too many log in at this moment: wait 5 s", retry_after=5)
        self._waiting += 1
        try:
            async with self._together:
                return await asyncio.to_thread(self._accounts.by_password, name, password)
        finally:
            self._waiting -= 1

    def _is_link(self, token: str) -> bool:
        """Whether this is the start-up link's token. Takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
        if port and not (port.isascii() and port.isdigit() and int(port[:6]) <= _LAST_PORT):
            return False
        name = name.strip("[]").lower()
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _check_origin(request: web.Request) -> None:
    """A browser says on whose page a request was made; programs say nothing. Refusal `origin_not_allowed`."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get(hdrs.ORIGIN)
    # An opaque origin ("null") has no host, and is nobody's.
    elsewhere = origin is not None and _host(origin) != request.host
    if elsewhere or site not in {"same-origin", "none"}:
        raise Refusal("origin_not_allowed", "another site's page sent this request")


def _host(origin: str) -> str | None:
    """The host and port of an origin; None where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def _check_form(request: web.Request) -> None:
    """Read a form once, for whoever asks for it later; 400 where it is none. No form here sends parts."""
    if request.content_type == "multipart/form-data":
        raise web.HTTPBadRequest(text=f"forms are {_FORM} here\n")
    if request.content_type == _FORM:
        try:
            await request.post()
        except (ValueError, LookupError) as error:  # bytes that are no text, or a character set nobody knows
            raise web.HTTPBadRequest(text="this form cannot be read: UTF-8 is expected\n") from error


#: The guard of an application.
GUARD: Final = web.AppKey("guard", Guard)


async def _check_csrf(request: web.Request, operator: Operator) -> None:
    """The session's token, in the header or in a form's field; another site cannot read it to send it."""
    given: object = request.headers.get(CSRF_HEADER)
    if given is None and request.content_type == _FORM:
        given = (await request.post()).get(CSRF_FIELD)
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), operator.csrf.encode()
    ):
        raise Refusal("csrf_invalid", f"{CSRF_FIELD}: missing, or of another log-in; load the page again")


def _set_headers(response: web.StreamResponse) -> None:
    response.headers.update(
        {
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            # With no-referrer a browser sends `Origin: null` for our own forms (Fetch, section 3.2).
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
    )
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
