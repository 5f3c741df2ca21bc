"""Named queries: each in a file of its own that begins with a line of purpose."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["query"]


@cache
def query(name: str) -> str:
    """The text of `queries/<name>.sql`; `/* counts */` stands for what `counts.sql` counts."""
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return text.replace("/* counts */", query("counts")) if "/* counts */" in text else text
