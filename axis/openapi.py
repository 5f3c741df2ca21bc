"""OpenAPI 3.1 from the table that the routes are made of, so that a node describes the API that it serves.

Both kinds of node describe themselves by it. Routes name pydantic models; nothing is validated here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from axis.core.errors import CODES

__all__ = ["Handler", "Parameter", "Problem", "Route", "document"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_PLAIN: Final = str.maketrans({"/": "_", ".": "_", "{": None, "}": None})


class Problem(BaseModel):
    """RFC 9457, with the stable code."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    temporary: Annotated[bool, Field(description="whether the same request may succeed later")]
    retry_after: Annotated[int | None, Field(description="after so many seconds")] = None
    check: Annotated[int | None, Field(description="the step of a verification that failed")] = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route."""

    name: str
    where: str  # query, path or header
    description: str
    schema: Json = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of an API. `request` is a model, `answer` a model or a media type.

    `codes` are those of the registry that it may refuse with, each with the registry's status.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[BaseModel] | str
    status: int = 200
    request: type[BaseModel] | None = None
    multipart: bool = False
    body: str = ""  # media type of a body that is no model
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()


def document(
    routes: Sequence[Route],
    *,
    title: str,
    version: str,
    description: str,
    schemes: Mapping[str, Json],
    security: Callable[[Route], Json] | None = None,
) -> Json:
    """The OpenAPI 3.1 document. `schemes` are its security schemes; `security` gives members of an operation
    that say which of them a route asks for, and of whom.
    """
    models = {route.request for route in routes if route.request} | {Problem}
    models |= {route.answer for route in routes if not isinstance(route.answer, str)}
    listed: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization") for model in sorted(models, key=lambda model: model.__name__)
    ]
    _, schemas = models_json_schema(listed, by_alias=True, ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        members = security(route) if security is not None else {}
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route) | members
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": dict(schemes)},
    }


def _operation(route: Route) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": route.method.lower() + route.path.translate(_PLAIN),
        "parameters": [
            {
                "name": one.name,
                "in": one.where,
                "required": one.where == "path",
                "description": one.description,
                "schema": one.schema,
            }
            for one in route.parameters
        ],
        "responses": {
            str(route.status): {"description": "done", "content": _content(route.answer)},
            **_problems(route),
            "default": _problem("a problem with another code"),
        },
    }
    if route.body:
        content = {route.body: {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.request is not None:
        needed = any(one.is_required() for one in route.request.model_fields.values())
        content = _request(route.request, route.multipart)
        operation["requestBody"] = {"required": needed, "content": content}
    return operation


def _request(model: type[BaseModel], multipart: bool) -> Json:
    if not multipart:
        return {"application/json": {"schema": _schema(model)}}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    parts = {"type": "object", "required": ["document"]}
    properties = {"document": _schema(model), "file": files}
    encoding = {"document": {"contentType": "application/json"}}
    return {"multipart/form-data": {"schema": parts | {"properties": properties}, "encoding": encoding}}


def _content(answer: type[BaseModel] | str) -> Json:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "object" if answer.endswith("json") else "string"}}}
    return {"application/json": {"schema": _schema(answer)}}


def _problems(route: Route) -> Json:
    """What each status of a refusal means: its codes, and why."""
    meanings: dict[int, list[str]] = {}
    for name in route.codes:
        meanings.setdefault(CODES[name].http_status, []).append(f"`{name}`: {CODES[name].cause}")
    return {str(status): _problem(" ".join(said)) for status, said in sorted(meanings.items())}


def _problem(description: str) -> Json:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": _schema(Problem)}},
    }


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
