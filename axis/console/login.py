"""Logging in and out."""

from __future__ import annotations

from aiohttp import web

from axis.console.guard import Guard
from axis.console.site import Site, is_here
from axis.core.errors import Refusal

__all__ = ["Login"]


class Login:
    """`/login`, `/logout`."""

    def __init__(self, site: Site, guard: Guard) -> None:
        self._site, self._guard = site, guard

    async def form(self, request: web.Request) -> web.Response:
        """The form; after a start-up link of a node that has stopped since (`link=ended`) it says so."""
        ended = request.query.get("link") == "ended"
        return self._site.page(request, "login", refusal=None, ended=ended)

    async def log_in(self, request: web.Request) -> web.Response:
        """The form, filled in; then the page that was asked for before (`back`), or the first one."""
        given = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        name = given.get("name", "")
        try:
            cookie = await self._guard.log_in(request, name, given.get("password" if name else "token", ""))
        except Refusal as refusal:
            status = refusal.code.http_status
            response = self._site.page(request, "login", status=status, refusal=refusal, ended=False)
            if refusal.retry_after is not None:
                response.headers["Retry-After"] = str(refusal.retry_after)
            return response
        back = request.query.get("back", "/")
        welcome = web.HTTPSeeOther(back if is_here(back) else "/")
        self._guard.welcome(request, welcome, cookie)
        raise welcome

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session."""
        farewell = web.HTTPSeeOther("/login")
        self._guard.log_out(request, farewell)
        raise farewell
