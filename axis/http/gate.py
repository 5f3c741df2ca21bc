"""The gate that every request passes: who calls, how far they have seen, how much they may ask for.

Order: stopping? → TLS certificate → limits → Axis-Head → suspension → the route. Whatever refuses, here or
behind, becomes a response in this one place. Suspension is not judged here for envelopes and receipts: a
repeat of what was taken before is answered first (design decision 5 and the journey's step 4).
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from axis.core.errors import Refusal
from axis.flow.peers import Peer, Peers
from axis.flow.rejections import Rejections
from axis.http import problems
from axis.http.heads import AXIS_HEAD, EARLIER_HEADS, HeadGuard
from axis.http.limits import Limiter
from axis.logs import bound_trace, get_logger, new_trace_id, parse_traceparent
from axis.ports import Clock, OutcomeUnknown, StorageFull

__all__ = ["ENROL", "PEER", "RECEIPTS", "SUBMISSIONS", "SUBMIT", "TRACE", "Gate"]

#: Route names: without a certificate; with suspension judged by the flow, which notes its own refusals.
ENROL: Final = "enrol"
SUBMIT: Final = "submit"
SUBMISSIONS: Final = "submissions"
RECEIPTS: Final = "receipts"
_JUDGED_BY_FLOWS: Final = frozenset({SUBMIT, SUBMISSIONS, RECEIPTS})

PEER: Final = web.RequestKey("peer", Peer)
TRACE: Final = web.RequestKey("trace", str)

_FULL_RETRY_SECONDS: Final = 30
_UNKNOWN_RETRY_SECONDS: Final = 1


class Gate:
    """Middleware and headers of the agency API."""

    def __init__(
        self, *, peers: Peers, heads: HeadGuard, limiter: Limiter, rejections: Rejections, clock: Clock
    ) -> None:
        self._peers = peers
        self._heads = heads
        self._limiter = limiter
        self._rejections = rejections
        self._clock = clock
        self.stopping = False

    def tells_of(self, sequence: int) -> None:
        """The answer that is being made tells of a record: its Axis-Head must not be older."""
        self._heads.reached(sequence)

    def install(self, application: web.Application) -> None:
        """Put the gate before an application's routes."""
        application.middlewares.append(self._middleware())
        application.on_response_prepare.append(self._add_headers)

    def _middleware(self) -> Middleware:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            trace_id = parse_traceparent(request.headers.get("traceparent")) or new_trace_id()
            request[TRACE] = trace_id
            with bound_trace(trace_id):
                return await self._answer(request, handler)

        return gate

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            with ExitStack() as held:
                await self._admit(request, held)
                return await handler(request)
        except Refusal as refusal:
            await self._note(request, refusal)
            return problems.response(refusal)
        except web.HTTPException as error:
            return problems.from_http_error(error)
        except StorageFull as error:
            get_logger().error("storage_full", detail=str(error))
            return problems.response(
                Refusal("storage_full", "there is no room", retry_after=_FULL_RETRY_SECONDS)
            )
        except OutcomeUnknown as error:
            get_logger().warning("outcome_unknown", detail=str(error))
            code = "storage_full" if error.full else "unavailable"
            return problems.response(Refusal(code, str(error), retry_after=_UNKNOWN_RETRY_SECONDS))
        except Exception:
            get_logger().exception("request_failed", path=request.path, method=request.method)
            return problems.response(Refusal("unavailable", "the node could not do this; its log says why"))

    async def _admit(self, request: web.Request, held: ExitStack) -> None:
        if self.stopping:
            raise Refusal("shutting_down", retry_after=1)
        name = request.match_info.route.name
        if name in (ENROL, f"{ENROL}-post"):
            held.enter_context(self._limiter.stranger(request.remote or ""))
            return
        peer = await self._peers.authenticate(_peer_certificate(request))
        request[PEER] = peer
        held.enter_context(self._limiter.request(peer.organisation))
        await self._heads.check(request.headers.get(AXIS_HEAD), request.headers.get(EARLIER_HEADS))
        if name not in _JUDGED_BY_FLOWS:
            await self._peers.admit(peer)

    async def _note(self, request: web.Request, refusal: Refusal) -> None:
        peer = request.get(PEER)
        if peer is None:
            get_logger().info("stranger_refused", code=refusal.name, detail=refusal.detail, path=request.path)
        elif request.match_info.route.name not in _JUDGED_BY_FLOWS:
            await self._rejections.note(peer.organisation, refusal)

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers[AXIS_HEAD] = self._heads.current()
        response.headers["Axis-Time"] = str(self._clock.now())


def _peer_certificate(request: web.Request) -> bytes | None:
    """The certificate (DER) that the client proved to own in the handshake."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    return tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
