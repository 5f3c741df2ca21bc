"""What may be changed through the console: an operator's acts on a delivery, a registrar's on the register.

`Acts` is for pages: each act takes who acts, checks the role once more, does the same operation as the
command line, with the operator's name for the journal, and answers what `axis … --json` prints. `remark` is
why, in words, where the act has no reason of its own; it is journalled too. The API's twins are `POST`
requests with a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from axis.console.filters import only
from axis.console.roles import OPERATOR, Operator, Role
from axis.console.shapes import acts as shapes
from axis.console.told import Wrong
from axis.control import Operation
from axis.core.errors import Refusal
from axis.openapi import Parameter, Route

__all__ = ["ACTS", "Acts", "act_twins"]

_Answer = dict[str, Any]


class Acts:
    """The acts, over the node's operations (`axis.app.operations`). Every one raises Refusal."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def requeue(self, by: Operator, document_id: str, to: str, reason: str = "") -> _Answer:
        """Open the next attempt of a dead or refused delivery: {"document_id", "to", "attempt", "host"}."""
        about = {"document_id": document_id, "to": to, "reason": reason}
        return await self._do(by, Role.OPERATOR, "document.requeue", about)

    async def close(self, by: Operator, document_id: str, to: str, reason: str) -> _Answer:
        """End a delivery that is in flight: {"document_id", "to", "attempt", "host"}."""
        about = {"document_id": document_id, "to": to, "reason": _given("reason", reason)}
        return await self._do(by, Role.OPERATOR, "document.close", about)

    async def register(
        self,
        by: Operator,
        code: str,
        name: str,
        parent: str = "",
        old_codes: Sequence[str] = (),
        mail: str = "",
        remark: str = "",
        *,
        token: bool = True,
    ) -> _Answer:
        """Register a unit, or change it, and make it a token: {"code", "token", "expires_at"}.

        Without `token` none is made: {"code", "changed"}.
        """
        unit = {"code": code, "name": name, "parent": parent, "old_codes": list(old_codes), "mail": mail}
        return await self._do(by, Role.REGISTRAR, "org.add", unit | {"token": token, "remark": remark})

    async def token(self, by: Operator, code: str, remark: str = "") -> _Answer:
        """Another enrolment token: {"code", "token", "expires_at"}."""
        return await self._do(by, Role.REGISTRAR, "org.token", {"code": code, "remark": remark})

    async def suspend(self, by: Operator, code: str, reason: str) -> _Answer:
        """Let a unit neither send nor receive: {"code", "changed"}."""
        about = {"code": code, "reason": _given("reason", reason)}
        return await self._do(by, Role.REGISTRAR, "org.suspend", about)

    async def resume(self, by: Operator, code: str, remark: str = "") -> _Answer:
        """End a suspension: {"code", "changed"}."""
        return await self._do(by, Role.REGISTRAR, "org.resume", {"code": code, "remark": remark})

    async def revoke(self, by: Operator, serial: str, reason: str, remark: str = "") -> _Answer:
        """Revoke a certificate, with a reason of RFC 5280: {"serial", "org", "usage", "changed"}."""
        about = {"serial": serial, "reason": _given("reason", reason), "remark": remark}
        return await self._do(by, Role.REGISTRAR, "cert.revoke", about)

    async def _do(self, by: Operator, least: Role, operation: str, arguments: _Answer) -> _Answer:
        by.require(least)
        act = self._operations.get(operation)
        if act is None:
            raise Refusal("unavailable", f"this node has no operation {operation}")
        answer = await act({**arguments, "operator": by.name})
        assert isinstance(answer, dict)
        return answer


#: The acts of an application.
ACTS: Final = web.AppKey("acts", Acts)


_DOCUMENT: Final = "/api/v1/documents/{document_id}"
_UNIT: Final = "/api/v1/units/{code}"
_WHAT: Final = {
    "document_id": "the document's id",
    "code": "any of the unit's codes",
    "serial": "the certificate's serial number, hexadecimal",
}
#: Of whatever appends to the journal.
_APPENDING: Final = ("field_invalid", "journal_forked", "storage_full", "shutting_down", "unavailable")
_OF_DELIVERIES: Final = ("document_unknown", "not_a_recipient", "delivery_closed")


