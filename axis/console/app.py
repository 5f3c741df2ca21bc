"""The operator's console: pages for people, JSON twins of them, health and metrics for machines.

Everything shown is read from the views, through a connection of its own for each request, in a thread (large
pages and answers are made there too: the event loop serves the agencies); only a document's header comes from
the journal. What changes anything is in `axis.console.acts`. Here the parts
are put together; each page has a module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from axis.console.access import check_routes
from axis.console.accounts import Accounts
from axis.console.acts import ACTS, Acts, act_twins
from axis.console.api import Api
from axis.console.assets import Assets
from axis.console.audits import AuditRuns, Audits
from axis.console.charts import Charts
from axis.console.deliveries import Deliveries
from axis.console.documents import Documents
from axis.console.faults import faults
from axis.console.guard import GUARD, Guard
from axis.console.health import Check, Health
from axis.console.live import Live
from axis.console.login import Login
from axis.console.metrics import ConsoleMetrics
from axis.console.openapi import Description, served
from axis.console.overview import Overview
from axis.console.reading import Reading
from axis.console.register import RegisterActs
from axis.console.reports import Reports
from axis.console.site import Site
from axis.console.traffic import Traffic
from axis.console.trust import Trust
from axis.console.units import Units
from axis.core.errors import Refusal
from axis.ports import StoredRecord
from axis.views.projection import Views

__all__ = ["Sources", "create_console"]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the console shows."""

    views: Views
    record: Callable[[int], StoredRecord | None]  # of the journal; called in the event loop
    metrics: ConsoleMetrics
    checks: Callable[[], Sequence[Check]]  # what the node needs, and whether it has it
    now: Callable[[], int]  # milliseconds since the epoch
    contacts: Callable[[], Mapping[str, int]] = dict  # when each node was last heard of, in milliseconds
    directory: Callable[[], int] = int  # the sequence of the directory's newest change; in the event loop


#: A form with a reason of 500 characters, each of three bytes, each byte as %XX.
_BODY_LIMIT: Final = 16 * 1024


def create_console(
    sources: Sources,
    *,
    token: str,
    hosts: Iterable[str] = (),
    proxies: Iterable[str] = (),
    accounts: Accounts | None = None,
    acts: Acts | None = None,
    audits: AuditRuns | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The console's application. `token` logs in as registrar; `hosts` are the names it may be called by.

    Without `accounts` nobody but the token's holder logs in, without `acts` nobody changes anything, without
    `audits` none is run. `proxies` are addresses whose X-Forwarded-For is believed; `clock` gives seconds
    that never go back.
    """
    guard = Guard(token, hosts, accounts, clock, proxies)
    application = web.Application(middlewares=[guard.middleware], client_max_size=_BODY_LIMIT)
    application[GUARD] = guard
    application[ACTS] = acts if acts is not None else Acts({})
    site = Site(application, Assets())
    application.middlewares.append(faults(site, lambda: _behind(sources.checks())))
    guard.page = partial(_refused, site)
    reading = Reading(sources.views)
    application.cleanup_ctx.append(reading.run)
    live = Live(reading)
    application.cleanup_ctx.append(live.run)
    health = Health(sources.metrics, sources.checks)
    application.cleanup_ctx.append(health.run)
    login = Login(site, guard)
    overview = Overview(site, reading, live, sources.now, sources.contacts)
    traffic = Traffic(site, reading, live)
    units = Units(site, reading, sources.now, sources.contacts)
    reports = Reports(site, reading, sources.now)
    charts = Charts(reading, sources.now, overview)
    deliveries = Deliveries(site, reading, sources.now)
    documents = Documents(site, reading, sources.record)
    trust = Trust(site, reading, contacts=sources.contacts, directory=sources.directory, now=sources.now)
    register = RegisterActs(site, reading, directory=sources.directory, now=sources.now)
    audited = Audits(site, reading, live, audits)
    api = Api(reading, documents, sources.now)
    described = Description(
        site,
        reading,
        (
            *overview.twins(),
            *units.twins(),
            *deliveries.twins(),
            *api.routes(),
            *trust.twins(),
            *audited.twins(),
            *act_twins(),
        ),
    )
    application.add_routes(
        [
            web.get("/livez", health.live),
            web.get("/readyz", health.ready),
            web.get("/metrics", health.metrics),
            web.get("/login", login.form),
            web.post("/login", login.log_in),
            web.post("/logout", login.log_out),
            web.get("/", overview.page),
            web.get("/deliveries", deliveries.page),
            web.get("/traffic", traffic.page),
            web.get("/traffic.csv", traffic.as_csv),
            web.get("/traffic.ndjson", traffic.as_json),
            web.get("/live/traffic", traffic.follow),
            web.get("/units", units.page),
            web.get("/units/{code}", units.one),
            web.get("/reports/volumes", reports.page),
            web.get("/reports/volumes.csv", reports.csv),
            web.get("/reports/volumes.xlsx", reports.xlsx),
            web.get("/live/overview", overview.follow),
            web.get("/charts/minutes.svg", charts.minutes),
            web.get("/charts/days.svg", charts.days),
            web.get("/charts/units.svg", charts.units),
            web.get("/charts/periods.svg", charts.periods),
            web.get("/charts/hours.svg", charts.hours),
            web.get("/documents/{document_id}", documents.page),
            web.post("/documents/{document_id}/requeue", documents.requeue),
            web.post("/documents/{document_id}/close", documents.close),
            *trust.routes(),
            *register.routes(),
            *audited.routes(),
            web.get("/api", described.page),
            *served(described.routes),
        ]
    )
    check_routes(application)
    return application


def _behind(checks: Iterable[Check]) -> bool:
    """Whether pages lack what the journal holds."""
    return any(each.name == "views" and each.doubt for each in checks)


def _refused(site: Site, request: web.Request, refusal: Refusal) -> web.Response:
    """What the guard refuses to a person."""
    said = "role" if refusal.name == "role_insufficient" else ""
    return site.problem(request, refusal.code.http_status, refusal, said=said)
