"""What the console says of its API, held against what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from axis.console.shapes import acts, audits, common, documents, units, volumes

__all__ = ["check_answer"]

_MODULES = (acts, audits, documents, units, volumes)


def _below(shape: type[common.Shape]) -> Iterator[type[common.Shape]]:
    for each in shape.__subclasses__():
        yield each
        yield from _below(each)


#: Every shape of an answer by the name that it has in the description.
_SHAPES = {shape.__name__: shape for shape in _below(common.Shape)}


def check_answer(operation: dict[str, Any], answer: Any, status: str = "200") -> None:
    """Fails unless an answer has the shape that the description names: nothing missing, nothing beside it.

    What a shape does not know would be gone from what it gives back.
    """
    reference = operation["responses"][status]["content"]["application/json"]["schema"]["$ref"]
    shape = _SHAPES[reference.rpartition("/")[2]]
    told = shape.model_validate_json(json.dumps(answer), strict=True)
    assert told.model_dump(mode="json", by_alias=True, exclude_unset=True) == answer
