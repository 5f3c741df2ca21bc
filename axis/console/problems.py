"""What programs are refused with (RFC 9457); people get pages (`axis.console.faults`)."""

from __future__ import annotations

import json

from aiohttp import hdrs, web

from axis.control import PROBLEM_JSON, http_problem, problem
from axis.core.errors import Refusal

__all__ = ["of", "of_http"]


def of(refusal: Refusal) -> web.Response:
    """A refusal, with its code."""
    return _response(problem(refusal), refusal.code.http_status)


def of_http(error: web.HTTPException) -> web.Response:
    """What HTTP itself refuses, with a code too."""
    paths = f"{error.reason}: /api/v1/openapi.json lists every path" if error.status in {404, 405} else ""
    response = _response(http_problem(error, paths), error.status)
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response


def _response(members: dict[str, object], status: int) -> web.Response:
    text = json.dumps(members, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type=PROBLEM_JSON)
