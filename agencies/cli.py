"""`agency`: the command line of an agency node.

Every command talks to the node's own API at `HOME/control.sock`. Where no node runs, the command takes the
home's lock and serves that API to itself for its duration, without a connection to the axis: one way in,
whether the node is running or not.

Exit codes: 0 done, 1 the answer is no, 2 cannot run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agencies.commands import backup, vxp
from agencies.commands.common import (
    AsJson,
    Home,
    cannot,
    print_json,
    print_table,
    quiet_logs,
    refused,
    run,
    with_node,
)
from axis.core.errors import CODES

__all__ = ["app", "main"]

app = typer.Typer(
    name="agency",
    help="An agency's node on the document axis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
backup.register(app)
vxp.register(app)


def main() -> None:
    """Entry point."""
    app()


@app.command()
def init(
    home: Home,
    token: Annotated[str, typer.Option(help="The enrolment token that the axis's operator gave.")],
    axis: Annotated[str | None, typer.Option(help="The axis's URLs, separated by commas.")] = None,
    api: Annotated[str | None, typer.Option(help="HOST:PORT of the local API.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make keys, ask the axis for certificates, and set up the home. Can be repeated."""
    from agencies.commands.local_node import initialise

    quiet_logs()
    urls = tuple(url.strip() for url in (axis or "").split(",") if url.strip())
    found = run(initialise(home, token, urls, api))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found['code']} is enrolled; start its node with: agency serve --home {home}", err=True)


@app.command()
def serve(
    home: Home,
    api: Annotated[str | None, typer.Option(help="HOST:PORT of the local API.")] = None,
    autoreply: Annotated[
        str, typer.Option(help="01,03,06: a simulated counterpart says these about all that comes.")
    ] = "",
) -> None:
    """Run the node until it is stopped (SIGTERM, Ctrl-C)."""
    from agencies.desk.autoreply import parse_codes
    from agencies.fleet import serve as serve_nodes
    from axis import logs

    logs.configure()
    try:
        codes = parse_codes(autoreply) if autoreply else ()
    except ValueError as error:
        cannot(f"--autoreply {error}")
    run(serve_nodes([home], api, codes))


