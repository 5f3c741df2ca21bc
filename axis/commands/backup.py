"""`axis backup` and `axis restore`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from axis.commands.running import print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the axis's command line."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    home: Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)],
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)],
    with_authority: Annotated[
        bool,
        typer.Option("--with-authority", help="With the CA's keys: who has the file can act as anybody."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Copy the home into one file, whether its node is running or not."""
    from axis.app.backup import AuthorityElsewhere, back_up
    from axis.archive.blocks import ArchiveInvalid
    from axis.archive.progress import teller
    from axis.archive.write import ArchiveExists

    try:
        made = back_up(home, out, with_authority=with_authority, replace=force, progress=teller())
    except (ArchiveExists, ArchiveInvalid, AuthorityElsewhere, sqlite3.Error) as error:
        _cannot(error)
    if as_json:
        print_json(made)
        return
    typer.echo(f"{out}: {made['members']} files, {made['bytes']} bytes, head {made['head']}", err=True)
    if with_authority:
        typer.echo(
            "The certificate authority's keys are in it: keep it where only they would be kept.", err=True
        )
    else:
        typer.echo(
            "The certificate authority is NOT in it. Without a copy of it (--with-authority) no node can be"
            " enrolled after a restore, and no certificate renewed.",
            err=True,
        )


def restore(
    file: Annotated[Path, typer.Argument(help="What axis backup wrote.", exists=True, dir_okay=False)],
    home: Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The new home; must not exist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Make a home from a copy, once everything in it is verified."""
    from axis.app.backup import restore as make
    from axis.archive.blocks import ArchiveInvalid
    from axis.archive.progress import teller
    from axis.archive.read import HomeThere
    from axis.ports import JournalBroken

    try:
        made = make(file, home, progress=teller())
    except (ArchiveInvalid, HomeThere, JournalBroken, sqlite3.Error) as error:
        _cannot(error)
    if as_json:
        print_json(made)
        return
    typer.echo(f"{home} is at head {made['head']}, copied at {made['at']}; all hashes are right.", err=True)
    if not made["authority"]:
        typer.echo(
            f"Put the certificate authority's copy at {home / 'pki'} before nodes are enrolled.", err=True
        )
    typer.echo(
        "Run axis audit, then axis serve. Agency nodes that have seen a newer head get head_unknown, read"
        " again from 0 and send again what this copy lacks, of the last 30 days; nothing else is to be done."
        " The home that this one replaces must never serve again.",
        err=True,
    )


def _cannot(error: Exception) -> NoReturn:
    typer.echo(f"cannot run: {error}", err=True)
    raise typer.Exit(2)
