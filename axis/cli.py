"""The `axis` command. Modules that a command needs are imported when it runs, so that help is quick.

Exit codes: 0 done, 1 the answer is no, 2 cannot run. Messages go to standard error with the stable code in
brackets; with `--json` standard output holds one JSON value and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from axis.commands import backup, cluster, demo, keys, operator, query
from axis.commands.running import acting, operate, print_json, run_main, table

__all__ = ["app", "main"]

app = typer.Typer(
    name="axis",
    help="The axis node: register, journal, agency API, console.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
org = typer.Typer(help="The register of units.", no_args_is_help=True)
cert = typer.Typer(help="Certificates.", no_args_is_help=True)
app.add_typer(org, name="org")
app.add_typer(cert, name="cert")

Home = Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
Code = Annotated[str, typer.Argument(help="A unit's code.")]
As = Annotated[
    str | None, typer.Option("--as", help="Who acts, for the journal; default: the user who runs this.")
]
Remark = Annotated[str, typer.Option(help="Why, in words; it is journalled.")]
DocumentId = Annotated[str, typer.Argument(help="The document's id.")]


@app.command()
def init(
    home: Home,
    listen: Annotated[str, typer.Option(help="HOST:PORT of the agency API.")] = "127.0.0.1:8443",
    console: Annotated[str, typer.Option(help="HOST:PORT of the console.")] = "127.0.0.1:8080",
    name: Annotated[
        list[str] | None, typer.Option(help="A further host name or address that agencies use; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a new axis home: settings, certificate authority, keys, an empty journal."""
    from axis.app.home import init_home

    made = init_home(home, listen, console, name or [])
    if as_json:
        print_json({"home": str(home.resolve()), "axis_id": made.anchors.axis_id})
    else:
        typer.echo(f"axis home {home} made; run: axis serve --home {home}", err=True)


@app.command()
def serve(
    home: Home,
    journal: Annotated[
        str | None,
        typer.Option(
            help="nats://HOST:PORT,… to share the journal with other nodes, sqlite: to leave them and go on"
            " alone (kept in axis.toml); default: what axis.toml says, else this home's own file."
        ),
    ] = None,
) -> None:
    """Run the node: agency API, console, metrics. Prints one line when it is ready."""
    import asyncio

    from axis import logs
    from axis.app.serve import serve as run

    logs.configure(json=not sys.stderr.isatty())
    if journal is not None:
        _keep_journal(home, journal)

    def announce(line: str) -> None:
        print(line, flush=True)

    if not asyncio.run(run(home, announce)):
        raise typer.Exit(2)


def _keep_journal(home: Path, url: str) -> None:
    """Where the journal is from now on."""
    import asyncio

    from axis.app.engines import check_journal
    from axis.app.home import read_home, set_journal
    from axis.control import HomeLock

    if not url.startswith("sqlite:"):
        # A home that cannot go there stays as it is.
        check_journal(read_home(home), url)
        set_journal(home, url)
    elif read_home(home).settings.journal:
        from axis.app.leaving import leave

        with HomeLock(home):
            head = asyncio.run(leave(read_home(home)))
        typer.echo(f"{home} has left the cluster and goes on alone from frame {head.number}", err=True)


