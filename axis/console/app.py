"""The operator's console: health and metrics for machines, one plain page for people, JSON twins of it.

Everything shown is read from the views, through a connection of its own for each request, in a thread; only
a document's header comes from the journal. What changes anything is in `axis.console.acts`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast, get_args

import jinja2
from aiohttp import web

from axis.console.access import check_routes
from axis.console.accounts import Accounts
from axis.console.acts import ACTS, Acts, acts_routes
from axis.console.guard import GUARD, NONCE, Guard
from axis.console.metrics import ConsoleMetrics
from axis.core.errors import Refusal
from axis.ports import StoredRecord
from axis.views.documents import show
from axis.views.projection import Views
from axis.views.queries import query
from axis.views.text import parse_time
from axis.views.traffic import Filter, traffic
from axis.views.volumes import By, Kind, Selection, volumes

__all__ = ["Sources", "create_console"]

T = TypeVar("T")

_LIMIT: Final = 1000
_RECENT: Final = 50
#: A form with a reason of 500 characters, each of three bytes, each byte as %XX.
_BODY_LIMIT: Final = 16 * 1024
_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sources:
    """What the console shows."""

    views: Views
    record: Callable[[int], StoredRecord | None]  # of the journal; called in the event loop
    metrics: ConsoleMetrics
    ready: Callable[[], str | None]  # why the node is not ready; None when it is
    now: Callable[[], int]  # milliseconds since the epoch


def create_console(
    sources: Sources,
    *,
    token: str,
    hosts: Iterable[str] = (),
    accounts: Accounts | None = None,
    acts: Acts | None = None,
) -> web.Application:
    """The console's application. `token` logs in as registrar; `hosts` are the names it may be called by.

    Without `accounts` nobody but the token's holder logs in, without `acts` nobody changes anything.
    """
    guard = Guard(token, hosts, accounts)
    pages = _Pages(sources, guard)
    application = web.Application(middlewares=[guard.middleware], client_max_size=_BODY_LIMIT)
    application[GUARD] = guard
    application[ACTS] = acts if acts is not None else Acts({})
    application.add_routes(
        [
            web.get("/livez", pages.live),
            web.get("/readyz", pages.ready),
            web.get("/metrics", pages.metrics),
            web.get("/login", pages.login),
            web.post("/login", pages.log_in),
            web.post("/logout", pages.log_out),
            web.get("/", pages.overview),
            web.get("/api/v1/volumes", pages.api_volumes),
            web.get("/api/v1/traffic", pages.api_traffic),
            web.get("/api/v1/documents/{document_id}", pages.api_document),
            *acts_routes(),
        ]
    )
    check_routes(application)
    return application


class _Pages:
    """The handlers."""

    def __init__(self, sources: Sources, guard: Guard) -> None:
        self._sources = sources
        self._guard = guard
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("axis.console", "."),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.filters["number"] = _number

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """The node can accept."""
        reason = self._sources.ready()
        body = {"ready": reason is None, "reason": reason}
        return web.json_response(body, status=200 if reason is None else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        body = await asyncio.to_thread(self._sources.metrics.render)
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def login(self, request: web.Request) -> web.Response:
        """The form."""
        return self._page(request, "login.html", refusal=None)

    async def log_in(self, request: web.Request) -> web.Response:
        """The form, filled in."""
        given = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        name = given.get("name", "")
        try:
            cookie = await self._guard.log_in(request, name, given.get("password" if name else "token", ""))
        except Refusal as refusal:
            response = self._page(request, "login.html", refusal.code.http_status, refusal=refusal)
            if refusal.retry_after is not None:
                response.headers["Retry-After"] = str(refusal.retry_after)
            return response
        welcome = web.HTTPSeeOther("/")
        self._guard.welcome(request, welcome, cookie)
        raise welcome

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session."""
        farewell = web.HTTPSeeOther("/login")
        self._guard.log_out(request, farewell)
        raise farewell

    async def overview(self, request: web.Request) -> web.Response:
        """Volumes and recent traffic."""
        month = request.query.get("month") or None
        selection = Selection(month=month)

        def read(views: sqlite3.Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
            return volumes(views, selection, self._sources.now()), traffic(views, Filter(limit=_RECENT))

        counts, lines = await self._read(read)
        return self._page(request, "overview.html", volumes=counts, lines=lines[::-1], month=month)

    async def api_volumes(self, request: web.Request) -> web.Response:
        """`axis volumes --json`."""
        wanted = request.query
        by, kind = wanted.get("by", "unit"), wanted.get("kind", "document")
        if by not in get_args(By) or kind not in get_args(Kind):
            raise Refusal("field_invalid", "by is unit, day or month; kind is document or status")
        selection = Selection(
            month=wanted.get("month"),
            by=cast("By", by),
            subtree=wanted.get("subtree"),
            kind=cast("Kind", kind),
        )
        answer = await self._read(lambda views: volumes(views, selection, self._sources.now()))
        return _json(answer)

    async def api_traffic(self, request: web.Request) -> web.Response:
        """`axis log --json`, as {"events": [...]}."""
        wanted = _filter(request)
        lines = await self._read(lambda views: traffic(views, wanted))
        return _json({"events": lines})

    async def api_document(self, request: web.Request) -> web.Response:
        """`axis show --json`."""
        document_id = request.match_info["document_id"]

        def place(views: sqlite3.Connection) -> int:
            row = views.execute(query("document"), {"document_id": document_id}).fetchone()
            return int(row["sequence"]) if row else 0

        # The journal is read in the loop's thread, the views in another.
        stored = self._sources.record(await self._read(place))
        answer = await self._read(lambda views: show(views, document_id, lambda _: stored))
        return _json(answer)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with closing(self._sources.views.reader()) as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(run)
        except sqlite3.OperationalError as error:
            raise Refusal("unavailable", f"the views cannot be read now: {error}", retry_after=5) from error

    def _page(self, request: web.Request, name: str, status: int = 200, **values: object) -> web.Response:
        text = self._templates.get_template(name).render(nonce=request[NONCE], **values)
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _json(value: object) -> web.Response:
    return web.json_response(value, dumps=partial(json.dumps, ensure_ascii=False))


def _filter(request: web.Request) -> Filter:
    wanted = request.query
    try:
        since = parse_time(wanted["since"]) if "since" in wanted else None
        until = parse_time(wanted["until"], end=True) if "until" in wanted else None
        limit, after = int(wanted.get("limit", "100")), int(wanted.get("after", "0"))
    except ValueError as error:
        raise Refusal("field_invalid", str(error)) from error
    if not 1 <= limit <= _LIMIT or after < 0:
        raise Refusal("field_invalid", f"limit: 1 to {_LIMIT}; after: not negative")
    return Filter(
        sender=wanted.get("from"),
        recipient=wanted.get("to"),
        document_id=wanted.get("document"),
        since=since,
        until=until,
        event=wanted.get("event"),
        code=wanted.get("code"),
        text=wanted.get("text"),
        operator=wanted.get("operator"),
        limit=limit,
        after=after,
    )


def _number(value: int) -> str:
    """As written in Vietnam: 2.408.320."""
    return f"{value:,}".replace(",", ".")
