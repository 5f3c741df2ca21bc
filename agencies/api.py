"""The local HTTP API: the contract's routes over the node's service and store.

The same application is served at the configured address, behind a `Guard`, and at `HOME/control.sock` for
the home's owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web
from pydantic import ValidationError

from agencies import listing
from agencies.api_models import (
    DocumentInput,
    InboxEntry,
    InboxList,
    Queued,
    QueuedPacket,
    QueuedStatuses,
    ReceiptInput,
    SentDocument,
    SentList,
    StatusInput,
    UnitList,
)
from agencies.api_node import NodeRoutes
from agencies.asked import check_encoding, cursor, invalid, kind, limit, media_type, seconds
from agencies.guard import Guard
from agencies.openapi import Parameter, Route, docs_page, document
from agencies.packets import EDXML_TYPE
from agencies.parts import NodeParts
from agencies.problems import plain_problem, problem_response
from agencies.replies import as_json
from agencies.service import of_fields
from agencies.units import primary
from agencies.uploads import JSON_LIMIT, body_chunks, read_submission
from axis.core.errors import Refusal
from axis.logs import bound_trace, get_logger, new_trace_id, parse_traceparent
from axis.ports import BlobMissing

__all__ = ["application"]

_KEY = Parameter("Idempotency-Key", "header", "the same key and content get the same answer again")
_ID = Parameter("id", "path", "the document's id")
_AFTER = Parameter("after", "query", "the cursor of the page before")
_LIMIT = Parameter(
    "limit",
    "query",
    "at most so many",
    {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
)
_WAIT = Parameter("wait", "query", "wait up to so many seconds for news", {"type": "integer", "maximum": 60})
_KIND = Parameter("kind", "query", "of what", {"enum": ["document", "status"], "default": "document"})
_NUMBER = Parameter("n", "path", "counted from 0", {"type": "integer"})


#: These calls prove who makes them by themselves, also from other machines, and may carry any bytes.
VXP = "/vxp/"


class Api:
    """The handlers."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._node = NodeRoutes(parts)
        self.routes = self._routes()
        self._openapi = document(self.routes, parts.version)

    def _routes(self) -> tuple[Route, ...]:
        return (
            *self._sent_routes(),
            *self._inbox_routes(),
            Route(
                "GET",
                "/v1/directory",
                self._node.directory,
                "Registered units whose codes and name hold every word of the query.",
                UnitList,
                parameters=(Parameter("query", "query", "words"), _LIMIT),
            ),
            *self._node.routes(),
            Route("GET", "/openapi.json", self.openapi, "This description.", "application/json"),
            Route("GET", "/docs", self.docs, "This description as a page.", "text/html"),
        )

    def _sent_routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/v1/documents",
                self.send,
                "Hand in a document: stored and signed when this answers, sent as soon as the axis takes it.",
                Queued,
                status=202,
                request=DocumentInput,
                multipart=True,
                parameters=(_KEY,),
                codes=("field_invalid", "recipient_unknown", "idempotency_conflict", "storage_full"),
            ),
            Route(
                "POST",
                "/v1/edxml",
                self.send_packet,
                "Hand in an edXML packet: its receivers get it byte for byte.",
                QueuedPacket,
                status=202,
                body=EDXML_TYPE,
                parameters=(_KEY,),
                codes=(
                    "field_invalid",
                    "packet_signature_invalid",
                    "recipient_unknown",
                    "idempotency_conflict",
                    "storage_full",
                ),
            ),
            Route("GET", "/v1/documents", self.sent, "The outbox.", SentList, parameters=(_AFTER, _LIMIT)),
            Route(
                "GET",
                "/v1/documents/{id}",
                self.sent_one,
                "One document of the outbox; with wait, as soon as all its outcomes are known.",
                SentDocument,
                parameters=(_ID, _WAIT),
                codes=("document_unknown",),
            ),
            Route(
                "GET",
                "/v1/documents/{id}/attachments/{n}",
                self.sent_attachment,
                "An attachment that was handed in.",
                "application/octet-stream",
                parameters=(_ID, _NUMBER),
                codes=("document_unknown",),
            ),
            Route(
                "POST",
                "/v1/documents/{id}/statuses",
                self.say_as_sender,
                "Ask a document back (13), from all of its receivers or from one.",
                QueuedStatuses,
                status=202,
                request=StatusInput,
                parameters=(_ID, _KEY),
                codes=("document_unknown", "not_a_recipient", "idempotency_conflict"),
            ),
            Route(
                "GET",
                "/v1/documents/{id}/edxml",
                self.sent_packet,
                "The edXML packet of a document that was handed in.",
                EDXML_TYPE,
                parameters=(_ID,),
                codes=("document_unknown", "unavailable"),
            ),
        )

    def _inbox_routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "GET",
                "/v1/inbox",
                self.inbox,
                "What came, in the order of arrival; keep `next` and ask with it for more.",
                InboxList,
                parameters=(_AFTER, _LIMIT, _WAIT, _KIND),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}",
                self.inbox_one,
                "One document that came.",
                InboxEntry,
                parameters=(_ID,),
                codes=("document_unknown",),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}/attachments/{n}",
                self.inbox_attachment,
                "An attachment that came.",
                "application/octet-stream",
                parameters=(_ID, _NUMBER),
                codes=("document_unknown",),
            ),
            Route(
                "POST",
                "/v1/inbox/{id}/statuses",
                self.say_as_receiver,
                "Tell a document's sender how far it has come (01 to 06), or answer a recall (15, 16).",
                QueuedStatuses,
                status=202,
                request=StatusInput,
                parameters=(_ID, _KEY),
                codes=("document_unknown", "not_a_recipient", "idempotency_conflict"),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}/edxml",
                self.inbox_packet,
                "The edXML packet, byte for byte as the sender handed it in; or one written from the fields.",
                EDXML_TYPE,
                parameters=(_ID,),
                codes=("document_unknown", "unavailable"),
            ),
            Route(
                "POST",
                "/v1/inbox/{id}/receipt",
                self.receipt,
                "Receive or refuse a document that waits for this decision.",
                InboxEntry,
                request=ReceiptInput,
                parameters=(_ID, _KEY),
                codes=("document_unknown", "outcome_conflict", "delivery_closed", "not_a_recipient"),
            ),
        )

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/documents."""
        trace_id = parse_traceparent(request.headers.get("traceparent")) or new_trace_id()
        with bound_trace(trace_id):
            raw, files = await read_submission(request, self._parts.spool)
            try:
                checked = DocumentInput.model_validate(raw)
            except ValidationError as error:
                raise invalid(error) from error
            key = request.headers.get("Idempotency-Key", "")
            answer = await self._parts.service.send(of_fields(raw, checked, files, key, trace_id))
        return as_json(answer, status=202)

    async def send_packet(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/edxml."""
        trace_id = parse_traceparent(request.headers.get("traceparent")) or new_trace_id()
        with bound_trace(trace_id):
            key = request.headers.get("Idempotency-Key", "")
            async with self._parts.packets.handed_in(body_chunks(request)) as handed:
                answer = await self._parts.packets.send(handed, key=key, trace_id=trace_id)
        return as_json(answer, status=202)

    async def say_as_sender(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/documents/{id}/statuses."""
        return await self._say(request, "sent")

    async def say_as_receiver(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/inbox/{id}/statuses."""
        return await self._say(request, "received")

    async def _say(self, request: web.Request, side: str) -> web.StreamResponse:
        trace_id = parse_traceparent(request.headers.get("traceparent")) or new_trace_id()
        try:
            given = StatusInput.model_validate_json(await request.read())
        except ValidationError as error:
            raise invalid(error) from error
        key = request.headers.get("Idempotency-Key", "")
        with bound_trace(trace_id):
            answer = await self._parts.statuses.say(side, request.match_info["id"], given, key, trace_id)
        return as_json(answer, status=202)

    async def sent_packet(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents/{id}/edxml."""
        return await self._packet(request, "sent")

    async def inbox_packet(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox/{id}/edxml."""
        return await self._packet(request, "received")

    async def _packet(self, request: web.Request, side: str) -> web.StreamResponse:
        document_id = request.match_info["id"]
        packet = self._parts.packets.find(side, document_id)
        response = web.StreamResponse(
            headers={
                "Content-Type": EDXML_TYPE,
                "Content-Disposition": f'attachment; filename="{document_id}.edxml"',
                "X-Content-Type-Options": "nosniff",
            }
        )
        if packet.size is not None:
            response.content_length = packet.size
        chunks = aiter(packet.chunks)
        first = await anext(chunks, b"")  # what is missing is said before anything is promised
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
        return response

    async def sent(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents."""
        found, last = listing.sent_documents(
            self._parts.store, cursor(request), limit(request), primary=self._primary
        )
        return as_json({"documents": found, "next": str(last)})

    async def sent_one(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents/{id}."""
        document_id = request.match_info["id"]

        def look() -> bool | None:
            return listing.is_settled(self._parts.store, document_id) or None

        await self._until(look, seconds(request))
        return as_json(listing.sent_one(self._parts.store, document_id, self._primary))

    async def inbox(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox."""
        after, most, wanted = cursor(request), limit(request), kind(request)

        def look() -> tuple[list[dict[str, Any]], int] | None:
            page = listing.inbox_documents(self._parts.store, after, most, kind=wanted, primary=self._primary)
            return page if page[0] else None

        documents, last = await self._until(look, seconds(request)) or ([], after)
        return as_json({"documents": documents, "next": str(last)})

    async def _until(self, look: Callable[[], Any], seconds: int) -> Any:
        """What `look` finds, as soon as it finds something; None after so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            newest = self._parts.events.newest
            found = look()
            left = deadline - loop.time()
            if found is not None or left <= 0 or self._parts.stopping.is_set():
                return found
            await self._parts.events.beyond(newest, left)

    async def inbox_one(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox/{id}."""
        return as_json(self._received(request.match_info["id"]))

    def _received(self, document_id: str) -> dict[str, Any]:
        return listing.inbox_one(self._parts.store, document_id, self._primary)

    def _primary(self, code: str) -> str:
        return primary(self._parts.directory.directory, code)

    async def receipt(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/inbox/{id}/receipt."""
        try:
            decision = ReceiptInput.model_validate_json(await request.read())
        except ValidationError as error:
            raise invalid(error) from error
        key = request.headers.get("Idempotency-Key", "")
        document_id = request.match_info["id"]
        await self._parts.service.receipt(document_id, decision, key)
        return as_json(self._received(document_id))

    async def inbox_attachment(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox/{id}/attachments/{n}."""
        return await self._attachment(request, "received")

    async def sent_attachment(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents/{id}/attachments/{n}."""
        return await self._attachment(request, "sent")

    async def _attachment(self, request: web.Request, side: str) -> web.StreamResponse:
        given = request.match_info["n"]
        index = int(given) if given.isascii() and given.isdigit() and len(given) < 5 else -1
        row = listing.attachment(self._parts.store, side, request.match_info["id"], index)
        response = web.StreamResponse(
            headers={
                "Content-Type": media_type(row["media_type"]),
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row['name'], safe='')}",
                "ETag": f'"{row["sha256"].hex()}"',
                # A sender chose the type: no browser shall run it as a page of this address.
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox; default-src 'none'",
            }
        )
        response.content_length = row["size"]
        try:
            async with self._parts.blobs.open(row["sha256"]) as chunks:
                await response.prepare(request)
                async for chunk in chunks:
                    await response.write(chunk)
        except BlobMissing as error:
            raise Refusal("unavailable", "the attachment's content is gone from this node") from error
        await response.write_eof()
        return response

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
