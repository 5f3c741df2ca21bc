"""Several agency nodes in one process: `python -m agencies.fleet --home A --home B …`.

Each has its own home, lock, store and API, and says by itself when it is ready; nothing is shared but the
process and its log.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agencies.app import Node
from agencies.config import ConfigError
from axis import logs
from axis.control import HomeBusy
from axis.core.errors import Refusal
from axis.supervisor import supervised

__all__ = ["main", "serve"]

_LOCK_SECONDS = 5.0


async def serve(homes: Sequence[Path], api: str | None = None, autoreply: Sequence[str] = ()) -> None:
    """Run the nodes until SIGTERM or SIGINT, or until one of them fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    nodes: list[Node] = []
    try:
        for home in homes:
            nodes.append(await _started(home, api, autoreply))
        # All of them are up before the first line: whoever reads one line may use them all.
        for node in nodes:
            print(f"agency ready: {node.parts.identity.code} API {node.api_url}", flush=True)
        waits = [asyncio.create_task(stop.wait())]
        waits += [asyncio.create_task(node.parts.stopping.wait()) for node in nodes]
        async with supervised(f"serving {', '.join(node.parts.identity.code for node in nodes)}"):
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        failed = not stop.is_set()
        for wait in waits:
            wait.cancel()
    finally:
        # Together: each needs a moment for what its callers have under way.
        await asyncio.gather(*(node.stop() for node in nodes))
    if failed:
        raise Refusal("unavailable", "a node failed; the log says why")


async def _started(home: Path, api: str | None, autoreply: Sequence[str]) -> Node:
    """The node, started. A command that has the home for a moment is waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_SECONDS
    while True:
        try:
            return await Node(home, api=api, autoreply=autoreply).start()
        except HomeBusy:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.1)


def main(
    home: Annotated[list[Path], typer.Option(help="An agency home; give it several times.")],
) -> None:
    """Run several agency nodes in this process."""
    logs.configure()
    try:
        asyncio.run(serve(home))
    except (HomeBusy, ConfigError, OSError, Refusal) as error:
        print(f"cannot run: {error}", file=sys.stderr)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
