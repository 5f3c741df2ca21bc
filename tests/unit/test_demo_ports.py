"""The demonstration's ports: each is given out once."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from axis.demo import ports
from axis.demo.ports import Ports


def test_any_port_is_never_one_that_was_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may offer the same port again once nobody listens on it."""
    with ExitStack() as opened:
        offered = []
        for _ in range(2):
            probe = opened.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            offered.append(probe.getsockname()[1])
    offers = iter([offered[0], offered[0], offered[0], offered[1]])
    monkeypatch.setattr(ports, "_any_port", lambda host: next(offers))
    given = Ports(lambda text: None)
    assert [given.free("127.0.0.1:0") for _ in range(2)] == [f"127.0.0.1:{port}" for port in offered]


def test_a_taken_port_is_passed_over_and_said() -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = Ports(said.append).free(f"127.0.0.1:{port}")
    assert address != f"127.0.0.1:{port}"
    assert said == [f"port {port} is taken, using {address.rpartition(':')[2]}"]
