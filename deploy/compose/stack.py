"""The services: up until all are healthy, commands within them, down with all that they made."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deploy.compose.engine import ROOT, Engine
from deploy.compose.running import Failed, run, say

__all__ = ["PROFILES", "Stack", "service_of", "taken_ports"]

PROFILES = {"default": "default", "observe": "default,observe", "cluster": "cluster"}
_ALL = "default,observe,cluster"
_HEALTHY_SECONDS = 120.0
#: How docker's proxy, and docker itself since version 28, call an address that somebody else listens on.
_TAKEN = re.compile(
    r"(?:listen tcp4?|failed to bind host port(?: for)?) ([\d.]+):(\d+)\S*:? .*?address already in use"
)


@dataclass(frozen=True, slots=True)
class Stack:
    """docker-compose on one engine with one profile.

    `images`: what `build` gave; `project`: another than .env names.
    """

    engine: Engine
    profile: str
    images: Mapping[str, str] = field(default_factory=dict)
    project: str = ""

    @property
    def env(self) -> dict[str, str]:
        """What docker and docker-compose are called with."""
        own = {"DOCKER_HOST": self.engine.host, "COMPOSE_PROFILES": PROFILES[self.profile]}
        return own | dict(self.images) | ({"COMPOSE_PROJECT_NAME": self.project} if self.project else {})

    @property
    def axis_nodes(self) -> tuple[str, ...]:
        """The services that are nodes of the axis; the first one's console is at 127.0.0.1:8080."""
        return ("axis-1", "axis-2") if self.profile == "cluster" else ("axis",)

    def compose(self, *arguments: str, timeout: float = 120.0, profiles: str = "") -> bytes:
        """`docker-compose …`, with other profiles if need be; what it wrote."""
        env = self.env | ({"COMPOSE_PROFILES": profiles} if profiles else {})
        return run(["docker-compose", "--project-directory", str(ROOT), *arguments], timeout, env=env)

    def execute(self, service: str, *command: str, stdin: bytes = b"", timeout: float = 60.0) -> bytes:
        """Run a command in a service's container."""
        own = ["docker-compose", "--project-directory", str(ROOT), "exec", "-T", service]
        return run([*own, *command], timeout, env=self.env, stdin=stdin)

    def up(self) -> None:
        """Start everything, and return when all are healthy. Raises Failed, with the logs' ends."""
        say("starting the containers")
        try:
            self.compose("up", "--detach", "--no-build", timeout=180.0)
        except Failed as error:
            if taken := taken_ports(str(error)):
                raise Failed(
                    f"another program listens on {', '.join(taken)}: stop it (a demo that still runs, or "
                    f"make compose-down for another project's containers), and start again"
                ) from error
            raise
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while waiting := self._unhealthy():
            if time.monotonic() > deadline:
                logs = self.compose("logs", "--tail=15", *waiting).decode(errors="replace")
                raise Failed(f"not healthy in {_HEALTHY_SECONDS:g} s: {', '.join(waiting)}\n{logs}")
            time.sleep(0.5)
        say("all containers are healthy")

    def kill(self, service: str) -> None:
        """SIGKILL, as a power cut would; nothing starts it again before `up`."""
        self.compose("kill", "-s", "SIGKILL", service)
        say(f"killed {service}")

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Let a service stand still meanwhile."""
        self.compose("pause", service)
        try:
            yield
        finally:
            self.compose("unpause", service)

    def down(self) -> None:
        """Stop and remove containers, networks and volumes, whichever profile they are of."""
        options = ("--volumes", "--remove-orphans", "--timeout", "30")
        self.compose("down", *options, timeout=180.0, profiles=_ALL)

    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` says of each container."""
        ids = self.compose("ps", "--all", "--quiet").decode().split()
        if not ids:
            return []
        return list(json.loads(run(["docker", "inspect", *ids], 60, env=self.env)))

    def _unhealthy(self) -> Sequence[str]:
        """The services that do not run, or whose health check does not pass (yet)."""
        found = []
        for container in self.containers():
            state = container["State"]
            if container["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"):  # runs once, and ends
                fine = state["Status"] == "exited" and state["ExitCode"] == 0
            else:
                fine = state["Running"] and state.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            if not fine:
                found.append(service_of(container))
        return found


def taken_ports(said: str) -> list[str]:
    """The addresses that the engine could not bind because they are in use, from what it said, in order."""
    found = {f"{address}:{port}" for address, port in _TAKEN.findall(said)}
    return sorted(found, key=lambda each: int(each.rpartition(":")[2]))


def service_of(container: dict[str, Any]) -> str:
    """The service that an inspected container belongs to."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])
