"""A real cluster of three nats-servers on loopback, as deploy/nats/nats.conf runs it: TLS, accounts."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket

from axis.demo.processes import end_with_parent
from axis.jetstream import JetStream, NotAnswered, cluster_tls, servers_of
from certs.cluster import AXIS_NODE, make_cluster_keys

CONF = Path(__file__).parents[1] / "deploy/nats/nats.conf"
SERVERS = 3
_START_SECONDS = 30.0


class NatsCluster:
    """Three server processes and their stores under `folder`."""

    def __init__(self, folder: Path, *, disk: str = "4GB") -> None:
        self.folder = folder
        self._disk = disk
        self._held = _held_ports(3 * SERVERS + 1)
        ports: list[int] = [each.getsockname()[1] for each in self._held]
        self._nobody = ports.pop()
        self._clients, self._routes, self._monitors = (ports[kind::3] for kind in range(3))
        #: Where one server finds another, by their numbers, if not at its own port: at a proxy.
        self.ways: dict[tuple[int, int], int] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        names = {f"nats-{number}": ["127.0.0.1", "localhost"] for number in range(1, SERVERS + 1)}
        make_cluster_keys(folder / "keys", names, time.time_ns() // 1_000_000)

    @property
    def url(self) -> str:
        """What `axis serve --journal` takes."""
        return "nats://" + ",".join(f"127.0.0.1:{port}" for port in self._clients)

    def client_port(self, number: int) -> int:
        """Where a server listens for axis nodes; servers are numbered from 1."""
        return self._clients[number - 1]

    def route_port(self, number: int) -> int:
        """Where a server listens for the other servers."""
        return self._routes[number - 1]

    @property
    def client_ports(self) -> list[int]:
        """Where axis nodes connect, in the servers' order."""
        return list(self._clients)

    @property
    def route_ports(self) -> list[int]:
        """Where the other servers connect, in the servers' order."""
        return list(self._routes)

    @property
    def keys(self) -> Path:
        """The folder with an axis node's keys."""
        return self.folder / "keys" / AXIS_NODE

    def store(self, number: int) -> Path:
        """A server's store; servers are numbered from 1."""
        return self.folder / f"store-{number}"

    def process(self, number: int) -> subprocess.Popen[bytes]:
        """A server's process."""
        return self._processes[number]

    def start_all(self) -> None:
        """Start every server."""
        for number in range(1, SERVERS + 1):
            self.start(number)

    def start(self, number: int) -> None:
        """Start one server (again, with what its store holds)."""
        tls = self.folder / "keys" / f"nats-{number}"
        routes = [self.ways.get((number, to), self.route_port(to)) for to in range(1, SERVERS + 1)]
        # Servers tell each other where the others are: behind proxies, nowhere but where it is configured.
        hidden = ["--cluster_advertise", f"127.0.0.1:{self._nobody}"] if self.ways else []
        environment = os.environ | {
            "NATS_NAME": f"nats-{number}",
            "NATS_LISTEN": f"127.0.0.1:{self._clients[number - 1]}",
            "NATS_ROUTES_LISTEN": f"127.0.0.1:{self._routes[number - 1]}",
            "NATS_ROUTES": "[" + ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in routes) + "]",
            "NATS_MONITOR": f"127.0.0.1:{self._monitors[number - 1]}",
            "NATS_STORE": str(self.store(number)),
            "NATS_DISK": self._disk,
            "NATS_TLS_CERT": str(tls / "tls.crt"),
            "NATS_TLS_KEY": str(tls / "tls.key"),
            "NATS_TLS_CA": str(tls / "ca.pem"),
        }
        server = Path(sys.executable).with_name("nats-server")
        # It ends with us, also when we are killed, and even while it is stopped. (With the thread that starts
        # it, in truth: start servers from the main thread.)
        with (self.folder / f"nats-{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [server, "-c", CONF, *hidden],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509  # it only makes system calls
            )

    def kill(self, number: int) -> None:
        """kill -9."""
        process = self._processes[number]
        process.kill()
        process.wait(30)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to one server."""
        self._processes[number].send_signal(what)

    def wipe(self, number: int) -> None:
        """Empty a stopped server's store."""
        shutil.rmtree(self.store(number))

    def healthy(self, number: int) -> bool:
        """Whether a server says that its streams are up to date."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._monitors[number - 1]}/healthz", timeout=2
            ) as answer:
                return bool(json.load(answer).get("status") == "ok")
        except OSError:
            return False

    async def ready(self, numbers: Sequence[int] = (1, 2, 3)) -> None:
        """Wait until these servers are healthy."""
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while not all([await asyncio.to_thread(self.healthy, number) for number in numbers]):
            if asyncio.get_running_loop().time() > until:
                raise TimeoutError(f"the NATS cluster is not healthy; see {self.folder}/nats-*.log")
            await asyncio.sleep(0.1)

    async def connect(self, name: str = "test") -> JetStream:
        """A connection with an axis node's keys; waits until a server takes it."""
        servers = servers_of(self.url)
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            try:
                return await JetStream.connect(servers, cluster_tls(self.keys, servers), name=name)
            except NotAnswered:
                if asyncio.get_running_loop().time() > until:
                    raise

    def stop(self) -> None:
        """End every server, and give back the ports."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(30)
        for each in self._held:
            each.close()


def _held_ports(count: int) -> list[socket]:
    """Ports that are ours until the sockets are closed.

    Bound without listening: nobody is given such a port, neither to listen nor to connect from, but a server
    that asks for it by number gets it (Go, like asyncio, sets SO_REUSEADDR), again and again.
    """
    held = []
    for _ in range(count):
        each = socket()
        each.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        each.bind(("127.0.0.1", 0))
        held.append(each)
    return held
