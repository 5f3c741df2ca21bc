"""What can happen to the servers that keep the journal's stream: one dies, stalls, loses its disk or a bit of
it; and the stream itself can be deleted.
"""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Final

from axis import control
from axis.journal.stream import stream_name
from bench.books import command
from bench.chaos.country import Country
from bench.chaos.plan import NotInjected, Step
from bench.nats import NatsCluster

__all__ = [
    "delete_stream",
    "flip_byte",
    "go_on_server",
    "journal_id",
    "kill_server",
    "pause_server",
    "reseed",
    "servers_of",
    "start_server",
    "wipe_server",
]

_FORKED_SECONDS: Final = 0.5
_FORKED_TRIES: Final = 120


async def kill_server(country: Country, step: Step) -> None:
    """kill -9."""
    servers_of(country).kill(_number(step))


async def start_server(country: Country, step: Step) -> None:
    """Start it again; it is whole when it has read what it missed."""
    servers = servers_of(country)
    servers.start(_number(step))
    await servers.ready()


async def pause_server(country: Country, step: Step) -> None:
    """SIGSTOP."""
    servers_of(country).signal(_number(step), signal.SIGSTOP)


async def go_on_server(country: Country, step: Step) -> None:
    """SIGCONT."""
    servers = servers_of(country)
    servers.signal(_number(step), signal.SIGCONT)
    await servers.ready()


async def wipe_server(country: Country, step: Step) -> None:
    """Its disk is replaced by an empty one."""
    servers = servers_of(country)
    servers.kill(_number(step))
    servers.wipe(_number(step))


async def flip_byte(country: Country, step: Step) -> None:
    """One bit of the largest block file of a stopped server is wrong."""
    servers = servers_of(country)
    servers.kill(_number(step))
    blocks = [path for path in servers.store(_number(step)).rglob("*.blk") if path.stat().st_size > 0]
    if not blocks:
        raise NotInjected(f"{step.target} has no block file yet")
    block = max(blocks, key=lambda path: path.stat().st_size)
    place = random.Random(step.number).randrange(block.stat().st_size)
    with block.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


async def delete_stream(country: Country, step: Step) -> None:
    """Somebody deletes the journal's stream; every node must notice and append nothing."""
    cluster = await servers_of(country).connect()
    try:
        await cluster.ask(f"STREAM.DELETE.{stream_name(await journal_id(country))}", {}, 10.0)
    finally:
        await cluster.close()
    for part in country.axes.values():
        for _ in range(_FORKED_TRIES):
            if "reseed" in (await control.call(part.home, "node.status", {}))["doubt"]:
                break
            await asyncio.sleep(_FORKED_SECONDS)
        else:
            raise NotInjected(f"{part.name} has not noticed that the stream is gone")


async def reseed(country: Country, step: Step) -> None:
    """What an operator does, beside the running nodes: make the stream from the longest journal."""
    heads = {}
    for part in country.axes.values():
        heads[part.name] = int((await control.call(part.home, "node.status", {}))["head"].split(":")[1])
    longest = country.axes[max(heads, key=lambda name: heads[name])]
    answer = await command("axis.cli", "journal reseed", longest.home)
    country.say(f"reseeded from {longest.name}: {answer}")


async def journal_id(country: Country) -> str:
    """The journal's id, from a running node."""
    home = next(iter(country.axes.values())).home
    return str((await control.call(home, "node.status", {}))["head"].split(":")[0])


def servers_of(country: Country) -> NatsCluster:
    """The country's NATS servers."""
    servers = country.engine.servers
    assert servers is not None  # the layout has servers only where the engine does
    return servers


def _number(step: Step) -> int:
    return int(step.target.removeprefix("nats-"))
