"""Everyday traffic between agency nodes that run elsewhere: `python -m axis.demo.generator CODE=URL…`.

What the container `traffic` runs. The first agency sends Decision 274; then documents go at a steady rate
until SIGTERM. Nodes that do not answer are asked again for two minutes: they may just be starting.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from axis.demo.launch import Agency
from axis.demo.traffic import Sent, Traffic
from axis.demo.units import MAX_UNITS, demo_units

__all__ = ["agencies_from", "generate"]

_PATIENCE_SECONDS: Final = 120.0
_FOLLOWED: Final = 64


def agencies_from(targets: list[str], tokens: Path | None) -> list[Agency]:
    """The agencies that `CODE=URL` name; their bearer tokens from `tokens/CODE.api`. ValueError, OSError."""
    names = {unit.code: unit.name for unit in demo_units(MAX_UNITS)}
    agencies = []
    for target in targets:
        code, equals, url = target.partition("=")
        if not (code and equals and url):
            raise ValueError(f"{target} is not CODE=URL")
        token = (tokens / f"{code}.api").read_text("ascii").strip() if tokens else ""
        agencies.append(Agency(code, names.get(code, code), Path(), url.rstrip("/"), token))
    if len(agencies) < 2:
        raise ValueError("traffic needs two agencies")
    return agencies


async def generate(
    agencies: list[Agency], rate: float, heartbeat: Path | None, documents: int | None = None
) -> list[Sent]:
    """Send `documents` after the first (None: no end); the last ones sent. Says when all have the first."""
    say = partial(print, flush=True)
    async with Traffic(agencies, seed=274, patience=_PATIENCE_SECONDS) as traffic:
        await traffic.begin(_PATIENCE_SECONDS, say, endless=documents is None)
        _beat(heartbeat)
        async for _ in traffic.stream(documents, rate, say):
            _beat(heartbeat)
            del traffic.sent[:-_FOLLOWED]  # nobody sums up: what was sent long ago need not be kept
        return list(traffic.sent)


def _beat(heartbeat: Path | None) -> None:
    if heartbeat is not None:
        heartbeat.touch()


async def _until_stopped(agencies: list[Agency], rate: float, heartbeat: Path | None) -> None:
    task = asyncio.create_task(generate(agencies, rate, heartbeat))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(
    targets: Annotated[list[str], typer.Argument(metavar="CODE=URL…")],
    tokens: Annotated[Path | None, typer.Option(help="A folder of bearer tokens, CODE.api.")] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Documents a second.")] = 0.5,
    heartbeat: Annotated[Path | None, typer.Option(help="A file to touch after each document.")] = None,
) -> None:
    """Keep traffic going between agency nodes."""
    import aiohttp

    try:
        asyncio.run(_until_stopped(agencies_from(targets, tokens), rate, heartbeat))
    except (ValueError, OSError, aiohttp.ClientError) as error:
        typer.echo(f"cannot run: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
