"""What a request asks for, read and checked."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from axis.core.errors import Refusal

__all__ = ["cursor", "invalid", "media_type", "number"]


def cursor(request: web.Request) -> int:
    """`after`: where the page before ended; 0 at the beginning."""
    return number(request, "after", 0, 1 << 62)


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number of the query; at most `most`. Refusal `field_invalid`."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise Refusal("field_invalid", f"{name}: {text[:60]!r} is not a number")
    return min(int(text), most)


def media_type(text: str) -> str:
    """Printable ASCII by the header's rules; anything that is no type is plain bytes."""
    return text if "/" in text and text.isprintable() else "application/octet-stream"


def invalid(error: ValidationError) -> Refusal:
    """What pydantic found first, as a Refusal that names the field."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return Refusal("field_invalid", f"{where}: {first['msg']}")
