"""Commands for an axis of several nodes: keys of the cluster, further nodes, the stream."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from axis.cli_run import print_json

__all__ = ["register"]

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
def journal_reseed(home: Home, as_json: Json = False) -> None:
    """Make the stream again, or longer, from this home's journal; its node must be stopped.

    Run it on the node that has the longest journal. Exit 1 where the stream holds other frames.
    """
    from axis import logs
    from axis.app.clustered import reseed
    from axis.app.home import read_home
    from axis.control import HomeLock

    logs.configure(json=False, level=logging.INFO)
    with HomeLock(home):
        seeded = asyncio.run(reseed(read_home(home)))
    if as_json:
        print_json({"published": seeded.published, "last": seeded.last})
    else:
        typer.echo(f"{seeded.published} frames published; the stream ends at frame {seeded.last}", err=True)
