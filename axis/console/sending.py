"""Files sent part by part: whole, or visibly cut off.

An answer that has begun cannot become another one. So whatever goes wrong on the way ends the connection
before the last chunk (RFC 9112, section 8: the message is incomplete then), and nobody takes a part for the
whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from axis.console.guard import GUARD
from axis.core.errors import Refusal
from axis.logs import get_logger

__all__ = ["send_parts"]

#: For a reader that takes nothing; it holds up others.
_WRITE_SECONDS: Final = 60.0


async def send_parts(
    request: web.Request, response: web.StreamResponse, parts: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send all parts, as long as whoever asked reads them and may; none to HEAD. Empty ones only show that
    the next is being looked for. Raises what the first raises.
    """
    first = await anext(parts, b"")
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:  # what followed would be taken for the next answer
        return response
    try:
        await _write(request, response, first)
        async for part in parts:
            await _write(request, response, part)
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.write_eof()
    except BaseException as error:
        if request.transport is not None:
            request.transport.abort()
        if not isinstance(error, Exception):
            raise
        get_logger().warning("file_cut_off", path=request.path, detail=str(error) or type(error).__name__)
    return response


async def _write(request: web.Request, response: web.StreamResponse, part: bytes) -> None:
    if not request.app[GUARD].holds(request):
        raise Refusal("not_authorised", "the log-in has ended")
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the reader has gone")
    if not part:
        return
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(part)
