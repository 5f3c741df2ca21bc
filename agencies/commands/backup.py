"""`agency backup` and `agency restore`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from agencies.commands.common import AsJson, Home, cannot, print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the agency's command line."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    home: Home,
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the home into one file, whether its node is running or not."""
    from agencies.backup import back_up
    from agencies.clock import SystemClock
    from agencies.config import ConfigError
    from axis.archive.blocks import ArchiveInvalid
    from axis.archive.progress import teller
    from axis.archive.write import ArchiveExists

    try:
        made = back_up(home, out, now=SystemClock().now(), replace=force, progress=teller())
    except (ArchiveExists, ArchiveInvalid, ConfigError, OSError, sqlite3.Error) as error:
        cannot(str(error))
    if as_json:
        print_json(made)
        return
    typer.echo(
        f"{out}: {made['members']} files, {made['bytes']} bytes, {made['sent']} sent and {made['received']}"
        " received documents and statuses",
        err=True,
    )
    if made["contents_lacking"]:
        typer.echo(f"{made['contents_lacking']} attachments were not there to be copied.", err=True)
    typer.echo(
        "The organisation's private keys are in it: keep it where only they would be kept.",
        err=True,
    )


def restore(
    file: Annotated[Path, typer.Argument(help="What agency backup wrote.", exists=True, dir_okay=False)],
    home: Annotated[Path, typer.Option(envvar="AGENCY_HOME", help="The new home; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Make a home from a copy, once everything in it is verified."""
    from agencies.backup import restore as make
    from agencies.clock import SystemClock
    from axis.archive.blocks import ArchiveInvalid
    from axis.archive.progress import teller
    from axis.archive.read import HomeThere

    try:
        made = make(file, home, now=SystemClock().now(), progress=teller())
    except (ArchiveInvalid, HomeThere, OSError, sqlite3.Error) as error:
        cannot(str(error))
    if as_json:
        print_json(made)
        return
    typer.echo(f"{home} is {made['code']}'s, copied at {made['at']}; all hashes are right.", err=True)
    typer.echo(
        "Start it with agency serve: it reads from the axis what the node did after the copy was made, and"
        " answers catching_up to decisions and to what has an Idempotency-Key until that is done. The home"
        " that this one replaces must never serve again.",
        err=True,
    )
