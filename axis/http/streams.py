"""Bodies in and out with a limit on every wait, so that a stalled client holds nothing for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from aiohttp import web
from google.protobuf.message import DecodeError, Message

from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import BlobMismatch, BlobMissing, OutcomeUnknown

__all__ = ["PROTOBUF", "chunks", "message", "protobuf", "send"]

#: For a small body as a whole: a byte now and then must not hold a place for hours.
_BODY_SECONDS = 30.0
PROTOBUF = "application/x-protobuf"
M = TypeVar("M", bound=Message)


async def chunks(request: web.Request, idle: float) -> AsyncIterator[bytes]:
    """The body in pieces as they come.

    Raises Refusal `unavailable` when no byte comes for `idle` seconds or the client breaks off.
    """
    while chunk := await _piece(request, idle):
        yield chunk


async def message(request: web.Request, kind: type[M], limit: int, idle: float) -> M:
    """A small protobuf body, within 30 s.

    Its size is checked before it is read. Refusal `header_too_large`, `header_malformed`, `unavailable`.
    """
    if request.content_length is not None and request.content_length > limit:
        raise Refusal("header_too_large", f"a body of {request.content_length} bytes, the limit is {limit}")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while chunk := await _piece(request, idle):
                body += chunk
                if len(body) > limit:
                    raise Refusal("header_too_large", f"the body is over {limit} bytes")
    except TimeoutError as error:
        raise Refusal("unavailable", f"the body took over {_BODY_SECONDS:g} s") from error
    try:
        return kind.FromString(bytes(body))
    except DecodeError as error:
        raise Refusal("header_malformed", f"the body is no {kind.__name__}") from error


def protobuf(answer: Message, status: int = 200) -> web.Response:
    """An answer in protobuf."""
    return web.Response(body=answer.SerializeToString(), status=status, content_type=PROTOBUF)


async def send(
    request: web.Request, response: web.StreamResponse, data: AsyncIterator[bytes], idle: float
) -> None:
    """Write a body as fast as the client reads it. One that reads nothing for `idle` seconds is cut off.

    So is one whose content cannot be read to its end: another answer would arrive as a part of this one.
    """
    try:
        await response.prepare(request)
        async for chunk in data:
            async with asyncio.timeout(idle):
                await response.write(chunk)
    except (TimeoutError, ConnectionError) as error:
        get_logger().info("client_gone", path=request.path, reason=type(error).__name__)
        _cut_off(request)
    except (BlobMissing, BlobMismatch, OutcomeUnknown) as error:
        get_logger().error("content_broke_off", path=request.path, detail=str(error))
        _cut_off(request)


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()  # closing would wait for the client to read what is buffered


async def _piece(request: web.Request, idle: float) -> bytes:
    if request.content.at_eof():
        return b""
    try:
        async with asyncio.timeout(idle):
            return await request.content.readany()
    except TimeoutError as error:
        raise Refusal("unavailable", f"no byte of the body came for {idle:g} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refusal("unavailable", "the client broke off") from error
