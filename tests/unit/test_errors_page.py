"""docs/errors.md is the registry, in words; `UPDATE_DOCS=1` with this test writes it anew."""

import os
from pathlib import Path

from axis.core.errors import CODES, TEMPORARY_FOR_RECEIPTS

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

INTRODUCTION = """# Error codes

One code per cause, the same in every HTTP answer (`application/problem+json`, field `code`), command line
(`refused [code]: …`) and log. *Temporary* means that the same bytes may be accepted later, and the agency
node tries again by itself; † marks codes that are final for documents, temporary for receipts and statuses.
This page is written from the registry in `axis/core/errors.py`.

| code | HTTP | | cause | remedy |
|---|---|---|---|---|
"""


def render() -> str:
    lines = []
    for entry in CODES.values():
        kind = "temporary" if entry.temporary else "final"
        dagger = " †" if entry.name in TEMPORARY_FOR_RECEIPTS else ""
        cells = (f"`{entry.name}`", str(entry.http_status), kind + dagger, entry.cause, entry.remedy)
        lines.append(f"| {' | '.join(cells)} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def test_the_page_is_the_registry() -> None:
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(render(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == render()
