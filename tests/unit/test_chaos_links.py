"""The proxy between nodes: passes bytes, keeps them, slows them, cuts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.chaos.links import Link


@asynccontextmanager
async def echo_behind_a_link() -> AsyncIterator[tuple[Link, asyncio.StreamReader, asyncio.StreamWriter]]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link("A~B", server.sockets[0].getsockname()[:2])
    await link.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield link, reader, writer
    finally:
        writer.transport.abort()
        await link.close()
        server.close()


async def test_bytes_pass_and_the_end_of_them_too() -> None:
    async with echo_behind_a_link() as (_, reader, writer):
        writer.write(b"x" * 300_000)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 30) == b"x" * 300_000


async def test_a_hole_keeps_bytes_until_it_ends() -> None:
    async with echo_behind_a_link() as (link, reader, writer):
        writer.write(b"before")
        assert await asyncio.wait_for(reader.readexactly(6), 30) == b"before"
        link.set("hole")
        writer.write(b"within")
        answer = asyncio.create_task(reader.readexactly(6))
        async with asyncio.timeout(30):
            while not link.swallowed:
                await asyncio.sleep(0.01)
        assert not answer.done()
        link.set("open")
        assert await asyncio.wait_for(answer, 30) == b"within"


async def test_a_cut_resets_what_is_there_and_what_comes() -> None:
    async with echo_behind_a_link() as (link, reader, writer):
        writer.write(b"before")
        await asyncio.wait_for(reader.readexactly(6), 30)
        link.set("cut")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 30)
        late, late_writer = await asyncio.open_connection("127.0.0.1", link.port)
        try:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(late.readexactly(1), 30)
        finally:
            late_writer.transport.abort()
        assert link.broken >= 2


async def test_a_delay_holds_each_way_but_not_the_width() -> None:
    async with echo_behind_a_link() as (link, reader, writer):
        link.set("open", delay=0.05)
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write(b"y" * 2_000_000)
        await asyncio.wait_for(reader.readexactly(2_000_000), 20)
        assert loop.time() - began >= 0.1
