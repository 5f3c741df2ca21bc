"""The local API's routes about the outbox: what is handed in, and what became of it."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from agencies.api.openapi import Route
from agencies.api.shared import AFTER, ID, KEY, LIMIT, NUMBER, WAIT, DocumentRoutes
from agencies.desk.packets import EDXML_TYPE
from agencies.desk.requests import (
    DocumentInput,
    Queued,
    QueuedPacket,
    QueuedStatuses,
    SentDocument,
    SentList,
    StatusInput,
)
from agencies.desk.service import of_fields
from agencies.http.asked import cursor, invalid, limit, seconds
from agencies.http.replies import as_json
from agencies.http.uploads import body_chunks, read_submission
from agencies.store import listing
from axis.logs import bound_trace, new_trace_id, parse_traceparent

__all__ = ["SentRoutes"]


class SentRoutes(DocumentRoutes):
    """Handlers."""

    def routes(self) -> tuple[Route, ...]:
        """The routes."""
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
                parameters=(KEY,),
                codes=(
                    "field_invalid",
                    "recipient_unknown",
                    "idempotency_conflict",
                    "catching_up",
                    "storage_full",
                ),
            ),
            Route(
                "POST",
                "/v1/edxml",
                self.send_packet,
                "Hand in an edXML packet: its receivers get it byte for byte.",
                QueuedPacket,
                status=202,
                body=EDXML_TYPE,
                parameters=(KEY,),
                codes=(
                    "field_invalid",
                    "packet_signature_invalid",
                    "recipient_unknown",
                    "idempotency_conflict",
                    "catching_up",
                    "storage_full",
                ),
            ),
            Route("GET", "/v1/documents", self.sent, "The outbox.", SentList, parameters=(AFTER, LIMIT)),
            Route(
                "GET",
                "/v1/documents/{id}",
                self.sent_one,
                "One document of the outbox; with wait, as soon as all its outcomes are known.",
                SentDocument,
                parameters=(ID, WAIT),
                codes=("document_unknown",),
            ),
            Route(
                "GET",
                "/v1/documents/{id}/attachments/{n}",
                self.sent_attachment,
                "An attachment that was handed in.",
                "application/octet-stream",
                parameters=(ID, NUMBER),
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
                parameters=(ID, KEY),
                codes=("document_unknown", "not_a_recipient", "idempotency_conflict", "catching_up"),
            ),
            Route(
                "GET",
                "/v1/documents/{id}/edxml",
                self.sent_packet,
                "The edXML packet of a document that was handed in.",
                EDXML_TYPE,
                parameters=(ID,),
                codes=("document_unknown", "unavailable"),
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

    async def sent_packet(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents/{id}/edxml."""
        return await self._packet(request, "sent")

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

    async def sent_attachment(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/documents/{id}/attachments/{n}."""
        return await self._attachment(request, "sent")