@org.command("add")
def org_add(
    code: Code,
    home: Home,
    name: Annotated[str, typer.Option(help="The unit's name.")],
    parent: Annotated[str, typer.Option(help="The unit above it; default: by the form of the code.")] = "",
    old_code: Annotated[list[str] | None, typer.Option(help="An older code; repeatable.")] = None,
    mail: Annotated[str, typer.Option(help="The unit's e-mail address.")] = "",
    remark: Remark = "",
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Register a unit, or change it, and print a one-time enrolment token."""
    arguments = {"code": code, "name": name, "parent": parent, "old_codes": old_code or [], "mail": mail}
    _print_token(operate(home, "org.add", arguments | _by(operator, remark)), as_json)


@org.command("token")
def org_token(
    code: Code, home: Home, remark: Remark = "", operator: As = None, as_json: Json = False
) -> None:
    """Print another enrolment token, for an imported unit or after a lost key."""
    _print_token(operate(home, "org.token", {"code": code} | _by(operator, remark)), as_json)


@org.command("list")
def org_list(home: Home, as_json: Json = False) -> None:
    """List all units."""
    answer = operate(home, "org.list", {})
    if as_json:
        print_json(answer)
    else:
        table(answer["organisations"], ("code", "old_code", "name", "parent", "state", "hosted_by"))


@org.command("show")
def org_show(code: Code, home: Home, as_json: Json = False) -> None:
    """Show one unit with its certificates."""
    answer = operate(home, "org.show", {"code": code})
    if as_json:
        print_json(answer)
        return
    certificates = answer.pop("certificates")
    for name, value in answer.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value or '-'}")
    if certificates:
        table(certificates, ("serial", "usage", "not_before", "not_after", "state"))


@org.command("suspend")
def org_suspend(
    code: Code,
    home: Home,
    reason: Annotated[str, typer.Option(help="Why; it is journalled.")] = "",
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Let a unit neither send nor receive, at once."""
    answer = operate(home, "org.suspend", {"code": code, "reason": reason} | _by(operator))
    _print_done(answer, f"{answer['code']} is suspended", as_json)


@org.command("resume")
def org_resume(
    code: Code, home: Home, remark: Remark = "", operator: As = None, as_json: Json = False
) -> None:
    """End a suspension."""
    answer = operate(home, "org.resume", {"code": code} | _by(operator, remark))
    _print_done(answer, f"{answer['code']} is active", as_json)


@org.command("import")
def org_import(
    file: Annotated[Path, typer.Argument(help="A CSV file with columns code, name, old_code, parent.")],
    home: Home,
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Register all units of a CSV file; a repeat changes only what differs."""
    import csv

    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = [{key: value for key, value in row.items() if key} for row in csv.DictReader(text)]
    answer = operate(home, "org.import", {"rows": rows} | _by(operator), timeout=600.0)
    _print_done(answer, f"{answer['units']} units, {answer['changed']} new or changed", as_json)


@cert.command("list")
def cert_list(home: Home, as_json: Json = False) -> None:
    """List every certificate that ever counted."""
    answer = operate(home, "cert.list", {})
    if as_json:
        print_json(answer)
    else:
        table(answer["certificates"], ("serial", "org", "usage", "not_before", "not_after", "state"))


@cert.command("revoke")
def cert_revoke(
    serial: Annotated[str, typer.Argument(help="The serial number in hex.")],
    home: Home,
    reason: Annotated[str, typer.Option(help="RFC 5280: keyCompromise, superseded, …")],
    remark: Remark = "",
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Revoke a certificate, at once and for ever."""
    arguments = {"serial": serial, "reason": reason} | _by(operator, remark)
    answer = operate(home, "cert.revoke", arguments, with_issuer=True)
    _print_done(answer, f"{answer['usage']} certificate of {answer['org']} is revoked", as_json)


@app.command()
def requeue(
    document_id: DocumentId,
    home: Home,
    to: Annotated[str, typer.Option(help="The unit.")],
    reason: Annotated[str, typer.Option(help="Why; the sender sees it.")] = "",
    operator: As = None,
    as_json: Json = False,
) -> None:
    """Deliver once more: the next attempt of a dead or refused delivery."""
    arguments = {"document_id": document_id, "to": to, "reason": reason} | _by(operator)
    answer = operate(home, "document.requeue", arguments)
    _print_done(answer, f"attempt {answer['attempt']} to {answer['to']} is open", as_json)


@app.command()
def close(
    document_id: DocumentId,
    home: Home,
    to: Annotated[str, typer.Option(help="The unit.")],
    reason: Annotated[str, typer.Option(help="Why; the sender sees it.")],
    operator: As = None,
    as_json: Json = False,
) -> None:
    """End a delivery that is in flight: it is dead."""
    arguments = {"document_id": document_id, "to": to, "reason": reason} | _by(operator)
    answer = operate(home, "document.close", arguments)
    _print_done(answer, f"attempt {answer['attempt']} to {answer['to']} is dead", as_json)


def _by(operator: str | None, remark: str = "") -> dict[str, Any]:
    """Who acts and why, for the journal."""
    return {"operator": acting(operator), "remark": remark}


def _print_token(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["token"])
    typer.echo(
        f"For {answer['code']}, good until {answer['expires_at']}: agency init --home DIR --token …", err=True
    )


def _print_done(answer: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        typer.echo(text, err=True)


for command in (query, demo, cluster, backup, keys, operator):
    command.register(app)


def main() -> None:
    """The entry point."""
    run_main(app)


if __name__ == "__main__":
    main()
