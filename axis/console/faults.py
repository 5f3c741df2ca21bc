"""What a page cannot show, said in words: an unknown place, a wrong filter, views that cannot be read now, or
that are behind the journal.

For people only: `/api`, `/live` and files keep their coded answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from axis.console.roles import OPERATOR
from axis.console.site import BEHIND, Site
from axis.core.errors import Refusal

__all__ = ["faults"]

_MACHINES: Final = ("/api/", "/live/", "/static/", "/livez", "/readyz", "/metrics")
_FILES: Final = (".csv", ".ndjson", ".svg", ".xlsx")
_SAID: Final = frozenset({404, 422, 503})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def faults(site: Site, behind: Callable[[], bool]) -> Middleware:
    """The middleware, within the guard: only who has logged in learns what there is. `behind`: whether the
    views are; asked in the event loop.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        machine = request.path.startswith(_MACHINES) or request.path.endswith(_FILES)
        if request.get(OPERATOR) is not None:
            request[BEHIND] = behind()
        if machine or request.get(OPERATOR) is None:
            return await handler(request)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return site.problem(request, 404)
        except Refusal as refusal:
            status = refusal.code.http_status
            if status not in _SAID:
                raise
            return site.problem(request, status, refusal)

    return middleware
