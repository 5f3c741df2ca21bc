"""The issuer: a process of its own that alone reads the authority's keys (design decision 12).

`python -m certs.issuer --home PKI` answers requests on its standard input until that ends. It opens no
socket, inherits no file but the three standard ones, and so never holds a lock of its parent. It ends with
its parent: the pipe closes, and the kernel kills it even where something else holds the pipe open.

A message is a length (4 bytes, big-endian) and that many bytes of JSON; binary values are base64. Requests
and answers alternate: `{"operation", …}` → `{"answer": …}` or `{"code", "detail"}`.
The client is `certs.issuer.IssuerProcess`.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import json
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from axis.core.errors import Refusal
from certs.authority import Authority

__all__ = ["LENGTH", "MAX_MESSAGE_BYTES", "PAGE", "answer", "main", "serve"]

LENGTH: Final = struct.Struct(">I")
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
#: Entries of the list in one answer; each is at most a few KiB.
PAGE: Final = 1000

_PR_SET_PDEATHSIG: Final = 1


def answer(authority: Authority, request: dict[str, Any], now: int) -> dict[str, Any]:
    """Do what one request asks; refusals and defects become answers too."""
    try:
        return {"answer": _OPERATIONS[request["operation"]](authority, request, now)}
    except Refusal as refusal:
        return {"code": refusal.name, "detail": refusal.detail}
    except Exception:
        # A full disk, a damaged list: the process goes on, and the axis says "not now".
        traceback.print_exc(file=sys.stderr)
        return {"code": "unavailable", "detail": "the issuer could not do this; see its log"}


def serve(authority: Authority, source: BinaryIO, sink: BinaryIO, now: Callable[[], int]) -> None:
    """Answer requests until `source` ends, or holds something that is no request."""
    while len(header := source.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(header)
        if size > MAX_MESSAGE_BYTES:
            return
        body = source.read(size)
        if len(body) < size:
            return
        reply = json.dumps(answer(authority, json.loads(body), now())).encode()
        sink.write(LENGTH.pack(len(reply)) + reply)
        sink.flush()


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(
        prog="python -m certs.issuer", description="Issue certificates on request."
    )
    parser.add_argument("--home", type=Path, required=True, help="the authority's folder")
    parser.add_argument("--parent", type=int, default=0, help="process to end with (default: who started it)")
    arguments = parser.parse_args()
    _end_with(arguments.parent or os.getppid())
    try:
        authority = Authority.open(arguments.home)
    except (OSError, ValueError) as error:
        sys.exit(f"issuer: no authority in {arguments.home}: {error}")
    # What a library prints must not end up between two answers.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(authority, sys.stdin.buffer, sink, lambda: time.time_ns() // 1_000_000)


def _issue(authority: Authority, request: dict[str, Any], now: int) -> list[str]:
    certificates = authority.issue_organisation(request["organisation"], *_requests(request), now)
    return [_base64(certificate) for certificate in certificates]


def _issue_axis(authority: Authority, request: dict[str, Any], now: int) -> list[str]:
    certificates = authority.issue_axis(*_requests(request), request["names"], now)
    return [_base64(certificate) for certificate in certificates]


def _requests(request: dict[str, Any]) -> tuple[bytes, bytes]:
    return base64.b64decode(request["tls_request"]), base64.b64decode(request["sign_request"])


def _revoke(authority: Authority, request: dict[str, Any], _: int) -> None:
    authority.revoke(request["serial"], request["reason"], request["at"])


def _listed(authority: Authority, request: dict[str, Any], _: int) -> list[dict[str, Any]]:
    return [
        {
            "number": entry.number,
            "organisation": entry.organisation,
            "usage": entry.usage,
            "serial": entry.serial,
            "certificate": _base64(entry.certificate),
            "revoked_at": entry.revoked_at,
            "reason": entry.reason,
        }
        for entry in authority.listed(request["after"], PAGE)
    ]


def _hello(_: Authority, __: dict[str, Any], ___: int) -> str:
    return "ready"


_OPERATIONS: Final[dict[str, Callable[[Authority, dict[str, Any], int], Any]]] = {
    "hello": _hello,
    "issue": _issue,
    "issue_axis": _issue_axis,
    "revoke": _revoke,
    "listed": _listed,
}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _end_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(0)
