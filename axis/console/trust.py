"""Trust: certificates by expiry and state, who has a node, when it was last heard of. Only shown here;
a registrar's acts are in `axis.console.register`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from axis.console.api import json_answer
from axis.console.filters import only
from axis.console.paging import PAGING, limit_of
from axis.console.reading import Reading
from axis.console.roles import OPERATOR, Role
from axis.console.shapes import units as shapes
from axis.console.site import Site
from axis.console.told import Wrong
from axis.core.decide_enrolment import REVOCATION_REASONS
from axis.core.errors import Refusal
from axis.core.organisation import AXIS
from axis.openapi import Parameter, Route
from axis.views.file import snapshot
from axis.views.overview import CONNECTED
from axis.views.text import rfc3339
from axis.views.trust import STATES, UNIT_STATES, USAGES, Wanted, certificates, one_unit, standing, units
from axis.views.units import names_of

__all__ = ["Trust"]

#: Certificates of one unit that its page shows, the first to end first.
_OF_ONE: Final = 200
_DONE: Final = frozenset({"suspended", "resumed", "revoked", "changed"})

#: How certificates and units may be asked for.
_CERTIFICATES: Final = (
    Parameter("state", "query", "in which state", {"enum": list(STATES), "default": "active"}),
    Parameter("usage", "query", "for what", {"enum": list(USAGES)}),
    Parameter("unit", "query", "whose, by any of its codes; `axis`: the axis's own"),
    *PAGING,
)
_UNITS: Final = (
    Parameter("state", "query", "which", {"enum": list(UNIT_STATES), "default": "all"}),
    *PAGING,
)


class Trust:
    """`/trust`, the units below it, and their twins. `contacts` is of this node, since its start."""

    def __init__(
        self,
        site: Site,
        reading: Reading,
        *,
        contacts: Callable[[], Mapping[str, int]],
        directory: Callable[[], int],
        now: Callable[[], int],
    ) -> None:
        self._site, self._reading = site, reading
        self._contacts, self._directory, self._now = contacts, directory, now

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/trust", self.page),
            web.get("/trust/units", self.units_page),
            web.get("/trust/units/{code}", self.unit_page),
        ]

    def twins(self) -> tuple[Route, ...]:
        """What is served to programs."""
        return (
            Route(
                "GET",
                "/api/v1/trust",
                self.twin,
                "Certificates, the first to end first, and how many are in each state.",
                shapes.Trust,
                parameters=_CERTIFICATES,
                codes=("field_invalid", "unavailable"),
            ),
            Route(
                "GET",
                "/api/v1/trust/units",
                self.units_twin,
                "Registered units: who has a node, and when it was last heard of.",
                shapes.TrustUnits,
                parameters=_UNITS,
                codes=("field_invalid", "unavailable"),
            ),
        )

    async def page(self, request: web.Request) -> web.Response:
        """Certificates, the first to end first."""
        given, found, problem = dict(request.query), None, None
        try:
            found = await self._found(request.query)
        except Refusal as refusal:
            if refusal.name != "field_invalid":
                raise
            problem = refusal
        found = found if found is not None else await self._found({})
        owners = {row["org"] for row in found["certificates"]}
        return self._site.page(
            request,
            "trust",
            status=422 if problem else 200,
            given=given,
            found=found,
            names=await self._reading.read(lambda views: names_of(views, owners)),
            problem=problem,
            states=STATES,
            usages=USAGES,
            now=self._now(),
            axis=AXIS,
            reasons=REVOCATION_REASONS,
            registrar=request[OPERATOR].may(Role.REGISTRAR),
        )

    async def twin(self, request: web.Request) -> web.Response:
        """{"head", "directory", "states": {usage: {state: n}}, "organisations": {state: n},
        "nodes": {"connected", "heard_of"}, "certificates": [as `axis cert list`, …], "next": cursor or null}.

        Asked for with `state` (active, expiring, expired, revoked, all), `usage`, `unit`, `limit`, `after`.
        """
        return json_answer(await self._found(request.query))

    async def units_page(self, request: web.Request) -> web.Response:
        """Registered units: who has a node, and when it was last heard of."""
        only(request.query, ("code", "state", "after", "limit"))
        code = request.query.get("code", "").strip()
        problem = None
        if code:
            try:
                unit = await self._reading.read(lambda views: one_unit(views, code))
                raise web.HTTPSeeOther(str(request.url.relative().with_path(f"/trust/units/{unit['code']}")))
            except Refusal as refusal:
                if refusal.name != "unit_unknown":
                    raise
                problem = refusal
        state = _one_of(request.query, "state", UNIT_STATES, "all")
        rows, following = await self._units(request.query, state)
        return self._site.page(
            request,
            "trust_units",
            status=404 if problem else 200,
            section="trust",
            rows=rows,
            following=following,
            code=code,
            state=state,
            states=UNIT_STATES,
            problem=problem,
            registrar=request[OPERATOR].may(Role.REGISTRAR),
        )

    async def units_twin(self, request: web.Request) -> web.Response:
        """{"units": [{"code", "name", "parent", "state", "enrolled", "hosted_by", "last_contact"}], "next"}.

        `hosted_by`: the unit whose node serves it, null where there is none.
        """
        only(request.query, [each.name for each in _UNITS])
        rows, following = await self._units(
            request.query, _one_of(request.query, "state", UNIT_STATES, "all")
        )
        for row in rows:
            row["last_contact"] = rfc3339(row["last_contact"]) if row["last_contact"] is not None else None
        return json_answer({"units": rows, "next": following})

    async def unit_page(self, request: web.Request) -> web.Response:
        """One unit: its certificates, its node, and what a registrar may do."""
        only(request.query, ("done",))
        code = request.match_info["code"]
        wanted = Wanted("all", unit=code, limit=_OF_ONE)

        def read(views: sqlite3.Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
            with snapshot(views):
                return one_unit(views, code), certificates(views, wanted, self._now())[0]

        unit, found = await self._reading.read(read)
        done = request.query.get("done", "")
        return self._site.page(
            request,
            "trust_unit",
            section="trust",
            unit=unit,
            certificates=found,
            contact=self._contacts().get(unit["code"]),
            now=self._now(),
            axis=AXIS,
            reasons=REVOCATION_REASONS,
            done=done if done in _DONE else "",
            registrar=request[OPERATOR].may(Role.REGISTRAR),
        )

    async def _found(self, query: Mapping[str, str]) -> dict[str, Any]:
        only(query, [each.name for each in _CERTIFICATES])
        unit = query.get("unit", "").strip()
        wanted = Wanted(
            state=_one_of(query, "state", STATES, "active"),
            usage=_one_of(query, "usage", USAGES, "") or None,
            unit=unit[:60] or None,
            after=query.get("after", ""),
            limit=limit_of(query),
        )
        now, directory, contacts = self._now(), self._directory(), self._contacts()

        def read(views: sqlite3.Connection) -> dict[str, Any]:
            with snapshot(views):
                rows, following = certificates(views, wanted, now)
                return {**standing(views, now), "certificates": rows, "next": following}

        recent = sum(1 for at in contacts.values() if at >= now - CONNECTED)
        nodes = {"connected": recent, "heard_of": len(contacts)}
        return {"directory": directory, "nodes": nodes, **await self._reading.read(read)}

    async def _units(self, query: Mapping[str, str], state: str) -> tuple[list[dict[str, Any]], str | None]:
        after, limit = query.get("after", ""), limit_of(query)
        rows, following = await self._reading.read(
            lambda views: units(views, state, after=after, limit=limit)
        )
        contacts = self._contacts()
        return [{**row, "last_contact": contacts.get(row["code"])} for row in rows], following


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = query.get(name, "").strip() or default
    if value != default and value not in known:
        raise Wrong(name, "one_of", known=", ".join(known))
    return value
