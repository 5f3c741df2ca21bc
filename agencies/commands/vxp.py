"""`agency vxp`: the systems that may call the VXP API, and what they called."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agencies.commands.common import AsJson, Home, print_json, print_table, with_node

__all__ = ["register"]

SystemId = Annotated[str, typer.Argument(metavar="SYSTEM_ID")]

_SYSTEMS = "/control/vxp/systems"


def register(app: typer.Typer) -> None:
    """Add these commands to the agency's command line."""
    vxp = typer.Typer(help="Clients of the VXP API: document-management software.", no_args_is_help=True)
    vxp.command("add")(add)
    vxp.command("list")(list_)
    vxp.command("rotate")(rotate)
    vxp.command("remove")(remove)
    vxp.command("log")(log)
    app.add_typer(vxp, name="vxp")


def add(
    system_id: SystemId,
    home: Home,
    org: Annotated[
        list[str] | None, typer.Option(help="A unit that it acts for, with all below; give it several times.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[CODE]…", help="More such units.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a system; its secret is printed once. Its units' receipts wait for its `updateStatus`."""
    if more and not org:
        raise typer.BadParameter("units follow --org")
    given = (*(org or ()), *(more or ()))
    codes = [code.strip() for each in given for code in each.split(",") if code.strip()]
    body = {"system_id": system_id, "organisations": codes}
    added = with_node(home, lambda api: api.json("POST", _SYSTEMS, json=body))
    for code in added["kept"]:
        typer.echo(f"{code}: agency.toml says who receipts for it, and that stays", err=True)
    _print_secret(added, as_json=as_json)


def rotate(system_id: SystemId, home: Home, as_json: AsJson = False) -> None:
    """Make a new secret; the one before stays valid for a day."""
    rotated = with_node(home, lambda api: api.json("POST", f"{_SYSTEMS}/{system_id}/secret"))
    if not as_json:
        typer.echo(f"the secret before is valid until {rotated['previous_secret_until']}", err=True)
    _print_secret(rotated, as_json=as_json)


def _print_secret(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({key: answer[key] for key in ("system_id", "secret")})
    else:
        typer.echo(answer["secret"])
        typer.echo(f"the secret of {answer['system_id']} is shown this once; keep it safe", err=True)


def remove(system_id: SystemId, home: Home, as_json: AsJson = False) -> None:
    """Let a system call no more. What it did stays in the log."""
    removed = with_node(home, lambda api: api.json("DELETE", f"{_SYSTEMS}/{system_id}"))
    if as_json:
        print_json(removed)


def list_(home: Home, as_json: AsJson = False) -> None:
    """The systems, and whom they act for."""
    found = with_node(home, lambda api: api.json("GET", _SYSTEMS))
    if as_json:
        print_json(found)
        return
    columns = ("system_id", "organisations", "created_at", "rotated_at", "previous_secret_until")
    rows = [
        [", ".join(one[c]) if c == "organisations" else str(one[c] or "") for c in columns]
        for one in found["systems"]
    ]
    print_table(columns, rows)


def log(
    home: Home,
    system: Annotated[str, typer.Option(help="Of one system.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only calls that failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """The newest calls, the newest last, and why one failed."""
    query = {"system_id": system, "failed": "1" if failed else "", "limit": str(limit)}
    found = with_node(home, lambda api: api.json("GET", "/control/vxp/calls", params=query))
    if as_json:
        print_json(found)
        return
    columns = ("at", "system_id", "operation", "document_id", "status", "code", "milliseconds", "detail")
    print_table(columns, [[str(one[c]) for c in columns] for one in found["calls"]])
