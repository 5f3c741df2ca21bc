"""The `axis` commands that only look: log, volumes, show, audit, views rebuild, doctor.

Beside a running node they have its views brought to the journal's head, then read files; beside a stopped one
they take the home's lock for as long as they bring the views up themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from axis.commands.running import one_line, print_json, table

__all__ = ["register"]

Home = Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DocumentId = Annotated[str, typer.Argument(help="The document's id.")]
Text = str | None

_COUNTS: Final = (
    "sent", "addressed", "received", "refused", "dead", "requeued", "in_flight_before", "in_flight", "late",
    "bytes_sent", "bytes_received",
)  # fmt: skip


#: Of events that somebody may have to look after, on a terminal.
_STYLES: Final = {"refused": "yellow", "late_receipt": "yellow", "dead": "red", "rejected": "red"}


def register(app: typer.Typer) -> None:
    """Add these commands to the `axis` command line."""
    views = typer.Typer(help="The views: what is computed from the journal for people.", no_args_is_help=True)
    views.command("rebuild")(views_rebuild)
    app.add_typer(views, name="views")
    for command in (log, volumes, show, audit, doctor):
        app.command(command.__name__)(command)


def log(
    home: Home,
    sender: Annotated[Text, typer.Option("--from", help="Sent by this unit.")] = None,
    recipient: Annotated[Text, typer.Option("--to", help="Addressed to this unit.")] = None,
    document: Annotated[Text, typer.Option(help="About this document.")] = None,
    since: Annotated[Text, typer.Option(help="From this date or RFC 3339 time on.")] = None,
    until: Annotated[Text, typer.Option(help="Up to this date (the whole day) or time.")] = None,
    event: Annotated[Text, typer.Option(help="accepted, received, refused, dead, rejected, …")] = None,
    code: Annotated[Text, typer.Option(help="A refusal's or a status's code.")] = None,
    reason: Annotated[Text, typer.Option(help="Exactly this reason or note; empty: none was given.")] = None,
    text: Annotated[Text, typer.Option(help="Words of subject or number, marks or none.")] = None,
    unit: Annotated[Text, typer.Option(help="Sent by this unit or addressed to it.")] = None,
    subtree: Annotated[Text, typer.Option(help="As --unit, for it and those below it now.")] = None,
    direction: Annotated[
        Literal["either", "from", "to"], typer.Option(help="Of --unit and --subtree: one of the two.")
    ] = "either",
    kind: Annotated[Literal["document", "status"] | None, typer.Option(help="What it is about.")] = None,
    number: Annotated[Text, typer.Option(help="The beginning of number/notation, as in 274/QĐ.")] = None,
    outcome: Annotated[
        Literal["received", "refused", "dead"] | None, typer.Option(help="How the delivery ended.")
    ] = None,
    operator: Annotated[Text, typer.Option(help="What this operator did; * is any.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    follow: Annotated[bool, typer.Option(help="Go on with what comes.")] = False,
    as_json: Json = False,
) -> None:
    """Show the traffic log; with --json one object a line."""
    from axis.commands.views import follow_log
    from axis.views.criteria import EVENTS, Filter
    from axis.views.text import parse_time

    if event is not None and event not in EVENTS:
        raise typer.BadParameter(f"--event {event!r}: one of {', '.join(EVENTS)} is expected")
    try:
        first = None if since is None else parse_time(since)
        last = None if until is None else parse_time(until, end=True)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    wanted = Filter(
        sender, recipient, document, first, last, event, code, text, limit,
        kind=kind, outcome=outcome, number=number, unit=unit, subtree=subtree, direction=direction,
        operator=operator, reason=reason,
    )  # fmt: skip
    for turn, lines in enumerate(follow_log(home, wanted, follow)):
        if as_json:
            for line in lines:
                print_json(line)
        else:
            rows = [{**line, "at": str(line["at"])[:19], "to": _units(line["to"])} for line in lines]
            for row in rows:
                row["what"] = row["code"] or row["reason"] or row["subject"]
            columns = ("sequence", "at", "event", "from", "to", "number", "what", "operator", "document_id")
            table(rows, columns, heading=not turn, style=lambda row: _STYLES.get(str(row["event"]), ""))
        sys.stdout.flush()


def volumes(
    home: Home,
    month: Annotated[Text, typer.Option(help="YYYY-MM; default: everything.")] = None,
    quarter: Annotated[Text, typer.Option(help="YYYY-Q1 to YYYY-Q4.")] = None,
    year: Annotated[Text, typer.Option(help="YYYY.")] = None,
    first: Annotated[Text, typer.Option("--from", help="From this day on, YYYY-MM-DD.")] = None,
    last: Annotated[Text, typer.Option("--until", help="Up to this day.")] = None,
    by: Annotated[Literal["unit", "day", "month"], typer.Option(help="A row per …")] = "unit",
    subtree: Annotated[Text, typer.Option(help="Only this unit and those below it.")] = None,
    kind: Annotated[Literal["document", "status"], typer.Option(help="What is counted.")] = "document",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Count what was sent and received."""
    import time

    from axis.commands.views import reading
    from axis.core.periods import chosen
    from axis.views.volumes import Selection
    from axis.views.volumes import volumes as count

    days = chosen(month=month, quarter=quarter, year=year, first=first, last=last)
    selection = Selection(by=by, subtree=subtree, kind=kind, days=days)
    with reading(home) as connection:
        answer: dict[str, Any] = count(connection, selection, time.time_ns() // 1_000_000)
    names = ("period",) if by != "unit" else ("code", "name")
    if as_json:
        print_json(answer)
    elif as_csv:
        _print_csv(answer["rows"], names)
    else:
        total = {names[0]: "total", **dict.fromkeys(names[1:], ""), **answer["total"]}
        rows = [*answer["rows"], total]
        shown = [{**row, **{name: str(row[name]) for name in _COUNTS}} for row in rows]
        table(shown, (*names, *_COUNTS[:-2]))


def show(document_id: DocumentId, home: Home, as_json: Json = False) -> None:
    """Show everything known about one document."""
    from axis.commands.views import read_record, reading
    from axis.views.documents import show as find

    with reading(home) as connection:
        answer: dict[str, Any] = find(connection, document_id, lambda sequence: read_record(home, sequence))
    if as_json:
        print_json(answer)
        return
    for name in ("document_id", "kind", "from", "subject", "number", "state", "accepted_at"):
        _say(f"{name}: {answer[name] or '-'}")
    if answer["flags"]:
        _say(f"flags: {', '.join(answer['flags'])}")
    for one in answer["originals"]:
        _say(f"{one['relation']} of: {one['document_id'] or one['issuer_document_id'] or '-'}")
    for one in answer["related"]:
        _say(f"{one['relation']} by: {one['document_id']} at {one['at']}")
    for part in answer["attachments"]:
        _say(f"attachment: {part['name']} ({part['media_type']}, {part['size']} bytes)")
    rows = [
        {**row, "attempt": str(row["attempt"]), "at": (row["receipt"] or {}).get("at", "")}
        for row in answer["deliveries"]
    ]
    table(rows, ("to", "host", "state", "attempt", "at", "exchange", "reason"))
    for act in answer["events"]:
        if act["operator"]:
            units, why = _units(act["to"]), f": {act['reason']}" if act["reason"] else ""
            _say(f"{act['event']} for {units} by operator {act['operator']} at {act['at']}{why}")
    for row in answer["deliveries"]:
        for said in row["statuses"]:
            odd = "" if said["in_order"] else "  (out of order)"
            _say(f"{row['to']}: {said['code']} by {said['from']} at {said['at']} {said['note']}{odd}")


def audit(
    home: Home,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not read the attachments, only look at their sizes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every frame, signature and attachment, and recount everything."""
    from axis.commands.views import audit_home

    report = audit_home(home, quick)
    if quick:
        typer.echo("attachments not read", err=True)
    if as_json:
        print_json(report.as_json())
    else:
        for problem in report.problems:
            _say(f"{problem.sequence or '-'} [{problem.code}]: {problem.detail}")
        counts = f"{report.records} records, {report.signatures_checked} signatures"
        verdict = "all in order" if not report.problems else f"{len(report.problems)} problems"
        if report.incomplete:
            verdict = "nothing wrong found, attachments left to read"
        typer.echo(f"{counts}: {verdict}; root hash {report.root_hash}", err=True)
    if report.problems:
        # Not being able to look is no answer.
        raise typer.Exit(2 if report.incomplete else 1)


def views_rebuild(home: Home, as_json: Json = False) -> None:
    """Delete the views and replay the journal into them."""
    from axis.commands.views import rebuild

    answer = rebuild(home)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"the views stand at record {answer['sequence']}, {answer['seconds']} s", err=True)


def doctor(home: Home, as_json: Json = False) -> None:
    """Look after settings, clocks, certificates, disk, permissions and engine, and say what to do."""
    from axis.doctor import examine

    checks = examine(home)
    if as_json:
        print_json({"ok": all(check.ok for check in checks), "checks": [check.as_json() for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            if not check.ok:
                typer.echo(f"     {check.remedy}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _say(text: str) -> None:
    """A line with what others wrote in it."""
    typer.echo(one_line(text))


def _units(codes: Any) -> str:
    return ", ".join(codes[:4]) + (f" … ({len(codes)})" if len(codes) > 4 else "")


def _print_csv(rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    import csv

    from axis.console.shown import plain

    columns = (*names, "parent", *_COUNTS) if names != ("period",) else (*names, *_COUNTS)
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: plain(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows
    )
