"""The axis's agency API as coroutines: one call, one request, one answer or one Refusal.

Several addresses of the axis are tried in turn: a call that one of them could not serve moves on to the
next, and the one that served is asked first from then on. All requests are repeatable by design, so a call
whose answer was lost may be made again anywhere. Every wait has a limit.

Not handled here: what an answer means. Back-off, verification and storage are the callers'.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import aiohttp
from axispb.v1 import api_pb2
from google.protobuf.message import DecodeError, Message

from agencies.store.heads import Echo, Heads
from axis.control import refusal_from_problem
from axis.core.envelope import Envelope
from axis.core.errors import Refusal

__all__ = ["AxisClient", "OutOfReach"]

M = TypeVar("M", bound=Message)
Chunks = Callable[[], AsyncIterator[bytes]]

PROTOBUF: Final = "application/x-protobuf"
_CONNECT_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 60.0
_LEAST_BYTES_PER_SECOND: Final = 64 * 1024
_ANSWER_LIMIT: Final = 64 * 1024 * 1024
_CHUNK: Final = 256 * 1024
#: Answers of one address that another may give better.
_ELSEWHERE: Final = frozenset({"behind_head", "shutting_down", "unavailable", "journal_forked"})


class OutOfReach(Refusal):
    """`unavailable`, by the network's word: the axis has not answered."""

    def __init__(self, detail: str) -> None:
        super().__init__("unavailable", detail)


