"""The API's one address, `/vxp/<operation>`: authenticate, serve, answer in the envelope, log.

The client puts an operation behind whatever endpoint it was given, so a slash more does no harm.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from agencies.http.asked import invalid
from agencies.parts import NodeParts
from agencies.vxp.authentication import authenticate
from agencies.vxp.call_log import Call, CallLog
from agencies.vxp.desk import Desk, Operation, read_body
from agencies.vxp.parameters import PREFIX, Parameters
from agencies.vxp.received import RECEIVED
from agencies.vxp.registering import REGISTERING
from agencies.vxp.replies import done, failed
from agencies.vxp.scope import Scope
from agencies.vxp.sending import SEND
from agencies.vxp.sent import SENT
from agencies.vxp.systems import Systems
from agencies.vxp.units import UNITS
from agencies.vxp.words import error_code
from axis.core.errors import Refusal
from axis.logs import bound_trace, get_logger, new_trace_id

__all__ = ["Vxp"]

_OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation for operation in (SEND, *RECEIVED, *SENT, *UNITS, *REGISTERING)
}
_PATH: Final = "/vxp{slashes:/+}{operation:[A-Za-z0-9]{1,40}}{slash:/?}"
_CREDENTIALS: Final = ("systemid", "sign-header", "hash-header")


class Vxp:
    """The API over a node's parts."""

    def __init__(self, parts: NodeParts, systems: Systems, log: CallLog) -> None:
        self._parts = parts
        self._systems = systems
        self._log = log
        self._max_skew_ms = round(parts.settings.vxp_max_skew_minutes * 60_000)

    def add_routes(self, app: web.Application) -> None:
        """Serve it in an application."""
        app.router.add_route("*", _PATH, self._call)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        clock = asyncio.get_running_loop()
        started = clock.time()
        name = request.match_info["operation"]
        logged = Call(self._parts.clock.now(), name, request.remote or "")
        try:
            with bound_trace(trace_id := new_trace_id()):
                return await self._answer(request, _OPERATIONS.get(name), logged, trace_id)
        finally:
            logged.milliseconds = round((clock.time() - started) * 1000)
            await self._log.note(logged)

    async def _answer(
        self, request: web.Request, operation: Operation | None, logged: Call, trace_id: str
    ) -> web.StreamResponse:
        """Serve; everything that goes wrong before the reply has begun becomes a reply."""
        response: web.StreamResponse | None = None
        try:
            desk = self._desk(request, operation, logged, trace_id)
            if operation is None or request.method not in operation.methods:
                raise Refusal("route_unknown", f"{request.method} {logged.operation}")
            if not operation.takes_packet:
                body = await read_body(request, needed=operation.needs_body)
                desk = replace(desk, parameters=desk.parameters.with_body(body))
            served = await operation.serve(desk)
            response = served if isinstance(served, web.StreamResponse) else done(**served)
        except Refusal as refusal:
            response = self._refused(request, operation, logged, refusal)
        except ValidationError as error:
            response = self._refused(request, operation, logged, invalid(error))
        except (ConnectionError, asyncio.CancelledError):
            logged.code, logged.detail = "unavailable", "the client broke off"
            raise
        except Exception:
            get_logger().exception("request_failed", method=request.method, path=request.path)
            failure = Refusal("unavailable", "the node failed; its log says why")
            response = self._refused(request, operation, logged, failure)
        return response

    def _desk(self, request: web.Request, operation: Operation | None, logged: Call, trace_id: str) -> Desk:
        """The call, authenticated. Refusal `not_authorised` where there are no credentials at all."""
        parameters = Parameters(request.headers)
        if not any(request.headers.get(PREFIX + name) for name in _CREDENTIALS):
            raise Refusal("not_authorised", "the XroadVnpt headers are missing")
        logged.system_id = parameters.text("systemid")
        caller = authenticate(parameters, self._systems.find, logged.at, self._max_skew_ms)
        logged.authenticated, logged.skew_ms = True, caller.skew_ms
        if request.headers.get("Content-Encoding", "identity").casefold() != "identity":
            raise Refusal("field_invalid", "Content-Encoding: bodies are sent as they are")
        scope = Scope(self._parts.directory.directory, caller.system.organisations)
        return Desk(self._parts, request, caller, parameters, scope, logged, trace_id)

    def _refused(
        self, request: web.Request, operation: Operation | None, logged: Call, refusal: Refusal
    ) -> web.StreamResponse:
        logged.code, logged.error_code, logged.detail = refusal.name, error_code(refusal), refusal.detail
        raw = operation is not None and operation.raw
        if raw and logged.authenticated:
            # This client saves whatever body comes as the document: an empty one does the least harm.
            return web.Response(status=refusal.code.http_status)
        return failed(refusal, dict(operation.always) if operation else None, status=401 if raw else 200)
