"""The envelope around every reply: HTTP 200 and `{"status","ErrorCode","ErrorDesc",…}`, refusals too.

The real client shows its user this envelope and nothing else, so a refused call is no HTTP error. Non-ASCII
is escaped: the client garbles UTF-8.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from agencies.vxp.words import DONE, error_code, sentence
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["base64_member", "done", "failed", "list_member", "whole", "whole_or_broken"]

_JSON: Final = "application/json"
#: Replaced by what is streamed: no reply can hold it, since control characters are escaped.
_HOLE: Final = "\x00"
_AT_ONCE: Final = 500


def done(**members: Any) -> web.Response:
    """A call that was served."""
    return _reply(_ok(members))


def failed(refusal: Refusal, members: dict[str, Any] | None = None, status: int = 200) -> web.Response:
    """A call that was refused; `members` are those that the client cannot do without."""
    body = {"status": "FAIL", "ErrorCode": str(error_code(refusal)), "ErrorDesc": sentence(refusal)}
    return _reply(body | (members or {}), status)


def _reply(body: dict[str, Any], status: int = 200) -> web.Response:
    """Without a charset: some clients compare the whole header."""
    return web.Response(body=json.dumps(body).encode("ascii"), status=status, content_type=_JSON)


async def base64_member(
    request: web.Request, name: str, size: int | None, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """A reply with one long member in base64, streamed in constant memory."""
    first = await anext(chunks, b"")  # what is missing is said before anything is promised
    before, after = _around(name, '"')
    response = web.StreamResponse(headers={"Content-Type": _JSON})
    if size is not None:
        response.content_length = len(before) + 4 * ((size + 2) // 3) + len(after)
    await response.prepare(request)
    await response.write(before)
    left = first
    async with whole_or_broken(request):
        async for chunk in chunks:
            whole = len(left) - len(left) % 3
            await response.write(base64.b64encode(left[:whole]))
            left = left[whole:] + chunk
    await response.write(base64.b64encode(left) + after)
    await response.write_eof()
    return response


@asynccontextmanager
async def whole_or_broken(request: web.Request) -> AsyncIterator[None]:
    """Where the content fails once a reply has begun, the connection breaks: half must not look whole."""
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:
        get_logger().exception("reply_broken_off", path=request.path)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError(str(error)) from error


async def whole(chunks: AsyncIterator[bytes], size: int | None) -> AsyncIterator[bytes]:
    """The same bytes. Refusal `unavailable` at their end where the file has become another size."""
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        yield chunk
    if size is not None and total != size:
        raise Refusal("unavailable", f"the content has {total} bytes, not {size}")


async def list_member(request: web.Request, name: str, members: Iterable[Any]) -> web.StreamResponse:
    """A reply with one long list, written in pieces; other calls have their turn in between."""
    before, after = _around(name, "")
    response = web.StreamResponse(headers={"Content-Type": _JSON})
    await response.prepare(request)
    piece = [before, b"["]
    comma = b""
    for number, member in enumerate(members, 1):
        piece += [comma, json.dumps(member).encode()]
        comma = b", "
        if number % _AT_ONCE == 0:
            await response.write(b"".join(piece))
            await asyncio.sleep(0)
            piece = []
    await response.write(b"".join([*piece, b"]", after]))
    await response.write_eof()
    return response


def _ok(members: dict[str, Any]) -> dict[str, Any]:
    return {"status": "OK", "ErrorCode": "0", "ErrorDesc": DONE} | members


def _around(name: str, quote: str) -> tuple[bytes, bytes]:
    """The reply before and behind a member's value."""
    text = json.dumps(_ok({name: _HOLE}))
    before, after = text.split(json.dumps(_HOLE))
    return (before + quote).encode(), (quote + after).encode()