class AxisClient:
    """Calls to one axis, with one client certificate. Use it as an async context manager."""

    def __init__(self, urls: Sequence[str], context: ssl.SSLContext, heads: Heads | None = None) -> None:
        self.heads = heads if heads is not None else Heads()
        #: Of the newest answer, milliseconds; 0 before the first.
        self.axis_time = 0
        #: Whether the newest call got any answer from the axis.
        self.reachable = False
        self._urls = [url.rstrip("/") for url in urls]
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> AxisClient:
        self._session = _session(self._context)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def use(self, context: ssl.SSLContext) -> None:
        """Go on with another client certificate. Calls under way end as `unavailable`."""
        old, self._session = self._session, _session(context)
        if old is not None:
            await old.close()

    async def trust(self) -> api_pb2.Trust:
        """Which anchors this axis claims."""
        return await self._call("GET", "/v1/enrol", api_pb2.Trust)

    async def enrol(self, request: api_pb2.EnrolRequest) -> api_pb2.EnrolResponse:
        """Certificates for two requests and a token's secret."""
        return await self._call("POST", "/v1/enrol", api_pb2.EnrolResponse, request)

    async def submissions(self, batch: api_pb2.SubmissionBatch) -> list[api_pb2.SubmissionResult]:
        """Hand in at most 64 documents and statuses with their small attachments; one result for each.

        The same signed bytes give the same acceptance again.
        """
        answer = await self._call("POST", "/v1/submissions", api_pb2.SubmissionResults, batch)
        if len(answer.results) != len(batch.submissions):
            raise Refusal("unavailable", "the axis answered another number of documents than were sent")
        return list(answer.results)

    async def receipts(self, receipts: Sequence[Envelope]) -> list[api_pb2.ReceiptResult]:
        """Hand in at most 100 receipts; one result for each, in their order."""
        batch = api_pb2.ReceiptBatch(receipts=[receipt.to_message() for receipt in receipts])
        answer = await self._call("POST", "/v1/receipts", api_pb2.ReceiptResults, batch)
        if len(answer.results) != len(receipts):
            raise Refusal("unavailable", "the axis answered another number of receipts than were sent")
        return list(answer.results)

    async def have(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Which of these blobs need no upload."""
        body = api_pb2.BlobList(sha256=hashes)
        return set((await self._call("POST", "/v1/blobs/have", api_pb2.BlobList, body)).sha256)

    async def upload(self, sha256: bytes, size: int, chunks: Chunks) -> None:
        """Upload a blob; `chunks` is called anew for each address that is tried."""
        limit = _ANSWER_SECONDS + size / _LEAST_BYTES_PER_SECOND
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}

        async def put(url: str) -> None:
            path = f"{url}/v1/blobs/{sha256.hex()}"
            async with self._open("PUT", path, limit, headers=headers, data=chunks()) as response:
                await _limited_body(response)

        await self._anywhere(put)

    async def feed(
        self,
        *,
        urgent_after: int,
        normal_after: int,
        directory: int,
        limit: int,
        wait: int,
        standing: bool = False,
    ) -> api_pb2.FeedPage:
        """The next page of both lanes with its small contents; waits up to `wait` seconds for one.

        `standing`: with the receipts of this organisation that stand.
        """
        query = {
            "urgent_after": str(urgent_after),
            "normal_after": str(normal_after),
            "directory": str(directory),
            "limit": str(limit),
            "wait": str(wait),
            "contents": "1",
            "standing": str(int(standing)),
        }
        return await self._call("GET", "/v1/feed", api_pb2.FeedPage, query=query, wait=wait)

    async def directory(self, after: int) -> api_pb2.DirectoryPage:
        """Changes of the directory beyond a place."""
        return await self._call("GET", "/v1/directory", api_pb2.DirectoryPage, query={"after": str(after)})

    async def change_unit(self, change: api_pb2.UnitChange) -> api_pb2.UnitChanged:
        """Register, suspend or resume a unit below this organisation. The same again changes nothing."""
        return await self._call("POST", "/v1/units", api_pb2.UnitChanged, change)

    async def contents(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        """Small attachments by (document, number), unchecked; what the axis leaves out is not in it."""
        asked = [api_pb2.ContentKey(document_id=document_id, number=number) for document_id, number in keys]
        body = api_pb2.ContentRequest(keys=asked)
        answer = await self._call("POST", "/v1/contents", api_pb2.ContentBatch, body)
        return {(each.key.document_id, each.key.number): each.data for each in answer.contents}

    async def attachment(self, document_id: str, number: int, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """Stream an attachment from `offset`; Refusal `unavailable` when the stream breaks off.

        One address only: the caller goes on at the offset it has reached.
        """
        path = f"{self._urls[0]}/v1/documents/{document_id}/attachments/{number}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            async with self._open("GET", path, None, headers=headers) as response:
                if offset and response.status != 206:
                    raise Refusal("unavailable", "the axis did not go on where the stream broke off")
                async for chunk in response.content.iter_chunked(_CHUNK):
                    yield chunk
        except _BROKEN as error:
            self._next_address(self._urls[0])
            raise OutOfReach(f"download broke off: {error!r}") from error

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[M],
        body: Message | None = None,
        *,
        query: Mapping[str, str] | None = None,
        wait: int = 0,
    ) -> M:
        data = body.SerializeToString() if body is not None else None
        headers = {"Content-Type": PROTOBUF} if body is not None else {}

        async def ask(url: str) -> M:
            options = {"headers": headers, "data": data, "params": query}
            async with self._open(method, url + path, wait + _ANSWER_SECONDS, **options) as response:
                raw = await _limited_body(response)
            try:
                return answer.FromString(raw)
            except DecodeError as error:
                raise Refusal("unavailable", f"{path}: the answer is no {answer.__name__}") from error

        return await self._anywhere(ask)

    async def _anywhere(self, ask: Callable[[str], object]) -> M:
        """Ask each address until one gives an answer that no other could better."""
        refusal = Refusal("unavailable", "no address of the axis is known")
        for url in tuple(self._urls):
            try:
                return await ask(url)  # type: ignore[misc, no-any-return]
            except _BROKEN as error:
                self.reachable = False
                why = str(error) or type(error).__name__
                refusal = OutOfReach(f"the axis at {url} is out of reach: {why}")
            except Refusal as answered:
                if answered.name not in _ELSEWHERE:
                    raise
                refusal = answered
            self._next_address(url)
        raise refusal

    def _next_address(self, failed: str) -> None:
        if len(self._urls) > 1 and self._urls[0] == failed:
            self._urls.append(self._urls.pop(0))

    @asynccontextmanager
    async def _open(
        self, method: str, url: str, limit: float | None, **options: object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; a Refusal for every answer but 200, 201 and 206."""
        if self._session is None:
            raise Refusal("shutting_down")
        headers: dict[str, str] = dict(options.pop("headers", None) or {})  # type: ignore[call-overload]
        echo = self.heads.echo()
        headers |= echo.headers
        timeout = aiohttp.ClientTimeout(
            total=limit,
            connect=_CONNECT_SECONDS * 3,
            sock_connect=_CONNECT_SECONDS,
            sock_read=limit or _IDLE_SECONDS,
        )
        async with self._session.request(
            method,
            url,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            **options,  # type: ignore[arg-type]
        ) as response:
            self.reachable = True
            time = response.headers.get("Axis-Time", "")
            self.axis_time = int(time) if time.isascii() and time.isdigit() else self.axis_time
            if response.status not in (200, 201, 206):
                raise await _refusal(response, echo)
            self.heads.answered(echo, response.headers.get("Axis-Head"))
            yield response


_BROKEN: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=context, limit=32, keepalive_timeout=50)
    return aiohttp.ClientSession(
        connector=connector, auto_decompress=False, headers={"User-Agent": "document-axis-agency"}
    )


async def _limited_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > _ANSWER_LIMIT:
            raise Refusal("unavailable", "the axis's answer is over its limit")
    return bytes(body)


async def _refusal(response: aiohttp.ClientResponse, echo: Echo) -> Refusal:
    """The axis's problem as the Refusal that it came from; anything else is `unavailable`."""
    try:
        members = await response.json(content_type=None)
    except (ValueError, aiohttp.ClientError):
        members = None
    if not isinstance(members, dict):
        return Refusal("unavailable", f"the axis answered {response.status} without a reason")
    refusal = refusal_from_problem(members)
    after = response.headers.get("Retry-After", "")
    if refusal.retry_after is None and after.isascii() and after.isdigit():
        refusal.retry_after = int(after)
    if refusal.name == "head_unknown":
        refusal.extra["life"] = echo.life
    return refusal
