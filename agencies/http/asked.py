"""What a request asks for, read and checked."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import ValidationError

from axis.core.errors import Refusal

__all__ = ["check_encoding", "cursor", "invalid", "kind", "last_event", "limit", "media_type", "seconds"]

_MAX_CURSOR: Final = (1 << 63) - 1
_MAX_LIMIT: Final = 500
_MAX_WAIT: Final = 60


def cursor(request: web.Request) -> int:
    """`after`: where the page before ended; 0 at the beginning. Beyond the end is a place like another."""
    return _number("after", request.query.get("after", ""), 0, 0, _MAX_CURSOR)


def limit(request: web.Request, default: int = 100) -> int:
    """`limit`: how many rows a page has at most."""
    return _number("limit", request.query.get("limit", ""), default, 1, _MAX_LIMIT)


def kind(request: web.Request) -> str:
    """`kind`: documents, or the statuses about them. Refusal `field_invalid`."""
    text = request.query.get("kind", "document")
    if text not in ("document", "status"):
        raise Refusal("field_invalid", "kind: document or status")
    return text


def seconds(request: web.Request) -> int:
    """`wait`: how long to wait for news; more than is allowed means as long as is allowed."""
    return min(_number("wait", request.query.get("wait", ""), 0, 0, _MAX_CURSOR), _MAX_WAIT)


def last_event(request: web.Request, newest: int) -> int:
    """`Last-Event-ID`: the event behind which to go on; by default, and at most, the newest."""
    text = request.headers.get("Last-Event-ID", "")
    return min(_number("Last-Event-ID", text, newest, 0, _MAX_CURSOR), newest)


def _number(name: str, text: str, default: int, least: int, most: int) -> int:
    """A whole number in ASCII digits. Refusal `field_invalid`."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not least <= int(text) <= most:
        raise Refusal("field_invalid", f"{name}: {text[:60]!r} is no number from {least} to {most}")
    return int(text)


def check_encoding(request: web.Request) -> None:
    """Refusal `field_invalid` for bytes that are no UTF-8: nothing that is asked for is named by them."""
    try:
        "".join((request.path_qs, request.path, *request.headers.values())).encode()
    except UnicodeEncodeError as error:
        raise Refusal("field_invalid", "the request's path or a header is not UTF-8") from error


def media_type(text: str) -> str:
    """Printable ASCII by the header's rules; anything that is no type is plain bytes."""
    return text if "/" in text and text.isascii() and text.isprintable() else "application/octet-stream"


def invalid(error: ValidationError) -> Refusal:
    """What pydantic found first, as a Refusal that names the field."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return Refusal("field_invalid", f"{where}: {first['msg']}")
