"""The local API's routes about the node itself: health, metrics, events, directory, volumes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from agencies.api.metrics import metrics_text
from agencies.api.openapi import Parameter, Route
from agencies.events import Event
from agencies.http.asked import last_event, limit
from agencies.http.replies import as_json
from agencies.parts import NodeParts
from agencies.store.counting import volumes
from agencies.store.found_marks import contents_count
from agencies.store.restored import is_catching_up
from agencies.times import rfc3339
from agencies.units import hosted_by, primary
from axis.core.errors import Refusal
from axis.core.volumes import Counts

__all__ = ["NodeRoutes"]

_HEARTBEAT_SECONDS: Final = 15.0


class NodeRoutes:
    """Handlers."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        """All but the directory, which stands among the documents' routes."""
        month = Parameter("month", "query", "YYYY-MM, UTC+07:00; default: everything")
        by = Parameter("by", "query", "rows by", {"enum": ["unit", "day", "month"], "default": "unit"})
        kind = Parameter("kind", "query", "of what", {"enum": ["document", "status"], "default": "document"})
        last = Parameter("Last-Event-ID", "header", "go on behind this event")
        only = Parameter("only", "query", "these events, by name, separated by commas; default: all")
        return (
            Route(
                "GET",
                "/v1/events",
                self.events,
                "What happens, as it happens.",
                "text/event-stream",
                parameters=(last, only),
            ),
            Route(
                "GET",
                "/v1/volumes",
                self.volumes,
                "What this node's units sent and received.",
                "application/json",
                parameters=(month, by, kind),
            ),
            Route(
                "GET",
                "/v1/node",
                self.node,
                "This node: who it is and how it stands with the axis.",
                "application/json",
            ),
            Route("GET", "/livez", self.livez, "The process answers.", "application/json"),
            Route(
                "GET",
                "/readyz",
                self.readyz,
                "The local store is usable; the axis's reach is shown.",
                "application/json",
            ),
            Route("GET", "/metrics", self.metrics, "Prometheus metrics.", "text/plain"),
        )

    async def livez(self, _: web.Request) -> web.StreamResponse:
        """GET /livez."""
        return as_json({"live": True})

    async def readyz(self, _: web.Request) -> web.StreamResponse:
        """GET /readyz."""
        ready = not self._parts.stopping.is_set()
        try:
            self._parts.store.row("SELECT 1 FROM setting LIMIT 1")
        except sqlite3.Error:
            ready = False
        return as_json({"ready": ready, "axis": self._axis()}, status=200 if ready else 503)

    def _axis(self) -> dict[str, Any]:
        receiver = self._parts.receiver
        return {
            "connected": receiver.connected,
            "trouble": receiver.trouble,
            "urls": list(self._parts.settings.axis),
            "head": str(self._parts.client.heads) or None,
            "directory_as_of": self._parts.directory.as_of,
            "catching_up": is_catching_up(self._parts.store),
            "keys_replaced": self._keys_replaced(),
        }

    def _keys_replaced(self) -> bool:
        """Whether this organisation has newer keys than those of the copy that this home was made from."""
        parts = self._parts
        own = parts.directory.certificate(parts.identity.credentials.certificate_sha256)
        return parts.own_certificates.replaced_after(own.issued_sequence if own is not None else 0)

    async def node(self, _: web.Request) -> web.StreamResponse:
        """GET /v1/node."""
        parts = self._parts
        counts = {
            "queued": "SELECT count(*) FROM sent WHERE state = 'queued'",
            "held": "SELECT count(*) FROM held",
            "receipts_queued": "SELECT count(*) FROM receipt WHERE state = 'queued'",
        }
        found = {name: (parts.store.row(sql) or [0])[0] for name, sql in counts.items()}
        return as_json(
            {
                "code": parts.identity.code,
                "axis_id": parts.identity.axis_id,
                "version": parts.version,
                "online": parts.service.online,
                "axis": self._axis(),
                **found,
                # Of documents found again after the home was restored.
                "contents_fetching": contents_count(parts.store, "fetching"),
                "contents_lost": contents_count(parts.store, "lost"),
            }
        )

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        """GET /metrics."""
        return web.Response(
            body=metrics_text(self._parts), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    async def directory(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/directory."""
        directory = self._parts.directory.directory
        found = directory.search(request.query.get("query", ""), limit(request))
        units = [
            {
                "code": unit.code,
                "name": unit.name,
                "parent": unit.parent,
                "old_codes": list(unit.old_codes),
                "suspended": unit.suspended,
                "hosted_by": directory.host_of(unit.code),
            }
            for unit in found
        ]
        return as_json({"units": units, "as_of": self._parts.directory.as_of})

    async def volumes(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/volumes."""
        by, kind = request.query.get("by", "unit"), request.query.get("kind", "document")
        if by not in ("unit", "day", "month") or kind not in ("document", "status"):
            raise Refusal("field_invalid", "by: unit, day or month; kind: document or status")
        directory = self._parts.directory.directory
        found = volumes(
            self._parts.store,
            kind=kind,
            month=request.query.get("month"),
            by=by,
            units=hosted_by(directory, self._parts.identity.code),
            primary=lambda code: primary(directory, code),
        )
        rows = [self._labels(name, by) | asdict(counts) for name, counts in found]
        total = sum((counts for _, counts in found), Counts())
        if by != "unit" and found:
            # What is in flight is a stand, not a flow: the total's are the first row's and the last row's.
            ends = {"in_flight_before": found[0][1].in_flight_before, "in_flight": found[-1][1].in_flight}
            total = Counts(**(asdict(total) | ends))
        return as_json(
            {
                "generated_at": rfc3339(self._parts.clock.now()),
                "head": str(self._parts.client.heads) or None,
                "rows": rows,
                "total": asdict(total),
            }
        )

    def _labels(self, name: str, by: str) -> dict[str, str]:
        if by != "unit":
            return {"period": name}
        unit = self._parts.directory.directory.unit(name)
        return {"code": name, "name": unit.name if unit else "", "parent": unit.parent if unit else ""}

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/events: one server-sent event for each thing that happens, a comment as heartbeat."""
        events = self._parts.events
        number = last_event(request, events.newest)  # a higher one is of the node's earlier life
        only = frozenset(filter(None, request.query.get("only", "").split(",")))
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not self._parts.stopping.is_set():
            news = events.after(number)
            number = news[-1].number if news else number
            text = "".join(_as_text(event) for event in news if not only or event.name in only)
            left = quiet_since + _HEARTBEAT_SECONDS - loop.time()
            if text or left <= 0:
                await response.write(text.encode() or b": still here\n\n")
                quiet_since, left = loop.time(), _HEARTBEAT_SECONDS
            await events.beyond(number, left)  # stopping is an event, too
        return response


def _as_text(event: Event) -> str:
    data = json.dumps(event.data, ensure_ascii=False)
    return f"id: {event.number}\nevent: {event.name}\ndata: {data}\n\n"