@app.command()
def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, readable=True)],
    home: Home,
    to: Annotated[str, typer.Option(help="CODE[,CODE…]")],
    subject: Annotated[str, typer.Option()],
    from_: Annotated[str | None, typer.Option("--from", help="A unit that this node hosts.")] = None,
    number: Annotated[str, typer.Option(help="274")] = "",
    notation: Annotated[str, typer.Option(help="QĐ-TTg")] = "",
    type_: Annotated[str, typer.Option("--type", help="Quyết định")] = "",
    priority: Annotated[int, typer.Option(min=0, max=3, help="1 to 3 are urgent.")] = 0,
    due: Annotated[str, typer.Option(help="YYYY-MM-DD")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every delivery has its outcome; needs the running node.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send files as one document. Prints its id."""
    from agencies.commands.sending import send_files

    request: dict[str, object] = {
        "to": [code.strip() for code in to.split(",") if code.strip()],
        "subject": subject,
        "number": number,
        "notation": notation,
        "type_name": type_,
        "priority": priority,
        "due_date": due,
    }
    if from_:
        request["from"] = from_
    queued = with_node(home, lambda api: send_files(api, request, files))
    _queued(home, queued, wait=wait, as_json=as_json)


@app.command("send-edxml")
def send_edxml(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)],
    home: Home,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every delivery has its outcome; needs the running node.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send an edXML packet to those whom it names. Prints the document's id."""
    from agencies.commands.sending import send_packet

    queued = with_node(home, lambda api: send_packet(api, file))
    for warning in queued["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    signature = queued["packet_signature"]
    if signature["outcome"] != "absent":
        signer = f" ({signature['signer']})" if signature["signer"] else ""
        typer.echo(f"signature: {signature['outcome']}: {signature['reason']}{signer}", err=True)
    _queued(home, queued, wait=wait, as_json=as_json)


@app.command()
def status(
    document_id: Annotated[str, typer.Argument(metavar="ID")],
    code: Annotated[str, typer.Argument(help="01 to 06, 15, 16 by a receiver; 13 by the sender.")],
    home: Home,
    note: Annotated[str, typer.Option(help="The reason, for 02 and 13.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say how far a document has come, or ask it back. Prints the id of each status."""
    from agencies.commands.sending import say_status
    from agencies.edxml.code_lists import status_text

    said = with_node(home, lambda api: say_status(api, document_id, code, note))
    if as_json:
        print_json(said)
        return
    typer.echo(status_text(code), err=True)
    for one in said["statuses"]:
        typer.echo(one["document_id"])


def _queued(home: Path, queued: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Tell the id at once, then what became of the document where that is waited for."""
    document_id = queued["document_id"]
    if not as_json:
        typer.echo(document_id)
        sys.stdout.flush()
    if not queued["online"]:
        typer.echo("the node is not running: the document waits in the outbox", err=True)
    found = {"document_id": document_id, "state": "queued"}
    try:
        if wait:
            found = _outcomes(home, document_id, online=queued["online"])
    finally:
        if as_json:
            print_json(
                {key: found[key] for key in ("document_id", "state", "code", "deliveries") if key in found}
            )
    if wait:
        _judge(found)


def _outcomes(home: Path, document_id: str, *, online: bool) -> dict[str, Any]:
    """The document when nothing is open any more; exit 2 where no node runs that could see to that."""
    from agencies.commands.waiting import wait_for_outcomes

    if not online:
        cannot("there is nothing to wait for until the node is started (agency serve)")
    return run(wait_for_outcomes(home, document_id, lambda text: typer.echo(text, err=True)))


def _judge(found: dict[str, Any]) -> None:
    """Exit 1 unless everybody received it."""
    if found["state"] == "delivered":
        return
    if found["state"] == "rejected":
        refused(found["code"], found.get("detail", ""))
    for delivery in found.get("deliveries", ()):
        if delivery["state"] != "received":
            # A node's own refusal has a stable code for its reason; a person's is text.
            reason = (delivery["receipt"] or {}).get("reason") or ""
            code = reason if reason in CODES else delivery["state"]
            typer.echo(f"refused [{code}]: {delivery['to']}: {reason or delivery['state']}", err=True)
    raise typer.Exit(1)


@app.command()
def inbox(home: Home, as_json: AsJson = False) -> None:
    """What came."""
    from agencies.commands.sending import everything

    found = with_node(home, lambda api: everything(api, "/v1/inbox"))
    if as_json:
        keys = ("document_id", "from", "to", "subject", "number", "received_at", "state", "attachments")
        print_json({"documents": [{key: one[key] for key in keys} for one in found]})
        return
    columns = ("received_at", "from", "number", "subject", "state", "document_id")
    print_table(columns, [[str(one[c]) for c in columns] for one in found])


@app.command()
def outbox(home: Home, as_json: AsJson = False) -> None:
    """What was sent, and what became of it."""
    from agencies.commands.sending import everything

    found = with_node(home, lambda api: everything(api, "/v1/documents"))
    if as_json:
        keys = ("document_id", "to", "subject", "state", "code", "attempts", "next_attempt_at")
        print_json({"documents": [{key: one[key] for key in keys} for one in found]})
        return
    columns = ("created_at", "to", "subject", "state", "code", "document_id")
    rows = [[", ".join(one[c]) if c == "to" else str(one[c]) for c in columns] for one in found]
    print_table(columns, rows)


@app.command()
def show(
    document_id: Annotated[str, typer.Argument(metavar="ID")], home: Home, as_json: AsJson = False
) -> None:
    """Everything this node knows about one document, sent or received."""
    from agencies.commands.sending import either
    from agencies.edxml.code_lists import status_text

    found = with_node(home, lambda api: either(api, document_id))
    if as_json:
        print_json(found)
        return
    for delivery in found.get("deliveries", ()):
        for said in delivery.get("statuses", ()):
            said["meaning"] = status_text(said["code"])
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def save(
    document_id: Annotated[str, typer.Argument(metavar="ID")],
    home: Home,
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    as_json: AsJson = False,
) -> None:
    """Write a document's attachments under their own names, made safe.

    No file that is there is replaced: a name that is taken gets a number before it. What an earlier save
    wrote there, and is unchanged, is kept.
    """
    from agencies.commands.sending import save_attachments

    written = with_node(home, lambda api: save_attachments(api, document_id, out))
    if as_json:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(str(path))


@app.command()
def volumes(
    home: Home,
    month: Annotated[str | None, typer.Option(help="YYYY-MM")] = None,
    by: Annotated[str, typer.Option(help="unit, day or month")] = "unit",
    kind: Annotated[str, typer.Option(help="document or status")] = "document",
    as_json: AsJson = False,
) -> None:
    """What this node's units sent and received, in the form of the axis's volumes."""
    query = {"by": by, "kind": kind} | ({"month": month} if month else {})
    found = with_node(home, lambda api: api.json("GET", "/v1/volumes", params=query))
    if as_json:
        print_json(found)
        return
    label = "code" if by == "unit" else "period"
    columns = (label, "sent", "addressed", "received", "refused", "dead", "requeued", "in_flight", "late")
    rows = [[str(row[c]) for c in columns] for row in found["rows"]]
    rows.append(["total", *(str(found["total"][c]) for c in columns[1:])])
    print_table(columns, rows)


if __name__ == "__main__":
    main()
