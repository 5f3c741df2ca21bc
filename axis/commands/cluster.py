"""Commands for an axis of several nodes: keys of the cluster, further nodes, the stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from axis.commands.running import print_json, table

if TYPE_CHECKING:
    from axis.app.home import Home as HomeFiles

__all__ = ["register"]

#: A stream of millions of frames is filled at some thousand a second.
_ACT_SECONDS: Final = 3600.0

Home = Annotated[Path, typer.Option(envvar="AXIS_HOME", help="The axis's folder.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]

cluster = typer.Typer(help="Keys by which NATS servers and axis nodes know each other.", no_args_is_help=True)
journal = typer.Typer(help="The journal's stream in the cluster.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Mount the commands."""
    app.add_typer(cluster, name="cluster")
    app.add_typer(journal, name="journal")
    app.command("join")(join)


@cluster.command("keys")
def cluster_keys(
    out: Annotated[Path, typer.Option(help="Folder to make them in; kept for servers added later.")],
    server: Annotated[list[str], typer.Option(help="NAME or NAME=HOST,HOST of a NATS server; repeatable.")],
    home: Annotated[Path | None, typer.Option(help="An axis home that gets the axis nodes' key.")] = None,
) -> None:
    """Make certificates for the NATS servers, and one for the axis nodes."""
    from axis.app.home import SystemClock, give_cluster_keys
    from certs.cluster import AXIS_NODE, make_cluster_keys

    servers = {}
    for each in server:
        name, _, hosts = each.partition("=")
        servers[name] = [host for host in hosts.split(",") if host]
    make_cluster_keys(out, servers, SystemClock().now())
    if home is not None:
        give_cluster_keys(home, out / AXIS_NODE)
    typer.echo(f"keys for {', '.join(servers)} and axis nodes are in {out}", err=True)


def join(
    home: Home,
    source: Annotated[Path, typer.Option("--from", help="The home of a node of the cluster, or a copy.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT of the agency API.")] = "127.0.0.1:8443",
    console: Annotated[str, typer.Option(help="HOST:PORT of the console.")] = "127.0.0.1:8080",
    url: Annotated[str, typer.Option(help="The address that enrolment tokens carry.")] = "",
    as_json: Json = False,
) -> None:
    """Make the home of another node of the same axis. It reads the journal when it first serves."""
    from axis.app.home import join_home

    made = join_home(source, home, listen, console, url=url)
    if as_json:
        print_json({"home": str(home.resolve()), "axis_id": made.anchors.axis_id})
    else:
        typer.echo(f"axis home {home} made; run: axis serve --home {home}", err=True)


@journal.command("reseed")
def journal_reseed(
    home: Home,
    reopen: Annotated[
        bool,
        typer.Option(help="Also a stream that was closed or half filled, when the home that did so is lost."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the stream again, or longer, from this home's journal; its node may run.

    Run it on the node that has the longest journal. Exit 1 where another has more, or the stream holds
    other frames.
    """
    from axis import logs
    from axis.app.clustered import reseed

    logs.configure(json=False, level=logging.INFO)

    async def stopped() -> dict[str, Any]:
        seeded = await reseed(_in_cluster(home), reopen=reopen)
        return {"published": seeded.published, "last": seeded.last}

    answer = asyncio.run(_asked(home, "journal.reseed", {"reopen": reopen}, stopped))
    if as_json:
        print_json(answer)
    else:
        typer.echo(
            f"{answer['published']} frames published; the stream ends at frame {answer['last']}", err=True
        )


@cluster.command("status")
def cluster_status(home: Home, as_json: Json = False) -> None:
    """Show how the journal's stream and the axis nodes stand. Exit 1 where they do not agree."""
    from axis.app.clustered import status

    answer = asyncio.run(_asked(home, "cluster.status", {}, lambda: status(_in_cluster(home))))
    stream = answer["stream"]
    whole = bool(stream) and stream["phase"] == "live" and stream["led"]
    sound = whole and all(node["frame"] <= stream["last"] and not node["doubt"] for node in answer["nodes"])
    if as_json:
        print_json(answer | {"sound": sound})
    else:
        if stream:
            led = f"led by {stream['leader']}" if stream["led"] else "without a leader that has a majority"
            typer.echo(f"stream {stream['name']}: {stream['phase']}, ends at frame {stream['last']}, {led}")
            table(stream["servers"], ("name", "in_reach", "behind"))
        else:
            typer.echo("the journal has no stream in this cluster")
        table(answer["nodes"], ("node", "frame", "sequence", "sha256", "doubt"))
    if not sound:
        raise typer.Exit(1)


def _in_cluster(home: Path) -> HomeFiles:
    """The home, which must be in a cluster."""
    from axis.app.home import read_home
    from axis.config import ConfigError

    read = read_home(home)
    if not read.settings.journal:
        raise ConfigError(f"{home} is in no cluster: its journal is its own file")
    return read


async def _asked(
    home: Path, operation: str, arguments: dict[str, Any], stopped: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """The running node's answer; beside a stopped one what `stopped` gives, under the home's lock."""
    from axis import control

    _in_cluster(home)
    try:
        answer: dict[str, Any] = await control.call(home, operation, arguments, _ACT_SECONDS)
    except control.NotRunning:
        with control.HomeLock(home):
            return await stopped()
    return answer
