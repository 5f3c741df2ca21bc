"""What `make compose` makes of the engine's words."""

from __future__ import annotations

import pytest

from deploy.compose.stack import taken_ports

#: Docker 20 through docker-compose 1.29, with what it says of two services; and Docker 28.
OLD = """\
ERROR: for agency-h26  Cannot start service agency-h26: driver failed programming external connectivity on \
endpoint axis-check_agency-h26_1 (f616): Error starting userland proxy: listen tcp4 127.0.0.1:8093: bind: \
address already in use
ERROR: for axis  Cannot start service axis: driver failed programming external connectivity on endpoint \
axis-check_axis_1 (c08f): Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: \
address already in use
"""
NEW = (
    "Error response from daemon: failed to set up container networking: driver failed programming external "
    "connectivity on endpoint axis-1 (9d0): failed to bind host port for 127.0.0.1:8080:172.18.0.3:8080/tcp: "
    "address already in use"
)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (OLD + OLD, ["127.0.0.1:8080", "127.0.0.1:8093"]),
        (NEW, ["127.0.0.1:8080"]),
        ("listen tcp4 127.0.0.1:8080: bind: permission denied", []),
        ("no such image", []),
    ],
)
def test_taken_ports_are_named(said: str, taken: list[str]) -> None:
    assert taken_ports(said) == taken
