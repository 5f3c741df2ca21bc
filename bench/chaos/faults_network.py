"""What can happen between axis nodes, NATS servers and each other: links and routes cut, silent or slow.

A node is connected to one server of three at a time: its faults hit the link that it uses at the moment, and
the way out is another server. A route that is cut leaves two servers that do not hear each other and a third
that hears both; the leader without its routes leads nobody.
"""

from __future__ import annotations

import asyncio
from typing import Final

from axis.journal.stream import stream_name
from bench.chaos.country import Country
from bench.chaos.faults_nats import journal_id, servers_of
from bench.chaos.links import Link, Mode
from bench.chaos.plan import NotInjected, Step

__all__ = ["cut_leader", "cut_nats", "cut_route", "delay_nats", "mend_nats", "mend_routes"]

_USED_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.1


async def cut_nats(country: Country, step: Step) -> None:
    """Cut the link between an axis node and its server."""
    (await _used(country, step)).set(_form(step))


async def delay_nats(country: Country, step: Step) -> None:
    """Slow the link between an axis node and its server."""
    (await _used(country, step)).set("open", step.amount)


async def mend_nats(country: Country, step: Step) -> None:
    """All links between the axis node and its servers work."""
    for link in _links(country, step):
        link.set("open")


async def cut_route(country: Country, step: Step) -> None:
    """Two servers do not hear each other."""
    country.engine.links[step.target].set(_form(step))


async def cut_leader(country: Country, step: Step) -> None:
    """The server that leads the journal's stream loses both others."""
    cluster = await servers_of(country).connect()
    try:
        state = await cluster.stream(stream_name(await journal_id(country)), 10.0)
    finally:
        await cluster.close()
    if state is None or not state.leader:
        raise NotInjected("the journal's stream has no leader")
    country.say(f"{state.leader} leads: it loses the others")
    for name in country.layout.routes:
        if state.leader in name.split("~"):
            country.engine.links[name].set(_form(step))


async def mend_routes(country: Country, step: Step) -> None:
    """All routes work; the servers are whole when they have read what they missed."""
    for name in country.layout.routes:
        country.engine.links[name].set("open")
    await servers_of(country).ready()


def _form(step: Step) -> Mode:
    return "cut" if step.variant == "reset" else "hole"


def _links(country: Country, step: Step) -> list[Link]:
    links = [country.engine.links[f"{step.target}~{server}"] for server in country.layout.nats]
    return [link for link in links if isinstance(link, Link)]


async def _used(country: Country, step: Step) -> Link:
    """The link that carries the node's connection; a node that is just looking for a server is waited for."""
    async with asyncio.timeout(_USED_SECONDS):
        while True:
            for link in _links(country, step):
                if link.in_use:
                    country.say(f"{link.name} is the link in use")
                    return link
            await asyncio.sleep(_LOOK_SECONDS)
