"""Named queries: each in a file of its own that begins with a line of purpose."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

__all__ = ["query"]

#: What several queries have in common: `/* counts */` stands for counts.sql.
_SHARED: Final = ("parts", "counts")


@cache
def query(name: str) -> str:
    """The text of `queries/<name>.sql`, with what it shares with others put in."""
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    for shared in _SHARED:
        if (place := f"/* {shared} */") in text:
            text = text.replace(place, query(shared))
    return text
