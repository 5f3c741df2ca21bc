"""`agency vxp …` at the control socket: systems are added, listed, rotated and removed; the log is read."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from agencies.http.replies import as_json
from agencies.parts import NodeParts
from agencies.vxp.call_log import CallLog
from agencies.vxp.systems import Systems
from axis.core.errors import Refusal

__all__ = ["Administration"]

_MOST_CALLS: Final = 10_000


class Administration:
    """The owner's routes; never served at the public address."""

    def __init__(self, parts: NodeParts, systems: Systems, log: CallLog) -> None:
        self._parts = parts
        self._systems = systems
        self._log = log

    def add_routes(self, app: web.Application) -> None:
        """Serve them in the control socket's application."""
        router = app.router
        router.add_get("/control/vxp/systems", self._list)
        router.add_post("/control/vxp/systems", self._add)
        router.add_post("/control/vxp/systems/{system_id}/secret", self._rotate)
        router.add_delete("/control/vxp/systems/{system_id}", self._remove)
        router.add_get("/control/vxp/calls", self._calls)

    async def _list(self, _: web.Request) -> web.Response:
        return as_json({"systems": self._systems.list()})

    async def _add(self, request: web.Request) -> web.Response:
        """{"system_id", "organisations"} → {"system_id", "secret", "organisations", "endpoint", "kept"}."""
        try:
            given = await request.json()
            system_id, codes = str(given["system_id"]), [str(code) for code in given["organisations"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Refusal("field_invalid", f"the body is malformed: {error!r}") from error
        organisations = [await self._hosted(code) for code in codes or [self._parts.identity.code]]
        added = await self._systems.add(system_id, organisations)
        units = self._parts.settings.units
        return as_json(
            added | {"organisations": organisations, "kept": [c for c in organisations if c in units]}
        )

    async def _hosted(self, any_code: str) -> str:
        """The primary code of a unit that this node serves. Refusal `field_invalid`, `not_host_of_unit`."""
        own = self._parts.identity.code
        directory = self._parts.directory.directory
        code = directory.resolve(any_code)
        if code is None and self._parts.service.online:
            await self._parts.directory.refresh()
            directory = self._parts.directory.directory
            code = directory.resolve(any_code)
        if own in (any_code, code):
            return own
        if code is None:
            raise Refusal("field_invalid", f"org: {any_code[:60]} is not registered")
        if directory.host_of(code) != own:
            raise Refusal("not_host_of_unit", f"org: {code} is hosted by {directory.host_of(code)}")
        return code

    async def _rotate(self, request: web.Request) -> web.Response:
        return as_json(await self._systems.rotate(request.match_info["system_id"]))

    async def _remove(self, request: web.Request) -> web.Response:
        return as_json(await self._systems.remove(request.match_info["system_id"]))

    async def _calls(self, request: web.Request) -> web.Response:
        """?limit=&system_id=&failed=1 → {"calls": […]}, the newest last."""
        query: Any = request.query
        limit = query.get("limit", "100")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= _MOST_CALLS:
            raise Refusal("field_invalid", f"limit: 1 to {_MOST_CALLS} are possible")
        calls = self._log.recent(
            int(limit), system_id=query.get("system_id", ""), failed=query.get("failed") == "1"
        )
        return as_json({"calls": calls})
