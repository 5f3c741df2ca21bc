"""Who may use the local API: this machine's programs, or whoever has the bearer token; never a web page.

Bound to loopback the API needs no token, so a page in a browser on this machine must not reach it: neither
by a name that its author points at 127.0.0.1 (DNS rebinding: the Host header names it), nor by a form or
script that posts across sites (Origin, Sec-Fetch-Site).
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Final

from aiohttp import web

from axis.core.errors import Refusal
from axis.durable import write_whole

__all__ = ["Guard", "bearer_token"]

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OPEN: Final = frozenset({"/livez", "/readyz", "/metrics"})
_TOKEN: Final = "api.token"  # noqa: S105 - a file's name


def bearer_token(home: Path) -> str:
    """The local API's token, made at first use (`HOME/api.token`, the owner's only).

    An empty file (a power cut while it was written, say) is no token: everybody could show one like it.
    """
    path = home / _TOKEN
    token = path.read_text("ascii").strip() if path.exists() else ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_whole(path, f"{token}\n".encode("ascii"), 0o600)
    return token


class Guard:
    """Lets a request in, or raises `Unauthorised` or a Refusal. `token` None: loopback, no token."""

    def __init__(self, token: str | None) -> None:
        if token == "":
            raise ValueError("an empty token would let everybody in")
        self._token = token

    def check(self, request: web.Request) -> None:
        """Judge one request before its body is read."""
        if self._token is not None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if request.path not in _OPEN and not hmac.compare_digest(given.encode(), self._token.encode()):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="agency"'})
            return
        name = request.host.rpartition(":")[0] if _has_port(request.host) else request.host
        if name.lower() not in _LOCAL_NAMES:
            raise Refusal("origin_not_allowed", f"Host: {request.host[:100]} is not this machine's own name")
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin != f"{request.scheme}://{request.host}"
        if foreign or request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise Refusal("origin_not_allowed", "requests from other sites' pages are not taken")


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and (not host.startswith("[") or "]:" in host)
