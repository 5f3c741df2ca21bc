"""The one place where the local API's errors become responses (RFC 9457)."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from axis.control import PROBLEM_JSON, problem
from axis.core.errors import Refusal

__all__ = ["plain_problem", "problem_response"]

_CODES: Final = {
    401: "not_authorised",
    404: "route_unknown",
    405: "route_unknown",
    413: "header_too_large",
}


def problem_response(refusal: Refusal) -> web.Response:
    """A Refusal as a problem."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    return web.json_response(
        problem(refusal), status=refusal.code.http_status, content_type=PROBLEM_JSON, headers=headers
    )


def plain_problem(error: web.HTTPException) -> web.Response:
    """What HTTP itself refuses (no such route, no token), in the same form."""
    code = _CODES.get(error.status, "field_invalid")
    detail = f"{error.reason}: /docs lists every path" if code == "route_unknown" else error.reason
    members = problem(Refusal(code, detail))
    members["status"] = error.status
    headers = {k: v for k, v in error.headers.items() if k in ("WWW-Authenticate", "Allow")}
    return web.json_response(members, status=error.status, content_type=PROBLEM_JSON, headers=headers)
