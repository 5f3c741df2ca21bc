"""The operator's console: pages for people, JSON twins of them, health and metrics for machines.

Everything shown is read from the views, through a connection of its own for each request, in a thread; only
a document's header comes from the journal. Here the parts are put together; each page has a module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from axis.console.api import Api
from axis.console.assets import Assets
from axis.console.guard import Guard
from axis.console.health import Health
from axis.console.live import Live
from axis.console.login import Login
from axis.console.metrics import ConsoleMetrics
from axis.console.overview import Overview
from axis.console.reading import Reading
from axis.console.site import Site
from axis.console.traffic import Traffic
from axis.ports import StoredRecord
from axis.views.projection import Views

__all__ = ["Sources", "create_console"]


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
    application = web.Application(middlewares=[guard.middleware], client_max_size=4096)
    site = Site(application, Assets())
    reading = Reading(sources.views)
    live = Live(reading)
    application.cleanup_ctx.append(live.run)
    health = Health(sources.metrics, sources.ready)
    login = Login(site, guard)
    overview = Overview(site, reading, sources.now)
    traffic = Traffic(site, reading, live)
    api = Api(reading, sources.record, sources.now)
    application.add_routes(
        [
            web.get("/livez", health.live),
            web.get("/readyz", health.ready),
            web.get("/metrics", health.metrics),
            web.get("/login", login.form),
            web.post("/login", login.log_in),
            web.get("/", overview.page),
            web.get("/live/traffic", traffic.follow),
            web.get("/api/v1/volumes", api.volumes),
            web.get("/api/v1/traffic", api.traffic),
            web.get("/api/v1/documents/{document_id}", api.document),
        ]
    )
    return application
