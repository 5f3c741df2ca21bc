"""Whether the books are right: the console counts as the command does, and all nodes' audits agree."""

from __future__ import annotations

import json
import time
from typing import Any

from deploy.compose.running import Failed, fetch, say
from deploy.compose.stack import Stack

__all__ = ["audits_equal", "volumes_agree"]

_CONSOLE = "http://127.0.0.1:8080"
_SECONDS = 60.0


def volumes_agree(stack: Stack) -> None:
    """The console's API counts as the command does, and its counts add up. Call it without traffic."""
    node = stack.axis_nodes[0]
    token = stack.execute(node, "cat", "/data/console.token").decode().strip()
    deadline = time.monotonic() + _SECONDS
    while True:
        ours = _counted(stack, node)
        shown = _counts(fetch(f"{_CONSOLE}/api/v1/volumes", {"Authorization": f"Bearer {token}"}))
        if shown in (ours, _counted(stack, node)):
            break
        # What was under way landed between the two readings.
        if time.monotonic() > deadline:
            raise Failed(f"volumes differ: {ours['total']} and {shown['total']}")
    total = shown["total"]
    right = total["in_flight_before"] + total["addressed"] + total["requeued"]
    left = total["received"] + total["refused"] + total["dead"] + total["in_flight"]
    if right != left or total["received"] == 0:
        raise Failed(f"the counts do not add up: {total}")
    say(f"volumes: {total['sent']} sent, {total['received']} received, {total['in_flight']} in flight")


def audits_equal(stack: Stack) -> None:
    """Every node's audit finds no problem, and all come to the same root hash. Call it without traffic."""
    deadline = time.monotonic() + _SECONDS
    while True:
        # An audit that finds a problem exits 1, which is Failed.
        audits = [
            json.loads(stack.execute(node, "axis", "audit", "--json", timeout=120))
            for node in stack.axis_nodes
        ]
        if len({audit["head"] for audit in audits}) == 1:
            break
        if time.monotonic() > deadline:
            raise Failed(f"the nodes' heads stay apart: {', '.join(audit['head'] for audit in audits)}")
    if len({audit["root_hash"] for audit in audits}) != 1 or not all(
        audit["volumes_equal"] for audit in audits
    ):
        raise Failed(f"the audits differ: {audits}")
    first = audits[0]
    nodes = " and ".join(stack.axis_nodes)
    say(f"audit of {nodes}: {first['records']} records, no problem, root hash {first['root_hash'][:16]}…")


def _counted(stack: Stack, node: str) -> dict[str, Any]:
    return _counts(json.loads(stack.execute(node, "axis", "volumes", "--json")))


def _counts(volumes: dict[str, Any]) -> dict[str, Any]:
    return {"rows": volumes["rows"], "total": volumes["total"]}
