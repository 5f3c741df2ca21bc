"""What an operation is given: the node's parts, and one call of one authenticated system."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from agencies.http.uploads import body_chunks
from agencies.parts import NodeParts
from agencies.vxp.authentication import Caller
from agencies.vxp.call_log import Call
from agencies.vxp.parameters import Parameters
from agencies.vxp.scope import Scope
from axis.core.errors import Refusal

__all__ = ["DOCUMENT", "STATUS", "Desk", "Operation", "read_body"]

DOCUMENT: Final = "document"
STATUS: Final = "status"

_BODY_LIMIT: Final = 64 * 1024
_KINDS: Final = {"": DOCUMENT, "edoc": DOCUMENT, "status": STATUS}


@dataclass(frozen=True, slots=True)
class Desk:
    """One call. `logged` is what the log will say of it."""

    parts: NodeParts
    request: web.Request
    caller: Caller
    parameters: Parameters
    scope: Scope
    logged: Call
    trace_id: str

    @property
    def kind(self) -> str:
        """What `messagetype` asks for, by our names; documents where it says nothing."""
        given = self.parameters.text("messagetype").casefold()
        if given not in _KINDS:
            raise Refusal("field_invalid", f"messagetype: {given[:40]!r}; edoc and status are possible")
        return _KINDS[given]

    def document_id(self, fits: Callable[[str], object], *, alone: bool = False) -> str:
        """The parameter `docId`, also for the log.

        Of two spellings with different values one is an earlier call's: meant is what `fits`, else the first.
        Refusal `field_invalid` without one; with `alone` also where both fit.
        """
        given = self.parameters.spellings("docId")
        if not given:
            raise Refusal("field_invalid", "docId: it is missing")
        fitting = [each for each in given if fits(each)] if len(given) > 1 else given
        if alone and len(fitting) > 1:
            raise Refusal("field_invalid", "docId and docid name two documents: make a new service object")
        self.logged.document_id = (fitting or given)[0]
        return self.logged.document_id

    def may_act_for(self, any_code: str) -> str:
        """The primary code of a unit that the system acts for.

        Refusal `sender_not_registered`, `system_not_allowed`.
        """
        code = self.parts.directory.directory.resolve(any_code)
        if code is None:
            raise Refusal("sender_not_registered", f"unit {any_code[:60]}")
        if not self.scope.has(code):
            raise Refusal("system_not_allowed", f"{self.caller.system.system_id} does not act for {code}")
        return code


async def read_body(request: web.Request, *, needed: bool) -> dict[str, Any]:
    """A JSON object; {} for an empty body, and for any other that is not needed: clients send all sorts.

    Refusal `field_invalid`, `header_too_large`.
    """
    body = bytearray()
    async for chunk in body_chunks(request):
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise Refusal("header_too_large", f"the body: at most {_BODY_LIMIT} bytes")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    if needed:
        raise Refusal("field_invalid", "the body is no JSON object")
    return {}


#: Answers the reply, or the members beside its envelope.
Serve = Callable[[Desk], Awaitable[web.StreamResponse | dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name in the address, how it is asked for, and what it does."""

    name: str
    serve: Serve
    methods: tuple[str, ...] = ("POST",)
    #: Whether the body is a packet; else it is a small JSON object, or nothing that matters.
    takes_packet: bool = False
    needs_body: bool = False
    #: Members of a failed reply that the real client dies without.
    always: tuple[tuple[str, str], ...] = ()
    #: A refusal is an empty body: the client would save any other as the document.
    raw: bool = False
