"""`axis operator`: who may log in to this home's console, and with what role.

Passwords and tokens are hashed here: neither crosses the control socket, and neither is ever an argument,
which other users of the machine could read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from axis.commands.running import acting, operate, print_json, table

__all__ = ["register"]

Home = Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
Name = Annotated[str, typer.Argument(help="Small letters, digits and . _ @ -")]
Role = Literal["viewer", "operator", "registrar"]
As = Annotated[
    str | None, typer.Option("--as", help="Who acts, for the log; default: the user who runs this.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
_LINE: Final = 4096


def register(app: typer.Typer) -> None:
    """Add these commands to the `axis` command line."""
    operator = typer.Typer(help="The console's accounts.", no_args_is_help=True)
    for name, command in (
        ("add", add), ("list", list_all), ("disable", disable), ("enable", enable), ("role", role),
        ("password", password), ("token", token),
    ):  # fmt: skip
        operator.command(name)(command)
    app.add_typer(operator, name="operator")


def add(
    name: Name,
    home: Home,
    role: Annotated[Role, typer.Option(help="What the operator may do.")],
    with_token: Annotated[
        bool, typer.Option("--token", help="Print a bearer token, once; no password unless --password-stdin.")
    ] = False,
    password_stdin: FromStdin = False,
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Add an operator. On a terminal the password is asked for, twice."""
    arguments: dict[str, Any] = {"name": name, "role": role}
    if password_stdin or not with_token:
        arguments["password"] = _password_hash(password_stdin)
    _change(home, "operator.add", arguments, operator, as_json, with_token=with_token)


def list_all(home: Home, as_json: Json = False) -> None:
    """List all operators."""
    answer = operate(home, "operator.list", {})
    if as_json:
        print_json(answer)
    else:
        shown = [
            {**row, **{part: "yes" if row[part] else "" for part in ("password", "token")}}
            for row in answer["operators"]
        ]
        table(shown, ("name", "role", "state", "password", "token"))


def disable(name: Name, home: Home, operator: As = None, as_json: Json = False) -> None:
    """Let an operator in no more; what is open ends at once."""
    _change(home, "operator.change", {"name": name, "disabled": True}, operator, as_json)


def enable(name: Name, home: Home, operator: As = None, as_json: Json = False) -> None:
    """Let an operator in again."""
    _change(home, "operator.change", {"name": name, "disabled": False}, operator, as_json)


def role(
    name: Name,
    home: Home,
    role: Annotated[Role, typer.Argument(help="The new role.")],
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Give an operator another role; what is open ends at once."""
    _change(home, "operator.change", {"name": name, "role": role}, operator, as_json)


def password(
    name: Name, home: Home, password_stdin: FromStdin = False, operator: As = None, as_json: Json = False
) -> None:
    """Give an operator a new password; what is open ends at once."""
    arguments = {"name": name, "password": _password_hash(password_stdin)}
    _change(home, "operator.change", arguments, operator, as_json)


def token(
    name: Name,
    home: Home,
    remove: Annotated[bool, typer.Option("--remove", help="Take the token away instead.")] = False,
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Print a new bearer token, once; the one before is worth nothing any more."""
    arguments = {"name": name, "token": ""} if remove else {"name": name}
    _change(home, "operator.change", arguments, operator, as_json, with_token=not remove)


def _change(
    home: Path,
    operation: str,
    arguments: dict[str, Any],
    operator: str | None,
    as_json: bool,
    *,
    with_token: bool = False,
) -> None:
    from axis.console.accounts import new_token, token_sha256

    made = new_token() if with_token else ""
    if made:
        arguments["token"] = token_sha256(made)
    answer = operate(home, operation, {**arguments, "operator": acting(operator)})
    if as_json:
        print_json({**answer, "secret": made} if made else answer)
        return
    if made:
        typer.echo(made)
    typer.echo(f"{answer['name']} is {answer['state']}, with the role {answer['role']}", err=True)


def _password_hash(from_stdin: bool) -> str:
    from axis.console.accounts import hash_password

    if from_stdin:
        given = sys.stdin.readline(_LINE).rstrip("\r\n")
    elif sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise typer.BadParameter("no terminal to ask at: give --password-stdin or --token")
    return hash_password(given)
