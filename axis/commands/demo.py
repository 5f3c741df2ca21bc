"""`axis demo` and `axis bench`: a complete local axis from one command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

DEFAULT_HOME = Path("axis-demo")


def register(app: typer.Typer) -> None:
    """Add these commands to the axis's command line."""
    app.command("demo")(demo)
    bench = typer.Typer(help="Measure the journey on this machine.", no_args_is_help=True)
    bench.command("journey")(journey)
    app.add_typer(bench, name="bench")


def demo(
    home: Annotated[
        Path, typer.Option(help="The axis's home; agencies' are HOME/agencies/CODE.")
    ] = DEFAULT_HOME,
    agencies: Annotated[int, typer.Option(min=2, max=94, help="How many agency nodes.")] = 6,
    documents: Annotated[int | None, typer.Option(min=1, help="How many documents in all.")] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Documents a second.")] = 2.0,
    exit_: Annotated[bool, typer.Option("--exit", help="Sum up and stop when all is received.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON; needs --exit.")] = False,
    console: Annotated[str | None, typer.Option(help="The console's HOST:PORT.")] = None,
) -> None:
    """A complete local axis: its PKI, the node, agency nodes, and traffic of signed documents."""
    if as_json and not exit_:
        raise typer.BadParameter("--json needs --exit")
    if exit_ and documents is None:
        raise typer.BadParameter("--exit needs --documents")
    import aiohttp

    from axis.demo.processes import StartFailed
    from axis.demo.run import DemoSettings, run_demo

    if exit_ and rate == 2.0:
        rate = 1000.0  # nobody watches: as fast as the nodes take them
    settings = DemoSettings(
        home=home, agencies=agencies, documents=documents, rate=rate, exit=exit_, console=console
    )
    show = _Progress(documents, to_stderr=as_json)
    try:
        result = asyncio.run(run_demo(settings, show.say, show.progress))
    except StartFailed as error:
        typer.echo(f"cannot start: {error}", err=True)
        raise typer.Exit(2) from error
    except aiohttp.ClientError as error:
        typer.echo(f"an agency's node failed: {error}; its log is in {home}/agencies", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        show.close()
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _print_summary(result, "lost" if exit_ else "without an outcome yet")
    if exit_ and (result["lost"] or result["dead"] or result["refused"]):
        raise typer.Exit(1)


def journey(
    documents: Annotated[int, typer.Option(min=1, help="How many documents.")] = 1000,
    agencies: Annotated[int, typer.Option(min=2, max=94, help="How many agency nodes.")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")] = False,
) -> None:
    """The whole journey measured: TLS, signatures, durable commits, receipts, separate processes."""
    command = [sys.executable, "-m", "bench.journey", "--documents", str(documents)]
    command += ["--agencies", str(agencies), *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


class _Progress:
    """Lines for a person, on stderr where stdout is for JSON; and a bar on a terminal."""

    def __init__(self, total: int | None, *, to_stderr: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("documents received by all", total=total)
        self._started = False

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def progress(self, settled: int, sent: int) -> None:
        if not self._started:
            self._bar.start()
            self._started = True
        if settled:
            self._bar.update(self._task, description="documents received by all", completed=settled)
        else:
            self._bar.update(self._task, description="documents sent", completed=sent)

    def close(self) -> None:
        self._bar.stop()


def _print_summary(result: dict[str, object], open_: str) -> None:
    typer.echo(
        "{documents_sent} documents sent, {deliveries} deliveries, {receipts} receipts, "
        "{refused} refused, {dead} dead, {lost} {open_}".format(**result, open_=open_)
    )