def act_twins() -> tuple[Route, ...]:
    """What is served to programs."""
    return (
        _twin(
            f"{_DOCUMENT}/requeue",
            Acts.requeue,
            "Open the next attempt of a delivery that is dead or was refused.",
            (shapes.Requeue, shapes.DeliveryDone),
            *_OF_DELIVERIES,
            "recipient_suspended",
        ),
        _twin(
            f"{_DOCUMENT}/close",
            Acts.close,
            "End a delivery that is in flight.",
            (shapes.Close, shapes.DeliveryDone),
            *_OF_DELIVERIES,
        ),
        _twin(
            "/api/v1/units",
            Acts.register,
            "Register a unit, or change it, and make it an enrolment token.",
            (shapes.NewUnit, shapes.Token),
        ),
        _twin(f"{_UNIT}/token", Acts.token, "Make another enrolment token.", (shapes.Remark, shapes.Token)),
        _twin(
            f"{_UNIT}/suspend",
            Acts.suspend,
            "Let a unit neither send nor receive, at once.",
            (shapes.Reason, shapes.Changed),
        ),
        _twin(f"{_UNIT}/resume", Acts.resume, "End a suspension.", (shapes.Remark, shapes.Changed)),
        _twin(
            "/api/v1/certificates/{serial}/revoke",
            Acts.revoke,
            "Revoke a certificate, in force at once and for ever.",
            (shapes.Revocation, shapes.Revoked),
            "certificate_unknown",
        ),
    )


def _twin(
    path: str,
    act: Callable[..., Awaitable[_Answer]],
    summary: str,
    shape: tuple[type[BaseModel], type[BaseModel]],
    *codes: str,
) -> Route:
    """One act; `shape` is that of its body and of its answer."""
    body, answer = shape
    named = (part[1:-1] for part in path.split("/") if part.startswith("{"))
    return Route(
        "POST",
        path,
        partial(_post, act, body),
        summary,
        answer,
        request=body,
        parameters=tuple(Parameter(name, "path", _WHAT[name]) for name in named),
        codes=(*codes, *_APPENDING),
    )


async def _post(
    act: Callable[..., Awaitable[_Answer]], shape: type[BaseModel], request: web.Request
) -> web.Response:
    """One act: what the path and the body name, by the operator who asks."""
    only(request.query, ())
    given = await _body(request, shape)
    answer = await act(request.app[ACTS], request[OPERATOR], **request.match_info, **given)
    return web.json_response(answer, dumps=partial(json.dumps, ensure_ascii=False))


async def _body(request: web.Request, shape: type[BaseModel]) -> _Answer:
    """The JSON object of a request, with the members of a shape; Refusal `field_invalid`."""
    needed = [name for name, one in shape.model_fields.items() if one.is_required()]
    raw = await request.read()
    try:
        given = json.loads(raw) if raw or needed else {}
        json.dumps(given, ensure_ascii=False).encode()  # half of a character is none (RFC 8259, section 8.2)
    except (ValueError, RecursionError) as error:
        raise Refusal("field_invalid", f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise Refusal("field_invalid", "the body is a JSON object")
    for name in given:
        if name not in shape.model_fields:
            members = ", ".join(shape.model_fields)
            raise Refusal("field_invalid", f"{name[:40]}: not known here; possible is {members}")
    for name in needed:
        if name not in given:
            raise Refusal("field_invalid", f"{name}: missing")
    for name, value in given.items():
        texts = value if isinstance(value, list) and name == "old_codes" else [value]
        if not all(isinstance(text, str) for text in texts) or (name == "old_codes" and texts is not value):
            what = "a list of texts" if name == "old_codes" else "a text"
            raise Refusal("field_invalid", f"{name}: this is {what}")
    return given


def _given(name: str, text: str) -> str:
    """A reason that was really given; Refusal `field_invalid`."""
    if not text.strip():
        raise Wrong(name, "why")
    return text.strip()
