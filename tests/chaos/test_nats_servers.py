"""The NATS servers that tests and fault runs start: they outlive nobody, and keep their ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from socket import socket

import pytest

from bench.nats import NatsCluster

_STARTER = """
import signal, sys, time
from pathlib import Path
from bench.nats import NatsCluster
cluster = NatsCluster(Path(sys.argv[1]))
cluster.start_all()
cluster.signal(1, signal.SIGSTOP)
print(*(cluster.process(number).pid for number in (1, 2, 3)), flush=True)
time.sleep(600)
"""


def running(pid: int) -> bool:
    """Whether there is such a process that has not ended (one that nobody has waited for has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_servers_die_with_who_started_them(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", _STARTER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter:
        servers = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(servers) == 3
        assert all(running(pid) for pid in servers)
        starter.kill()
    until = time.monotonic() + 60
    while any(running(pid) for pid in servers):
        if time.monotonic() > until:
            for pid in servers:
                os.kill(pid, signal.SIGKILL)
            pytest.fail("NATS servers outlived the process that started them")
        time.sleep(0.05)


def test_ports_of_servers_that_are_down_are_given_to_nobody_else(tmp_path: Path) -> None:
    cluster = NatsCluster(tmp_path)
    port = cluster.client_port(1)
    with socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    # Its own server takes it, also when it starts again.
    for _ in range(2):
        cluster.start(1)
        until = time.monotonic() + 60
        while not _takes(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        cluster.kill(1)
    cluster.stop()


def _takes(port: int) -> bool:
    with socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
