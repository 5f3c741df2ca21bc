"""`/api/v1` described, as OpenAPI 3.1 and as a page: made of the routes that are served, with their roles.

Whoever has a log-in may read it. What refuses before a route is reached (log-in, role, other sites' pages) is
said here, once; everything else stands with its route.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from typing import Any, Final

from aiohttp import hdrs, web

from axis.console.access import ACCESS
from axis.console.api import json_answer
from axis.console.filters import only
from axis.console.guard import COOKIE, CSRF_HEADER
from axis.console.reading import Reading
from axis.console.roles import Role
from axis.console.site import Site
from axis.openapi import Route, document

__all__ = ["Description", "served"]

_PATH: Final = "/api/v1/openapi.json"
_DESCRIPTION: Final = (
    "What the operator's pages show and do, for programs: the same numbers as the command line's `--json`. "
    "Errors are application/problem+json (RFC 9457) with a stable `code`; `temporary` says whether the same "
    "request may succeed later, `Retry-After` when. A name that a query or a body may not hold is refused, "
    "never left out. Each operation names the least role it needs (viewer < operator < registrar)."
)
_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "Of an account (`axis operator add NAME --role ROLE --token`) or the start-up link.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A browser's log-in at /login.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "With a browser's log-in, for what changes anything: the field `csrf` of its forms.",
    },
}


class Description:
    """Serves the description of `routes`, and of itself."""

    def __init__(self, site: Site, reading: Reading, routes: Iterable[Route]) -> None:
        self._site, self._reading = site, reading
        kind, codes = "application/json", ("field_invalid",)
        own = Route("GET", _PATH, self.serve, "This description.", kind, codes=codes)
        self.routes: Final = (*routes, own)
        self._made: dict[str, Any] | None = None

    async def serve(self, request: web.Request) -> web.Response:
        """As JSON."""
        only(request.query, ())
        return json_answer(self._described())

    async def page(self, request: web.Request) -> web.Response:
        """For people."""
        only(request.query, ())
        described = self._described()

        def made() -> web.Response:
            schemas = described["components"]["schemas"].items()
            shapes = {name: json.dumps(schema, ensure_ascii=False, indent=2) for name, schema in schemas}
            return self._site.page(
                request, "api", described=described, shapes=shapes, at=_PATH, origin=request.url.origin()
            )

        return await self._reading.compute(made)

    def _described(self) -> dict[str, Any]:
        """Made when it is first asked for."""
        if self._made is None:
            self._made = document(
                [_refused_before(route) for route in self.routes],
                title="National document axis: operator's console",
                version=metadata.version("document-axis"),
                description=_DESCRIPTION,
                schemes=_SCHEMES,
                security=_security,
            )
        return self._made


def served(routes: Iterable[Route]) -> list[web.RouteDef]:
    """The same routes for an application."""
    adding = {hdrs.METH_GET: web.get, hdrs.METH_POST: web.post}
    return [adding[route.method](route.path, route.handler) for route in routes]


def _refused_before(route: Route) -> Route:
    """With the codes of the guard."""
    codes = ["not_authorised", *route.codes]
    if ACCESS[route.method, route.path] != Role.VIEWER:
        codes.append("role_insufficient")
    if route.method != hdrs.METH_GET:
        codes += ["csrf_invalid", "origin_not_allowed"]
    return replace(route, codes=tuple(dict.fromkeys(codes)))


def _security(route: Route) -> dict[str, Any]:
    """A bearer token, or a browser's log-in. The lists name roles (OpenAPI 3.1.0, section 4.8.30)."""
    role = ACCESS[route.method, route.path]
    assert role is not None, "the API shows nothing without a log-in"
    roles = [str(role)]
    session = {"session": roles} | ({} if route.method == hdrs.METH_GET else {"csrf": []})
    return {"description": f"Needs the role {role}.", "security": [{"bearer": roles}, session]}
