"""The one place where a refusal becomes an HTTP response."""

from __future__ import annotations

from aiohttp import web

from axis.control import PROBLEM_JSON, http_problem, problem
from axis.core.errors import Refusal

__all__ = ["from_http_error", "response"]


def response(refusal: Refusal) -> web.Response:
    """RFC 9457 problem+json with the stable code; Retry-After where the refusal names a time."""
    answer = _answer(problem(refusal), refusal.code.http_status)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def from_http_error(error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses (no such path or method, a malformed request), in the same form."""
    answer = _answer(http_problem(error), error.status)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _answer(members: dict[str, object], status: int) -> web.Response:
    return web.json_response(members, status=status, content_type=PROBLEM_JSON)
