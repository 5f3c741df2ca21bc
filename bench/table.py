"""`python -m bench.table RESULT.json …`: results of `bench.console` side by side, for docs/performance.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main", "table"]

Result = dict[str, Any]


def table(results: Sequence[Result]) -> str:
    """Markdown: a row for each page, and for each filter the slowest of its variants; in milliseconds."""
    head = ["asked for"]
    for result in results:
        head += [f"{result['events']:,} events: p50", "p95", "CPU p95", "ended early"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in results[0]["pages"]:
        lines.append([f"page `{name}`", *_cells([_page(result["pages"][name]) for result in results])])
    for name in results[0]["traffic"]:
        worst = [_worst(result["traffic"][name]) for result in results]
        lines.append([f"filter `{name}`", *_cells(worst)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(measured: Result) -> list[str]:
    return [*(_shown(measured[name]) for name in ("p50", "p95", "cpu_p95")), ""]


def _worst(variants: dict[str, Result]) -> list[str]:
    """Of the slowest variant; pages that ended early, of all."""
    slowest = max(variants.values(), key=lambda each: float(each["p95"]))
    partial = sum(each["partial"] for each in variants.values())
    return [*(_shown(slowest[name]) for name in ("p50", "p95", "cpu_p95")), str(partial) if partial else ""]


def _cells(each: Sequence[list[str]]) -> list[str]:
    return [cell for cells in each for cell in cells]


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:.0f}"


def main() -> None:
    """The command line."""
    print(table([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))


if __name__ == "__main__":
    main()
