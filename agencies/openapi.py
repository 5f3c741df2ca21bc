"""OpenAPI 3.1 and a readable page, both made from the routes and their models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

import jinja2
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agencies.api_models import Problem
from axis.core.errors import CODES

__all__ = ["Parameter", "Route", "docs_page", "document"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REF: Final = "#/components/schemas/{model}"
_PLAIN: Final = str.maketrans({"/": "_", ".": "_", "{": None, "}": None})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route."""

    name: str
    where: str  # query, path or header
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the local API. `request` is a model, `answer` a model or a media type."""

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


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    models = {r.request for r in routes if r.request} | {Problem}
    models |= {r.answer for r in routes if not isinstance(r.answer, str)}
    listed = [(model, "serialization") for model in sorted(models, key=lambda m: m.__name__)]
    _, schemas = models_json_schema(listed, by_alias=True, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agency node, local API",
            "version": version,
            "description": "Send documents through the axis and take those that came. Errors are "
            "application/problem+json (RFC 9457) with a stable `code`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
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
            "default": {
                "description": _codes(route.codes),
                "content": {"application/problem+json": {"schema": _schema(Problem)}},
            },
        },
    }
    if route.body:
        content = {route.body: {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": _request(route.request, route.multipart)}
    return operation


def _request(model: type[BaseModel], multipart: bool) -> dict[str, Any]:
    if not multipart:
        return {"application/json": {"schema": _schema(model)}}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    parts = {"type": "object", "required": ["document"]}
    properties = {"document": _schema(model), "file": files}
    encoding = {"document": {"contentType": "application/json"}}
    return {"multipart/form-data": {"schema": parts | {"properties": properties}, "encoding": encoding}}


def _content(answer: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": _schema(answer)}}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _codes(names: tuple[str, ...]) -> str:
    return "; ".join(f"{name} ({CODES[name].http_status})" for name in names) or "a problem"


def docs_page(openapi: dict[str, Any]) -> str:
    """The document for people: one page, nothing loaded from elsewhere."""
    template = resources.files("agencies").joinpath("docs.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    codes = [CODES[name] for name in sorted(CODES)]
    return environment.from_string(template).render(api=openapi, codes=codes)
