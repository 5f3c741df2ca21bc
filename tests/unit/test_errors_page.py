"""docs/errors.md is the registry, in words; `UPDATE_DOCS=1` with this test writes it anew."""

import os
from pathlib import Path

from axis.core.errors import CODES, TEMPORARY_FOR_RECEIPTS

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

INTRODUCTION = """# Error codes

One code per cause, the same in every HTTP answer (`application/problem+json`, field `code`), command line
(`refused [code]: …`) and log. *Temporary* means that the same bytes may be accepted later, and the agency
node tries again by itself; † marks codes that are temporary for receipts and statuses and final for documents.
This page is written from the registry in `axis/core/errors.py`.

| code | HTTP | | cause | remedy |
|---|---|---|---|---|
"""


def render() -> str:
    lines = []
    for entry in CODES.values():
        kind = "temporary" if entry.temporary else "final"
        dagger = " †" if entry.name in TEMPORARY_FOR_RECEIPTS else ""
        lines.append(f"| `{entry.name}` | {entry.http_status} | {kind}{dagger} | {entry.cause} | {entry.remedy} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def test_the_page_is_the_registry() -> None:
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(render(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == render()
