"""What every `axis` command needs: reaching the node or its home, printing, and how errors end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

__all__ = ["acting", "one_line", "operate", "print_json", "run_main", "table"]

#: A node that is just starting or stopping holds its home's lock without answering yet, or any more.
_LOCK_SECONDS: Final = 15.0


def operate(
    home: Path,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    timeout: float = 30.0,
    with_issuer: bool = False,
) -> Any:
    """Have the running node do one operation; beside a stopped one, take the lock and do it here."""
    import asyncio

    return asyncio.run(_operate(home, operation, arguments, timeout, with_issuer))


async def _operate(
    home: Path, operation: str, arguments: Mapping[str, Any], timeout: float, with_issuer: bool
) -> Any:
    import asyncio

    from axis import config, control

    config.load(home)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_SECONDS
    while True:
        try:
            return await control.call(home, operation, arguments, timeout)
        except control.NotRunning:
            pass
        try:
            return await _beside(home, operation, arguments, with_issuer)
        except control.HomeBusy:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _beside(home: Path, operation: str, arguments: Mapping[str, Any], with_issuer: bool) -> Any:
    import logging

    from axis import logs
    from axis.app.node import open_home
    from axis.app.operations import operations

    logs.configure(json=False, level=logging.ERROR)
    async with open_home(home, with_issuer=with_issuer) as node:
        return await operations(node, serving=False)[operation](dict(arguments))


def acting(name: str | None) -> str:
    """Who acts, for the journal: as given with --as, else the system's user who runs the command."""
    import os
    import pwd

    if name:
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:64]
    except KeyError:  # as in a container that runs under a bare number
        return f"uid {os.getuid()}"


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    heading: bool = True,
    style: Callable[[Mapping[str, Any]], str] = lambda _: "",
) -> None:
    """Rows under a heading: aligned on a terminal, in the row's `style` of rich; tab-separated on a pipe.

    What others wrote stands there as text: neither markup nor a terminal's control characters, nor lines and
    columns of its own.
    """
    if not sys.stdout.isatty():
        if heading:
            typer.echo("\t".join(columns))
        for row in rows:
            typer.echo("\t".join(one_line(row[column]) for column in columns))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=None, pad_edge=False, show_header=heading)
    for row in rows:
        shown.add_row(*(Text(one_line(row[column])) for column in columns), style=style(row))
    # As wide as it needs: a cut id cannot be copied, a wrapped line can.
    Console(width=1000).print(shown, soft_wrap=True)


def one_line(value: object) -> str:
    """What others wrote as one line of text: nothing in it reaches the terminal as a command."""
    return "".join(char if char.isprintable() else " " for char in str(value or ""))


def run_main(app: typer.Typer) -> None:
    """Run the command line; what commands raise becomes a message and an exit code."""
    if "--help" not in sys.argv:  # which is quick without
        import logging

        from axis import logs

        logs.configure(json=False, level=logging.WARNING)
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        message, status = _explain(error)
        typer.echo(message, err=True)
        raise SystemExit(status) from error


def _explain(error: Exception) -> tuple[str, int]:
    """The message and exit code of what a command raised; what it does not know it raises again."""
    from axis.app.own_keys import KeysDamaged
    from axis.config import ConfigError
    from axis.control import HomeBusy, NotRunning
    from axis.core.errors import Refusal
    from axis.ports import JournalBroken, StorageFull

    if isinstance(error, Refusal):
        # Not being able to ask is no answer.
        return f"refused [{error.name}]: {error.detail}", 2 if error.name == "unavailable" else 1
    if isinstance(error, StorageFull):
        return f"cannot run [storage_full]: {error}", 2
    if isinstance(error, JournalBroken):
        return f"cannot run [journal_forked]: {error}", 2
    if isinstance(error, KeysDamaged):
        return f"cannot run [keys_damaged]: {error}", 2
    known = (ConfigError, HomeBusy, NotRunning, OSError, UnicodeDecodeError)
    if isinstance(error, known) or type(error).__name__ == "HomeExists":
        return f"cannot run: {error}", 2
    raise error
