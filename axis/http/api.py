"""The agency API: routes to the journey's flows, and nothing else. docs/wire-protocol.md describes it.

Bodies are protobuf (axispb/v1/api.proto) except blobs and attachments, which are the bytes themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from axispb.v1 import api_pb2, envelope_pb2

from axis.core.document import MAX_ATTACHMENT_BYTES
from axis.core.envelope import MAX_SIGNATURE_BYTES, MAX_SIGNED_BYTES, Envelope
from axis.core.errors import Refusal
from axis.flow.directory import DirectoryPages
from axis.flow.downloads import Downloads
from axis.flow.enrolment import Enrolment
from axis.flow.feed import Feed, FeedQuery
from axis.flow.ingress import Ingress
from axis.flow.peers import Peer
from axis.flow.receipts import Receipts
from axis.flow.submissions import CONTENT_BYTES, CONTENTS_BYTES, PIN_MS, Submission, Submissions
from axis.flow.units import Units
from axis.http.gate import ENROL, PEER, RECEIPTS, SUBMISSIONS, SUBMIT, TRACE, Gate
from axis.http.limits import Limiter
from axis.http.streams import chunks, message, protobuf, send
from axis.logs import get_logger, is_trace_id
from axis.ports import BlobMismatch, BlobMissing, Blobs, Clock

__all__ = ["AgencyApi", "Flows"]

_ENVELOPE_LIMIT: Final = MAX_SIGNED_BYTES + MAX_SIGNATURE_BYTES + 1024
#: The contents, and as much again for envelopes.
_SUBMISSIONS_LIMIT: Final = 2 * CONTENTS_BYTES
_RECEIPTS_LIMIT: Final = 8 * 1024 * 1024
_ENROL_LIMIT: Final = 64 * 1024
_HAVE_LIMIT: Final = 64 * 1024
_UNIT_LIMIT: Final = 16 * 1024
_CONTENTS_ASKED_LIMIT: Final = 64 * 1024
_CONTENTS_KEYS: Final = 200
#: Contents read between two turns of the event loop.
_BETWEEN_TURNS: Final = 32
_MAX_WAIT_SECONDS: Final = 30.0
#: A blob counts as there while its pin lasts at least as long as acceptance will ask for.
_PIN_LEFT_MS: Final = 10 * 60_000

#: Sent in one piece; more is streamed.
_SMALL_BYTES: Final = 128 * 1024

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-", re.ASCII)


@dataclass(frozen=True, slots=True)
class Flows:
    """What the routes lead to."""

    ingress: Ingress
    submissions: Submissions
    receipts: Receipts
    feed: Feed
    directory: DirectoryPages
    units: Units
    downloads: Downloads
    enrolment: Enrolment
    blobs: Blobs
    clock: Clock


class AgencyApi:
    """Builds the aiohttp application."""

    def __init__(self, flows: Flows, gate: Gate, limiter: Limiter, *, idle: float = 60.0) -> None:
        self._flows = flows
        self._gate = gate
        self._limiter = limiter
        self._idle = idle

    def application(self) -> web.Application:
        """The routes behind the gate."""
        application = web.Application()
        self._gate.install(application)
        add = application.router
        add.add_get("/v1/enrol", self._trust, name=ENROL, allow_head=False)
        add.add_post("/v1/enrol", self._enrol, name=f"{ENROL}-post")
        add.add_put("/v1/blobs/{sha256}", self._put_blob)
        add.add_post("/v1/blobs/have", self._have)
        add.add_post("/v1/envelopes", self._submit, name=SUBMIT)
        add.add_post("/v1/submissions", self._submissions, name=SUBMISSIONS)
        add.add_post("/v1/receipts", self._receipts, name=RECEIPTS)
        add.add_get("/v1/feed", self._feed, allow_head=False)
        add.add_get("/v1/documents/{id}/attachments/{number}", self._attachment, allow_head=False)
        add.add_post("/v1/contents", self._contents)
        add.add_post("/v1/units", self._units)
        add.add_get("/v1/directory", self._directory, allow_head=False)
        return application

    async def _trust(self, _request: web.Request) -> web.Response:
        return protobuf(self._flows.enrolment.trust())

    async def _enrol(self, request: web.Request) -> web.Response:
        body = await message(request, api_pb2.EnrolRequest, _ENROL_LIMIT, self._idle)
        return protobuf(await self._flows.enrolment.enrol(body))

    async def _units(self, request: web.Request) -> web.Response:
        asked = await message(request, api_pb2.UnitChange, _UNIT_LIMIT, self._idle)
        changed = await self._flows.units.change(asked, request[PEER])
        self._gate.tells_of(changed.sequence)
        return protobuf(changed)

    async def _put_blob(self, request: web.Request) -> web.Response:
        name, size = request.match_info["sha256"], request.content_length
        if not _SHA256.fullmatch(name):
            raise Refusal("field_invalid", "the path ends with a SHA-256 in lower-case hex")
        if size is None:
            raise Refusal("field_invalid", "an upload needs Content-Length")
        if size > MAX_ATTACHMENT_BYTES:
            raise Refusal("header_too_large", f"an attachment has at most {MAX_ATTACHMENT_BYTES} bytes")
        peer, now = request[PEER], self._flows.clock.now()
        with self._limiter.upload(peer.organisation):
            try:
                await self._flows.blobs.put(
                    bytes.fromhex(name),
                    size,
                    chunks(request, self._idle),
                    owner=peer.organisation,
                    now=now,
                    pin_until=now + PIN_MS,
                )
            except BlobMismatch as error:
                raise Refusal("attachment_mismatch", str(error)) from error
        return web.Response(status=201)

    async def _have(self, request: web.Request) -> web.Response:
        asked = await message(request, api_pb2.BlobList, _HAVE_LIMIT, self._idle)
        owner, now = request[PEER].organisation, self._flows.clock.now()
        held = []
        for sha256 in asked.sha256:
            pinned = self._flows.blobs.pinned(sha256, owner)
            if pinned is not None and pinned[1] - now >= _PIN_LEFT_MS:
                held.append(sha256)
        return protobuf(api_pb2.BlobList(sha256=held))

    async def _submit(self, request: web.Request) -> web.Response:
        body = await message(request, envelope_pb2.Envelope, _ENVELOPE_LIMIT, self._idle)
        answer = await self._flows.ingress.submit(Envelope.from_message(body), request[PEER], request[TRACE])
        return protobuf(answer, 200 if answer.repeated_submission else 201)

    async def _submissions(self, request: web.Request) -> web.Response:
        peer = request[PEER]
        with self._limiter.batch(peer.organisation):
            batch = await message(request, api_pb2.SubmissionBatch, _SUBMISSIONS_LIMIT, self._idle)
            submissions = [
                Submission(
                    Envelope.from_message(each.envelope),
                    each.trace_id if is_trace_id(each.trace_id) else request[TRACE],
                    each.contents,
                )
                for each in batch.submissions
            ]
            self._limiter.charge(peer.organisation, max(0, len(submissions) - 1))
            answer = await self._flows.submissions.take(submissions, peer)
        self._gate.tells_of(max(result.accepted.sequence for result in answer.results))
        return protobuf(answer)

    async def _receipts(self, request: web.Request) -> web.Response:
        batch = await message(request, api_pb2.ReceiptBatch, _RECEIPTS_LIMIT, self._idle)
        receipts = [Envelope.from_message(receipt) for receipt in batch.receipts]
        answer = await self._flows.receipts.take(receipts, request[PEER], request[TRACE])
        self._gate.tells_of(max(result.sequence for result in answer.results))
        return protobuf(answer)

    async def _feed(self, request: web.Request) -> web.Response:
        query = FeedQuery(
            urgent_after=_number(request, "urgent_after", 0),
            normal_after=_number(request, "normal_after", 0),
            limit=_number(request, "limit", 100),
            directory=_number(request, "directory", 0) if "directory" in request.query else None,
            standing=request.query.get("standing") == "1",
        )
        wait = min(float(_number(request, "wait", 0)), _MAX_WAIT_SECONDS)
        page = await self._flows.feed.poll(request[PEER], query, wait)
        if request.query.get("contents") == "1":
            keys = self._flows.downloads.arrived(page.items, request[PEER])
            page.contents.extend(await self._together(keys, request[PEER]))
        self._gate.tells_of(max((item.sequence for item in page.items), default=0))
        return protobuf(page)

    async def _directory(self, request: web.Request) -> web.Response:
        return protobuf(self._flows.directory.page(_number(request, "after", 0)))

    async def _attachment(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if not _NUMBER.fullmatch(number):
            raise Refusal("document_unknown", "attachments are numbered from 0")
        content = self._flows.downloads.find(request.match_info["id"], int(number), request[PEER])
        start = _range(request, content.size)
        response = _download(content.size, start)
        try:
            async with self._flows.blobs.open(content.sha256, start or 0) as data:
                if isinstance(response, web.Response):
                    response.body = await _whole(data, content.size - (start or 0))
                    return response
                # Not hashed here, wherever it comes from: the receiving node checks what it has got against
                # the signed header, and asks again for what is not that.
                await send(request, response, data, self._idle)
        except (BlobMissing, BlobMismatch) as error:
            get_logger().error("attachment_unreadable", sha256=content.sha256.hex(), detail=str(error))
            raise Refusal("unavailable", "the attachment cannot be read now") from error
        return response

    async def _contents(self, request: web.Request) -> web.Response:
        """Small attachments of many documents at once: most are small, and a request each costs more."""
        asked = await message(request, api_pb2.ContentRequest, _CONTENTS_ASKED_LIMIT, self._idle)
        if len(asked.keys) > _CONTENTS_KEYS:
            raise Refusal("field_invalid", f"keys: {len(asked.keys)}, the limit is {_CONTENTS_KEYS}")
        keys = [(key.document_id, key.number) for key in asked.keys]
        return protobuf(api_pb2.ContentBatch(contents=await self._together(keys, request[PEER])))

    async def _together(self, keys: Iterable[tuple[str, int]], peer: Peer) -> list[api_pb2.Content]:
        """What may be read together; the rest is left out, and asking for it alone says why."""
        found, room = [], CONTENTS_BYTES
        for count, (document_id, number) in enumerate(keys, 1):
            if count > _CONTENTS_KEYS:
                break
            if count % _BETWEEN_TURNS == 0:
                await asyncio.sleep(0)
            try:
                content = self._flows.downloads.find(document_id, number, peer)
            except Refusal:
                continue
            if content.size > min(CONTENT_BYTES, room):
                continue
            try:
                async with self._flows.blobs.open(content.sha256) as data:
                    body = await _whole(data, content.size)
            except (BlobMissing, BlobMismatch):
                continue
            key = api_pb2.ContentKey(document_id=document_id, number=number)
            found.append(api_pb2.Content(key=key, data=body))
            room -= content.size
        return found


async def _whole(data: AsyncIterator[bytes], size: int) -> bytes:
    """All of a small content, `size` bytes as the journal says, never more; BlobMismatch."""
    body = bytearray()
    async for chunk in data:
        body += chunk
        if len(body) > size:
            break
    if len(body) != size:
        raise BlobMismatch(f"{len(body)} of {size} bytes came, or more")
    return bytes(body)


def _download(size: int, start: int | None) -> web.StreamResponse:
    """The answer's head, from `start` on; a small body travels in one piece with it."""
    left = size - (start or 0)
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if start is not None:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    status = 200 if start is None else 206
    if left <= _SMALL_BYTES:
        return web.Response(status=status, headers=headers)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = left
    return response


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise Refusal("field_invalid", f"{name}: a whole number is expected")
    return int(text)


def _range(request: web.Request, size: int) -> int | None:
    """Where to begin. Only `bytes=N-` is served; others are answered with everything (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None:
        return None
    start = int(match[1])
    if start >= size:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start
