"""The log-in form."""

from __future__ import annotations

from aiohttp import web

from axis.console.guard import Guard
from axis.console.site import Site

__all__ = ["Login"]


class Login:
    """`/login`."""

    def __init__(self, site: Site, guard: Guard) -> None:
        self._site, self._guard = site, guard

    async def form(self, request: web.Request) -> web.Response:
        """The form."""
        return self._site.page(request, "login", wrong=False)

    async def log_in(self, request: web.Request) -> web.Response:
        """The form, filled in."""
        given = (await request.post()).get("token", "")
        if not isinstance(given, str) or not self._guard.log_in(given.strip()):
            return self._site.page(request, "login", status=401, wrong=True)
        response = web.HTTPSeeOther("/")
        self._guard.welcome(response)
        raise response
