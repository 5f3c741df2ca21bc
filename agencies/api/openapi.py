"""What the local API says of itself: OpenAPI 3.1 and a readable page, both made from the routes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2

from axis import openapi
from axis.core.errors import CODES
from axis.openapi import Parameter, Route

__all__ = ["Parameter", "Route", "docs_page", "document"]


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return openapi.document(
        routes,
        title="Agency node, local API",
        version=version,
        description="Send documents through the axis and take those that came. Errors are "
        "application/problem+json (RFC 9457) with a stable `code`.",
        schemes={"bearer": {"type": "http", "scheme": "bearer"}},
    )


def docs_page(described: dict[str, Any]) -> str:
    """The document for people: one page, nothing loaded from elsewhere."""
    template = resources.files("agencies.api").joinpath("docs.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    codes = [CODES[name] for name in sorted(CODES)]
    return environment.from_string(template).render(api=described, codes=codes)
