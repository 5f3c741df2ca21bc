"""multipart/form-data from the agency's software: one part `document`, any number of parts `file`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import BodyPartReader, content_disposition_filename, hdrs, parse_content_disposition, web

from agencies.desk.spool import Spool, TakenFile
from agencies.http.asked import media_type
from axis.core.document import MAX_ATTACHMENTS
from axis.core.envelope import MAX_SIGNED_BYTES
from axis.core.errors import Refusal

__all__ = ["JSON_LIMIT", "body_chunks", "read_submission"]

JSON_LIMIT: Final = 2 * MAX_SIGNED_BYTES
_CHUNK: Final = 256 * 1024
_READ_SECONDS: Final = 60.0
#: Small files of one document are kept in memory up to here, and stored together with its entry.
_KEPT_BYTES: Final = 256 * 1024


async def read_submission(request: web.Request, spool: Spool) -> tuple[object, list[TakenFile]]:
    """The JSON of the part `document`, unchecked, and the files as they were taken, in their order.

    Refusal `field_invalid`, `header_too_large`, `storage_full`.
    """
    # Not request.content_type: that parses by the rules of e-mail, at the cost of a signature.
    if not request.headers.get(hdrs.CONTENT_TYPE, "").lower().startswith("multipart/"):
        raise Refusal("field_invalid", "the body is multipart/form-data with a part `document`")
    raw: object = None
    files: list[TakenFile] = []
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise Refusal("field_invalid", "a part is itself multipart")
            _, disposition = parse_content_disposition(part.headers.get(hdrs.CONTENT_DISPOSITION))
            name = disposition.get("name", "")
            if name == "document" and raw is None:
                raw = json.loads(await _small(part))
            elif name == "file" and len(files) < MAX_ATTACHMENTS:
                kept = sum(len(file.content) for file in files if file.content is not None)
                filename = content_disposition_filename(disposition) or ""
                files.append(await _file(part, filename, spool, keep=kept < _KEPT_BYTES))
            else:
                raise Refusal(
                    "field_invalid",
                    f"part {name[:60]!r}: beside one `document` only {MAX_ATTACHMENTS} times `file`",
                )
    except (ValueError, RecursionError) as error:
        raise Refusal("field_invalid", f"the body is malformed: {error}") from error
    if raw is None:
        raise Refusal("field_invalid", "the part `document` is missing")
    return raw, files


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The raw body in pieces, each within a minute. Refusal `field_invalid` where the client breaks off."""
    while True:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                chunk = await request.content.readany()
        except (TimeoutError, web.RequestPayloadError, ConnectionError) as error:
            raise Refusal("field_invalid", "the body broke off") from error
        if not chunk:
            return
        yield chunk


async def _file(part: BodyPartReader, name: str, spool: Spool, *, keep: bool) -> TakenFile:
    given = part.headers.get(hdrs.CONTENT_TYPE, "")
    encoding = part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower()
    if encoding not in ("binary", "8bit", "7bit"):
        raise Refusal("field_invalid", "files are sent as they are, without a transfer encoding")
    return await spool.take(name, media_type(given) if given else "", _chunks(part), keep=keep)


async def _small(part: BodyPartReader) -> bytes:
    body = bytearray()
    async for chunk in _chunks(part):
        body += chunk
        if len(body) > JSON_LIMIT:
            raise Refusal("header_too_large", "the part `document` is too large")
    return bytes(body)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(_READ_SECONDS):
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            return
        yield bytes(chunk)
