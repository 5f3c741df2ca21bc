"""What `make compose` proves: documents between containers, counts, killed nodes, audits, memory, time."""

from __future__ import annotations

import json

from deploy.compose.books import audits_equal, volumes_agree
from deploy.compose.documents import exchange, exchange_vxp
from deploy.compose.measures import anonymous_mib, first_document_seconds, stream_leader, targets_up
from deploy.compose.running import Failed, say
from deploy.compose.stack import Stack

__all__ = ["check"]

#: What is promised of the default profile; the others start and hold more.
_FIRST_SECONDS = {"default": 30.0, "observe": 30.0, "cluster": 60.0}
_MEMORY_MIB = {"default": 768.0, "observe": 1024.0, "cluster": 1024.0}


def check(stack: Stack) -> None:
    """Run the whole check on services that are up. Raises Failed."""
    first = first_document_seconds(stack)
    exchange(stack, "G22", "G14", "the first exchange")
    exchange_vxp(stack, "G14")
    with stack.paused("traffic"):
        volumes_agree(stack)
    if stack.profile == "cluster":
        _without_a_server(stack)
        _without_a_node(stack)
    else:
        _axis_restarted(stack)
    if stack.profile == "observe":
        targets_up(stack)
    memory = anonymous_mib(stack)
    stack.compose("stop", "traffic")
    volumes_agree(stack)
    audits_equal(stack)
    for name, mib in sorted(memory.items()):
        say(f"  {name:12} {mib:6.1f} MiB anonymous")
    total = sum(memory.values())
    print(
        json.dumps({"first_document_seconds": round(first, 1), "anonymous_mib": round(total, 1)}), flush=True
    )
    if first > (limit := _FIRST_SECONDS[stack.profile]):
        raise Failed(f"the first document took {first:.1f} s, the limit is {limit:g} s")
    if total > (limit := _MEMORY_MIB[stack.profile]):
        raise Failed(f"{total:.0f} MiB of anonymous memory, the limit is {limit:g} MiB")


def _axis_restarted(stack: Stack) -> None:
    stack.kill("axis")
    stack.up()
    exchange(stack, "H26", "H53", "after the axis was killed")


def _without_a_server(stack: Stack) -> None:
    """The NATS server that leads the journal's stream is killed: two go on, and it comes back."""
    leader = stream_leader(stack)
    stack.kill(leader)
    exchange(stack, "H26", "H53", f"while {leader}, the stream's leader, was dead")
    stack.up()


def _without_a_node(stack: Stack) -> None:
    """The axis node that the agencies joined at is killed: the other serves them, and it comes back."""
    stack.kill("axis-1")
    exchange(stack, "G22", "H29", "while axis-1 was dead")
    stack.up()
    exchange(stack, "H29", "G14", "after axis-1 came back")
