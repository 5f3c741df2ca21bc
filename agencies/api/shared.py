"""What the routes of the outbox and the inbox share: parameters, packets, attachments, statuses, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web
from pydantic import ValidationError

from agencies.api.openapi import Parameter
from agencies.desk.packets import EDXML_TYPE
from agencies.desk.requests import StatusInput
from agencies.http.asked import invalid, media_type
from agencies.http.replies import as_json
from agencies.parts import NodeParts
from agencies.store import listing
from agencies.units import primary
from axis.core.errors import Refusal
from axis.logs import bound_trace, new_trace_id, parse_traceparent
from axis.ports import BlobMissing

__all__ = ["AFTER", "ID", "KEY", "KIND", "LIMIT", "NUMBER", "WAIT", "DocumentRoutes"]

KEY = Parameter("Idempotency-Key", "header", "the same key and content get the same answer again")
ID = Parameter("id", "path", "the document's id")
AFTER = Parameter("after", "query", "the cursor of the page before")
LIMIT = Parameter(
    "limit",
    "query",
    "at most so many",
    {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
)
WAIT = Parameter("wait", "query", "wait up to so many seconds for news", {"type": "integer", "maximum": 60})
KIND = Parameter("kind", "query", "of what", {"enum": ["document", "status"], "default": "document"})
NUMBER = Parameter("n", "path", "counted from 0", {"type": "integer"})


class DocumentRoutes:
    """Handlers for documents, `sent` or `received`."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

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

    def _primary(self, code: str) -> str:
        return primary(self._parts.directory.directory, code)
