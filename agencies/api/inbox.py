"""The local API's routes about the inbox: what came is listed, taken out, decided on and answered."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import ValidationError

from agencies.api.openapi import Route
from agencies.api.shared import AFTER, ID, KEY, KIND, LIMIT, NUMBER, WAIT, DocumentRoutes
from agencies.desk.packets import EDXML_TYPE
from agencies.desk.requests import InboxEntry, InboxList, QueuedStatuses, ReceiptInput, StatusInput
from agencies.http.asked import cursor, invalid, kind, limit, seconds
from agencies.http.replies import as_json
from agencies.store import listing

__all__ = ["InboxRoutes"]


class InboxRoutes(DocumentRoutes):
    """Handlers."""

    def routes(self) -> tuple[Route, ...]:
        """The routes."""
        return (
            Route(
                "GET",
                "/v1/inbox",
                self.inbox,
                "What came, in the order of arrival; keep `next` and ask with it for more.",
                InboxList,
                parameters=(AFTER, LIMIT, WAIT, KIND),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}",
                self.inbox_one,
                "One document that came.",
                InboxEntry,
                parameters=(ID,),
                codes=("document_unknown",),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}/attachments/{n}",
                self.inbox_attachment,
                "An attachment that came.",
                "application/octet-stream",
                parameters=(ID, NUMBER),
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
                parameters=(ID, KEY),
                codes=("document_unknown", "not_a_recipient", "idempotency_conflict", "catching_up"),
            ),
            Route(
                "GET",
                "/v1/inbox/{id}/edxml",
                self.inbox_packet,
                "The edXML packet, byte for byte as the sender handed it in; or one written from the fields.",
                EDXML_TYPE,
                parameters=(ID,),
                codes=("document_unknown", "unavailable"),
            ),
            Route(
                "POST",
                "/v1/inbox/{id}/receipt",
                self.receipt,
                "Receive or refuse a document that waits for this decision.",
                InboxEntry,
                request=ReceiptInput,
                parameters=(ID, KEY),
                codes=("document_unknown", "outcome_conflict", "delivery_closed", "not_a_recipient"),
            ),
        )

    async def inbox(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox."""
        after, most, wanted = cursor(request), limit(request), kind(request)

        def look() -> tuple[list[dict[str, Any]], int] | None:
            page = listing.inbox_documents(self._parts.store, after, most, kind=wanted, primary=self._primary)
            return page if page[0] else None

        documents, last = await self._until(look, seconds(request)) or ([], after)
        return as_json({"documents": documents, "next": str(last)})

    async def inbox_one(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox/{id}."""
        return as_json(self._received(request.match_info["id"]))

    def _received(self, document_id: str) -> dict[str, Any]:
        return listing.inbox_one(self._parts.store, document_id, self._primary)

    async def say_as_receiver(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/inbox/{id}/statuses."""
        return await self._say(request, "received")

    async def inbox_packet(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/inbox/{id}/edxml."""
        return await self._packet(request, "received")

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
