"""The one place where a refusal becomes an HTTP response."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from axis.control import PROBLEM_JSON, problem
from axis.core.errors import Refusal

__all__ = ["from_http_error", "response"]

_CODES: Final = {
    404: "route_unknown",
    405: "route_unknown",
    413: "header_too_large",
    429: "rate_limited",
}


def response(refusal: Refusal, status: int | None = None) -> web.Response:
    """RFC 9457 problem+json with the stable code; Retry-After where the refusal names a time."""
    members = problem(refusal)
    if status is not None:
        members["status"] = status
    answer = web.json_response(members, status=int(str(members["status"])), content_type=PROBLEM_JSON)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def from_http_error(error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses (no such path or method, a malformed request), in the same form."""
    name = _CODES.get(error.status, "field_invalid" if error.status < 500 else "unavailable")
    answer = response(Refusal(name, error.text or error.reason), error.status)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer
