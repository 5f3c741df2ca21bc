"""Audit: run one and see what it found, what was found before, and what operators did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from aiohttp import web

from axis.console.api import json_answer
from axis.console.filters import filter_of, only
from axis.console.live import Live
from axis.console.reading import Reading
from axis.console.roles import OPERATOR, Role
from axis.console.shapes.audits import AuditList, AuditRun
from axis.console.shared import Shared
from axis.console.site import Site
from axis.core.errors import Refusal
from axis.core.organisation import AXIS
from axis.openapi import Parameter, Route
from axis.views.text import rfc3339
from axis.views.traffic import page

__all__ = ["AuditRuns", "Audits"]

_ACTS: Final = 50
#: How old a list of runs may be that is only looked at again, in seconds.
_PAUSE: Final = 0.9

_Runs = list[dict[str, Any]]


class AuditRuns(Protocol):
    """Runs audits, one at a time, and keeps what they found (`axis.app.audits` says how)."""

    def all(self) -> _Runs:
        """Every run that is kept, newest first; called in a thread."""

    async def start(self, by: str, quick: bool) -> dict[str, Any]:
        """Begin one; Refusal `unavailable` while another is under way."""


class Audits:
    """`/audit` and its twin. `runs` None: this node runs none."""

    def __init__(self, site: Site, reading: Reading, live: Live, runs: AuditRuns | None) -> None:
        self._site, self._reading, self._live, self._runs = site, reading, live, runs
        self._recent = Shared(self._read, _PAUSE)

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/audit", self.page),
            web.post("/audit", self.run),
            web.get("/live/audit", self.follow),
        ]

    def twins(self) -> tuple[Route, ...]:
        """What is served to programs."""
        quick = Parameter("quick", "query", "1: without reading attachments", {"enum": ["1"]})
        return (
            Route(
                "GET",
                "/api/v1/audits",
                self.twin,
                "The newest audits, what they found, and how far one is that runs.",
                AuditList,
                codes=("field_invalid", "unavailable"),
            ),
            Route(
                "POST",
                "/api/v1/audits",
                self.run_twin,
                "Begin an audit beside the serving node; one runs at a time.",
                AuditRun,
                parameters=(quick,),
                codes=("field_invalid", "unavailable"),
            ),
        )

    async def page(self, request: web.Request) -> web.Response:
        """A run (the newest, or the one that `run` names), all runs, operators' acts in pages: all of them,
        or those of `operator`.
        """
        only(request.query, ("run", "operator", "before"))
        return await self._show(request)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """The runs as they go on: how far one is, how it ended. One look serves everybody who waits."""
        only(request.query, ("run",))
        loop = asyncio.get_running_loop()

        async def look() -> str:
            _, runs = await self._recent.get(lambda made: loop.time() - made[0] < _PAUSE)
            return self._site.fragment(request, "audit_runs", **_shown_runs(request, runs))

        return await self._live.watch(request, look)

    async def run(self, request: web.Request) -> web.Response:
        """Begin an audit, and go back to the page, which shows how far it is."""
        only(request.query, ())
        form = await request.post()
        try:
            await self._start(request, quick=form.get("quick") == "1")
        except Refusal as refusal:
            return await self._show(request, problem=refusal)
        raise web.HTTPSeeOther("/audit")

    async def twin(self, request: web.Request) -> web.Response:
        """{"audits": [{"id", "at", "by", "quick", "state", "seconds", "detail", "report", "progress"?}]}."""
        only(request.query, ())
        found = {"audits": [_shown(run) for run in await self._all()]}
        return await self._reading.compute(lambda: json_answer(found))

    async def run_twin(self, request: web.Request) -> web.Response:
        """Begin an audit, `?quick=1` without reading attachments: the run."""
        only(request.query, ("quick",))
        return json_answer(_shown(await self._start(request, quick=request.query.get("quick") == "1")))

    async def _start(self, request: web.Request, *, quick: bool) -> dict[str, Any]:
        by = request[OPERATOR]
        by.require(Role.OPERATOR)
        if self._runs is None:
            raise Refusal("unavailable", "this node runs no audits")
        return await self._runs.start(by.name, quick)

    async def _all(self) -> _Runs:
        return await self._reading.compute(self._runs.all) if self._runs is not None else []

    async def _read(self) -> tuple[float, _Runs]:
        return asyncio.get_running_loop().time(), await self._all()

    async def _show(self, request: web.Request, *, problem: Refusal | None = None) -> web.Response:
        operator = request.query.get("operator", "").strip()
        wanted = filter_of({**_place(request), "operator": operator or "*"}, _ACTS)
        acts = await self._reading.read(lambda views: page(views, wanted))
        shown = _shown_runs(request, await self._all())
        if "run" in request.query and shown["chosen"] is None:
            raise web.HTTPNotFound
        return self._site.page(
            request,
            "audit",
            status=problem.code.http_status if problem else 200,
            **shown,
            acts=acts,
            by=operator,
            axis=AXIS,
            problem=problem,
        )


def _shown_runs(request: web.Request, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the part of the page that tells of runs needs; `chosen` is None where there is no such run."""
    named = request.query.get("run")
    return {
        "runs": runs,
        "named": named,
        "chosen": next((run for run in runs if named in {None, run["id"]}), None),
        "busy": any(run["state"] == "running" for run in runs),
        "may_run": request[OPERATOR].may(Role.OPERATOR),
    }


def _place(request: web.Request) -> dict[str, str]:
    return {"before": request.query["before"]} if "before" in request.query else {}


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "at": rfc3339(run["at"])}
