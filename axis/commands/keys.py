"""Commands about the axis's own keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from axis.commands.running import operate, print_json

__all__ = ["register"]

Home = Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]

keys = typer.Typer(help="The axis's own keys and certificates.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Mount the commands."""
    app.add_typer(keys, name="keys")


@keys.command("rotate")
def rotate(
    home: Home,
    within: Annotated[
        int | None, typer.Option(help="Only if a certificate ends within so many days.", min=0)
    ] = None,
    as_json: Json = False,
) -> None:
    """Make new keys, certify them, journal that, and use them from then on. Can be repeated."""
    answer = operate(home, "keys.rotate", {"within_days": within}, timeout=120.0, with_issuer=True)
    _print(answer, as_json)


@keys.command("take")
def take(
    home: Home,
    source: Annotated[
        Path, typer.Option("--from", help="The home of the node that rotated them, or a copy of its keys/.")
    ],
    as_json: Json = False,
) -> None:
    """Use the keys of another node of the same axis, once this node's journal has their certificates."""
    from axis.app.own_keys import read_set

    found = read_set(source / "keys" if (source / "keys").is_dir() else source)
    files = {name: data.decode() for name, data in found.files.items()}
    _print(operate(home, "keys.take", {"files": files}), as_json)


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    typer.echo("new keys are in use" if answer["changed"] else "nothing changed", err=True)
    for usage in ("tls", "sign"):
        typer.echo(f"{usage}: {answer[usage]['serial']}, until {answer[usage]['not_after']}", err=True)
