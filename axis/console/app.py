"""The operator's console: health and metrics for machines, one plain page for people, JSON twins of it.

Everything shown is read from the views, through a connection of its own for each request, in a thread; only
a document's header comes from the journal. Nothing here changes anything.
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

from axis.console.guard import NONCE, Guard
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
_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sources:
    """What the console shows."""

    views: Views
    record: Callable[[int], StoredRecord | None]  # of the journal; called in the event loop
    metrics: ConsoleMetrics
    ready: Callable[[], str | None]  # why the node is not ready; None when it is
    now: Callable[[], int]  # milliseconds since the epoch


def create_console(sources: Sources, *, token: str, hosts: Iterable[str] = ()) -> web.Application:
    """The console's application. `token` logs in; `hosts` are the names it may be called by."""
    guard = Guard(token, hosts)
    pages = _Pages(sources, guard)
    application = web.Application(middlewares=[guard.middleware], client_max_size=4096)
    application.add_routes(
        [
            web.get("/livez", pages.live),
            web.get("/readyz", pages.ready),
            web.get("/metrics", pages.metrics),
            web.get("/login", pages.login),
            web.post("/login", pages.log_in),
            web.get("/", pages.overview),
            web.get("/api/v1/volumes", pages.api_volumes),
            web.get("/api/v1/traffic", pages.api_traffic),
            web.get("/api/v1/documents/{document_id}", pages.api_document),
        ]
    )
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
        return self._page(request, "login.html", wrong=False)

    async def log_in(self, request: web.Request) -> web.Response:
        """The form, filled in."""
        given = (await request.post()).get("token", "")
        if not isinstance(given, str) or not self._guard.log_in(given.strip()):
            return self._page(request, "login.html", status=401, wrong=True)
        response = web.HTTPSeeOther("/")
        self._guard.welcome(response)
        raise response

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
        limit=limit,
        after=after,
    )


def _number(value: int) -> str:
    """As written in Vietnam: 2.408.320."""
    return f"{value:,}".replace(",", ".")
