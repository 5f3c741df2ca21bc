"""What the containers tell of themselves: first document, memory, the stream's leader, scraped targets."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from deploy.compose.running import Failed, fetch, run, say
from deploy.compose.stack import Stack, service_of

__all__ = ["anonymous_mib", "first_document_seconds", "stream_leader", "targets_up"]

_FIRST = "first document received by all"
_SECONDS = 60.0
_PROMETHEUS = "http://127.0.0.1:9090"
#: What the NATS server says of its streams, at an address that only its own container reaches.
_STREAMS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8222/jsz?streams=1').read().decode())"


def first_document_seconds(stack: Stack) -> float:
    """Seconds from the first container's start until all have the first document."""
    started = min(_time(one["State"]["StartedAt"]) for one in stack.containers())
    (traffic,) = (one for one in stack.containers() if service_of(one) == "traffic")
    deadline = time.monotonic() + _SECONDS
    while True:
        for line in run(["docker", "logs", "--timestamps", traffic["Id"]], 30, env=stack.env).splitlines():
            at, _, text = line.decode(errors="replace").partition(" ")
            if text.strip() == _FIRST:
                say(f"{_FIRST} {_time(at) - started:.1f} s after the first container's start")
                return _time(at) - started
        if time.monotonic() > deadline:
            raise Failed("the traffic generator's first document was not received by all")
        time.sleep(0.5)


def anonymous_mib(stack: Stack) -> dict[str, float]:
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


def stream_leader(stack: Stack) -> str:
    """The NATS service that leads the journal's stream."""
    deadline = time.monotonic() + _SECONDS
    while True:
        told = json.loads(stack.execute("nats-1", "python3", "-c", _STREAMS))
        for stream in _streams(told):
            if leader := stream.get("cluster", {}).get("leader"):
                return str(leader)
        if time.monotonic() > deadline:
            raise Failed(f"the journal's stream has no leader: {told}")
        time.sleep(0.5)


def targets_up(stack: Stack) -> None:
    """Prometheus reaches the axis and every agency."""
    deadline = time.monotonic() + _SECONDS
    while True:
        targets = fetch(f"{_PROMETHEUS}/api/v1/targets?state=active")["data"]["activeTargets"]
        health = {target["labels"]["instance"]: target["health"] for target in targets}
        if len(health) == len(stack.axis_nodes) + 5 and set(health.values()) == {"up"}:
            break
        if time.monotonic() > deadline:
            raise Failed(f"Prometheus does not reach all: {health}")
        time.sleep(1.0)
    say(f"Prometheus: {len(health)} targets are up")


def _streams(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The journal's streams (there is one) among all of an answer of /jsz."""
    accounts = told.get("account_details", [])
    return [
        each
        for account in accounts
        for each in account.get("stream_detail", [])
        if "journal" in each["name"].lower()
    ]


def _time(text: str) -> float:
    """Seconds since the epoch; Docker gives nanoseconds, which Python does not read."""
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()
