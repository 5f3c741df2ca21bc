"""JSON answers that a person at a terminal can read: Vietnamese as it is written."""

from __future__ import annotations

import json
from functools import partial

from aiohttp import web

__all__ = ["as_json"]

_dumps = partial(json.dumps, ensure_ascii=False)


def as_json(value: object, status: int = 200) -> web.Response:
    """An answer of application/json in UTF-8."""
    return web.json_response(value, status=status, dumps=_dumps)
