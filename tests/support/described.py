"""What the console says of its API, held against what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from axis.console.shapes import acts, audits, common, documents, units, volumes

__all__ = ["Operations", "check_answer", "check_request", "operations"]

#: Method and path as it is described → what is said of it.
Operations = dict[tuple[str, str], dict[str, Any]]

_MODULES = (acts, audits, documents, units, volumes)


def _below(shape: type[common.Shape]) -> Iterator[type[common.Shape]]:
    for each in shape.__subclasses__():
        yield each
        yield from _below(each)


#: Every shape of an answer by the name that it has in the description.
_SHAPES = {shape.__name__: shape for shape in _below(common.Shape)}


def operations(described: dict[str, Any]) -> Operations:
    """Everything that a description describes."""
    return {
        (method.upper(), path): operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
    }


def check_request(known: Operations, method: str, path: str, status: int, answer: Any) -> None:
    """Fails unless a request's answer, or its refusal's code and status, is described."""
    (operation,) = (
        operation
        for (each, template), operation in known.items()
        if each == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
    )
    if status == 200:
        check_answer(operation, answer)
    else:
        assert f"`{answer['code']}`: " in operation["responses"][str(status)]["description"], answer


def check_answer(operation: dict[str, Any], answer: Any, status: str = "200") -> None:
    """Fails unless an answer has the shape that the description names: nothing missing, nothing beside it.

    What a shape does not know would be gone from what it gives back.
    """
    reference = operation["responses"][status]["content"]["application/json"]["schema"]["$ref"]
    shape = _SHAPES[reference.rpartition("/")[2]]
    told = shape.model_validate_json(json.dumps(answer), strict=True)
    assert told.model_dump(mode="json", by_alias=True, exclude_unset=True) == answer
