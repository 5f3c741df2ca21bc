"""What `make compose` proves: documents between containers, counts, a killed axis, memory, time."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

from deploy.compose.running import Failed, run, say
from deploy.compose.stack import Stack, service_of

__all__ = ["check"]

_FIRST_SECONDS = 30.0
_MEMORY_MIB = 768.0
_CONSOLE = "http://127.0.0.1:8080"
_FIRST = "first document received by all"


def check(stack: Stack) -> None:
    """Run the whole check on services that are up. Raises Failed."""
    first = _first_document(stack)
    _exchange(stack, "G22", "G14", "the first exchange")
    _volumes_agree(stack)
    _kill_axis(stack)
    _exchange(stack, "H26", "H53", "after the axis was killed")
    _volumes_agree(stack)
    memory = _memory(stack)
    for name, mib in sorted(memory.items()):
        say(f"  {name:12} {mib:6.1f} MiB anonymous")
    total = sum(memory.values())
    print(json.dumps({"first_document_seconds": round(first, 1), "anonymous_mib": round(total, 1)}))
    if first > _FIRST_SECONDS:
        raise Failed(f"the first document took {first:.1f} s, the limit is {_FIRST_SECONDS:g} s")
    if total > _MEMORY_MIB:
        raise Failed(f"{total:.0f} MiB of anonymous memory, the limit is {_MEMORY_MIB:g} MiB")


def _first_document(stack: Stack) -> float:
    """Seconds from the first container's start until all have the first document."""
    started = min(_time(one["State"]["StartedAt"]) for one in stack.containers())
    (traffic,) = (one for one in stack.containers() if service_of(one) == "traffic")
    deadline = time.monotonic() + 60
    while True:
        for line in run(["docker", "logs", "--timestamps", traffic["Id"]], 30, env=stack.env).splitlines():
            at, _, text = line.decode(errors="replace").partition(" ")
            if text.strip() == _FIRST:
                say(f"{_FIRST} {_time(at) - started:.1f} s after the first container's start")
                return _time(at) - started
        if time.monotonic() > deadline:
            raise Failed("the traffic generator's first document was not received by all")
        time.sleep(0.5)


def _exchange(stack: Stack, sender: str, receiver: str, subject: str) -> None:
    """One file from one container's agency to another's, byte for byte."""
    content = secrets.token_bytes(300_000)
    source, target = f"agency-{sender.lower()}", f"agency-{receiver.lower()}"
    name = f"report-{secrets.token_hex(4)}.bin"
    stack.execute(source, "sh", "-c", f"cat > /tmp/{name}", stdin=content)
    send = ("agency", "send", f"/tmp/{name}", "--to", receiver, "--subject", subject, "--wait")
    document_id = stack.execute(source, *send, timeout=90).decode().strip()
    stack.execute(target, "agency", "save", document_id, "--out", f"/tmp/{document_id}")
    if stack.execute(target, "cat", f"/tmp/{document_id}/{name}") != content:
        raise Failed(f"{document_id}: {receiver} has another file than {sender} sent")
    say(f"{subject}: {document_id} went from {sender} to {receiver}, byte for byte")


def _volumes_agree(stack: Stack) -> None:
    """The console's API counts as the command does, and its counts add up. Traffic goes on meanwhile."""
    token = stack.execute("axis", "cat", "/data/console.token").decode().strip()
    deadline = time.monotonic() + 60
    while True:
        ours = _counts(json.loads(stack.execute("axis", "axis", "volumes", "--json")))
        shown = _counts(_get(f"{_CONSOLE}/api/v1/volumes", token))
        again = _counts(json.loads(stack.execute("axis", "axis", "volumes", "--json")))
        if shown in (ours, again):
            break
        # Documents landed between the two readings: one of them is looked for that stands still.
        if time.monotonic() > deadline:
            raise Failed(f"volumes differ: {ours['total']} and {shown['total']}")
    total = shown["total"]
    right = total["in_flight_before"] + total["addressed"] + total["requeued"]
    left = total["received"] + total["refused"] + total["dead"] + total["in_flight"]
    if right != left or total["received"] == 0:
        raise Failed(f"the counts do not add up: {total}")
    say(f"volumes: {total['sent']} sent, {total['received']} received, {total['in_flight']} in flight")


def _counts(volumes: dict[str, Any]) -> dict[str, Any]:
    return {"rows": volumes["rows"], "total": volumes["total"]}


def _get(url: str, token: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.URLError as error:
        raise Failed(f"{url}: {error}") from error


def _kill_axis(stack: Stack) -> None:
    """SIGKILL, as a power cut would, and start it again."""
    stack.compose("kill", "-s", "SIGKILL", "axis")
    say("killed the axis")
    stack.up()


def _memory(stack: Stack) -> dict[str, float]:
    """Anonymous MiB of each service, from its control group (version 1 or 2)."""
    read = "cat /sys/fs/cgroup/memory/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory.stat"
    memory = {}
    for container in stack.containers():
        if not container["State"]["Running"]:
            continue
        name = service_of(container)
        lines = dict(line.split() for line in stack.execute(name, "sh", "-c", read).decode().splitlines())
        memory[name] = int(lines.get("total_rss") or lines["anon"]) / 1024**2
    return memory


def _time(text: str) -> float:
    """Seconds since the epoch; Docker gives nanoseconds, which Python does not read."""
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()
