"""Proxies on every way to a NATS server: from each axis node, and from server to server."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from bench.chaos.links import Breakable, Link, Route
from bench.nats import SERVERS, NatsCluster

__all__ = ["ROUTES", "link_node", "link_servers"]

_PAIRS: Final = tuple(combinations(range(1, SERVERS + 1), 2))
#: The names of the routes between the servers.
ROUTES: Final = tuple(f"nats-{one}~nats-{other}" for one, other in _PAIRS)


async def link_servers(servers: NatsCluster) -> dict[str, Breakable]:
    """Put a proxy on every route, by its name; before the servers are started."""
    routes: dict[str, Breakable] = {}
    for name, (one, other) in zip(ROUTES, _PAIRS, strict=True):
        ways = []
        for start, end in ((one, other), (other, one)):  # either connects to the other
            link = Link(f"nats-{start}~nats-{end}", ("127.0.0.1", servers.route_port(end)))
            servers.ways[start, end] = await link.listen()
            ways.append(link)
        routes[name] = Route(*ways)
    return routes


async def link_node(name: str, servers: NatsCluster) -> tuple[dict[str, Link], str]:
    """Put a proxy between an axis node and each server: the links by their names, and the node's URL."""
    links = {}
    for number in range(1, SERVERS + 1):
        link = Link(f"{name}~nats-{number}", ("127.0.0.1", servers.client_port(number)))
        await link.listen()
        links[link.name] = link
    return links, "nats://" + ",".join(f"127.0.0.1:{link.port}" for link in links.values())
