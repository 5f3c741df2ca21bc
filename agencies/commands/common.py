"""What the commands share: the home, one node's API, errors as exit codes, JSON and tables."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from axis.core.errors import Refusal

__all__ = [
    "AsJson",
    "Home",
    "cannot",
    "print_json",
    "print_table",
    "quiet_logs",
    "refused",
    "run",
    "with_node",
]

T = TypeVar("T")

Home = Annotated[Path, typer.Option(envvar="AGENCY_HOME", help="The node's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; errors become messages and exit codes."""
    import sqlite3

    from agencies.config import ConfigError
    from axis.control import HomeBusy, NotRunning

    try:
        return asyncio.run(work)
    except Refusal as refusal:
        refused(refusal.name, refusal.detail)
    except (ConfigError, HomeBusy, NotRunning, OSError, sqlite3.DatabaseError) as error:
        cannot(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def refused(name: str, detail: str) -> NoReturn:
    """Exit 1: the answer is no; 2 where it could not be asked."""
    typer.echo(f"refused [{name}]: {detail}", err=True)
    raise typer.Exit(2 if name in ("unavailable", "shutting_down") else 1)


def cannot(text: str) -> NoReturn:
    """Exit 2."""
    typer.echo(f"cannot run: {text}", err=True)
    raise typer.Exit(2)


def with_node(home: Path, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do something with the home's API, whether its node runs or not."""
    from agencies.commands.local_node import with_api

    quiet_logs()
    return run(with_api(home, work))


def quiet_logs() -> None:
    """A command's log is what goes wrong, no more."""
    import logging

    from axis import logs

    logs.configure(json=False, level=logging.ERROR)


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """Columns for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # Whole words for whoever reads it from a file or a pipe; a terminal's own width otherwise.
    console = Console(width=None if sys.stdout.isatty() else 300, markup=False, highlight=False)
    console.print(table)
