"""The local HTTP API: the contract's routes over the node's service and store.

The same application is served at the configured address, behind a `Guard`, and at `HOME/control.sock` for
the home's owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from agencies.api.inbox import InboxRoutes
from agencies.api.node import NodeRoutes
from agencies.api.openapi import Parameter, Route, docs_page, document
from agencies.api.outbox import SentRoutes
from agencies.api.shared import LIMIT
from agencies.desk.requests import UnitList
from agencies.http.asked import check_encoding
from agencies.http.guard import Guard
from agencies.http.problems import plain_problem, problem_response
from agencies.http.replies import as_json
from agencies.http.uploads import JSON_LIMIT
from agencies.parts import NodeParts
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["application"]

#: These calls prove who makes them by themselves, also from other machines, and may carry any bytes.
VXP = "/vxp/"


class Api:
    """The handlers."""

    def __init__(self, parts: NodeParts) -> None:
        self._sent = SentRoutes(parts)
        self._inbox = InboxRoutes(parts)
        self._node = NodeRoutes(parts)
        self.routes = self._routes()
        self._openapi = document(self.routes, parts.version)

    def _routes(self) -> tuple[Route, ...]:
        return (
            *self._sent.routes(),
            *self._inbox.routes(),
            Route(
                "GET",
                "/v1/directory",
                self._node.directory,
                "Registered units whose codes and name hold every word of the query.",
                UnitList,
                parameters=(Parameter("query", "query", "words"), LIMIT),
            ),
            *self._node.routes(),
            Route("GET", "/openapi.json", self.openapi, "This description.", "application/json"),
            Route("GET", "/docs", self.docs, "This description as a page.", "text/html"),
        )

    async def openapi(self, _: web.Request) -> web.StreamResponse:
        """GET /openapi.json."""
        return as_json(self._openapi)

    async def docs(self, _: web.Request) -> web.StreamResponse:
        """GET /docs."""
        return web.Response(text=docs_page(self._openapi), content_type="text/html")


def application(parts: NodeParts, guard: Guard | None) -> web.Application:
    """The API as an aiohttp application; without a guard for the control socket."""
    api = Api(parts)

    @web.middleware
    async def outside(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if not request.path.startswith(VXP):
                check_encoding(request)
                if guard is not None:
                    guard.check(request)
            return await handler(request)
        except Refusal as refusal:
            return problem_response(refusal)
        except web.HTTPException as error:
            return plain_problem(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            get_logger().exception("request_failed", method=request.method, path=request.path)
            return problem_response(Refusal("unavailable", "the node failed; its log says why"))

    app = web.Application(middlewares=[outside], client_max_size=JSON_LIMIT)
    for route in api.routes:
        app.router.add_route(route.method, route.path, route.handler)
    return app
