"""The one place where the local API's errors become responses (RFC 9457)."""

from __future__ import annotations

from aiohttp import web

from axis.control import PROBLEM_JSON, http_problem, problem
from axis.core.errors import Refusal

__all__ = ["plain_problem", "problem_response"]


def problem_response(refusal: Refusal) -> web.Response:
    """A Refusal as a problem."""
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    return web.json_response(
        problem(refusal), status=refusal.code.http_status, content_type=PROBLEM_JSON, headers=headers
    )


def plain_problem(error: web.HTTPException) -> web.Response:
    """What HTTP itself refuses (no such route, no token), in the same form."""
    paths = ": /docs lists every path" if error.status in {404, 405} else ""
    members = http_problem(error, f"{error.reason}{paths}")
    headers = {k: v for k, v in error.headers.items() if k in ("WWW-Authenticate", "Allow")}
    return web.json_response(members, status=error.status, content_type=PROBLEM_JSON, headers=headers)
