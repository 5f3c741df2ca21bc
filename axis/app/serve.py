"""`axis serve`: lock → journal → issuer → reconcile → listen → ready line → an orderly end.

The end drains: no new connections, open polls answered, requests under way finished within a limit, and
everything that was handed to the sequencer answered, before the home is let go.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from axis.app.console import start_console
from axis.app.home import VIEWS_FILE, SystemClock
from axis.app.node import Node, open_home
from axis.app.operations import operations
from axis.config import parse_address
from axis.console.metrics import ConsoleMetrics
from axis.control import ControlServer
from axis.core.state import blob_key
from axis.http.api import AgencyApi, Flows
from axis.http.gate import Gate
from axis.http.heads import HeadGuard
from axis.http.limits import Limiter
from axis.http.server import AgencyServer
from axis.http.tls import server_context
from axis.logs import get_logger
from axis.ports import Clock, OutcomeUnknown, StorageFull
from axis.supervisor import supervised

__all__ = ["Running", "serve", "serving"]

_COLLECT_SECONDS: Final = 3600.0
_SUM_UP_SECONDS: Final = 60.0
_PUBLISH_SECONDS: Final = 10.0


@dataclass(slots=True)
class Running:
    """A node that serves. `failed` is set when a part of it has died and it must stop."""

    node: Node
    agency_url: str
    console_url: str
    failed: asyncio.Event

    @property
    def ready_line(self) -> str:
        """What `axis serve` prints when it is ready."""
        return f"axis ready: agency API {self.agency_url}, console {self.console_url}"


async def serve(home: Path, announce: Callable[[str], None]) -> bool:
    """Run the node until SIGTERM or SIGINT; False if it had to stop by itself.

    `announce` gets the ready line. Raises what `open_home` raises, and OSError for an address in use.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(home) as running:
        get_logger().info("node_ready", agency_api=running.agency_url, home=str(home))
        announce(running.ready_line)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(running.failed.wait())]
        # Not the ready line: the console's link in it is a secret.
        async with supervised(f"serving at {running.agency_url}"):
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        get_logger().info("node_stopping")
    get_logger().info("node_stopped")
    return not running.failed.is_set()


@asynccontextmanager
async def serving(home: Path, *, clock: Clock | None = None) -> AsyncIterator[Running]:
    """A node that serves while entered; the same wiring for `axis serve` and the end-to-end tests."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as opened:
        metrics = ConsoleMetrics(home / VIEWS_FILE, clock.now)
        node = await opened.enter_async_context(
            open_home(home, clock=clock, metrics=metrics, with_issuer=True)
        )
        metrics.head(node.journal.head().sequence)
        node.journal.on_landed(lambda frame, _: metrics.head(frame.head.sequence))
        found = await node.enrolment.reconcile()
        if found:
            get_logger().warning("journal_reconciled", records=found)
        failed = asyncio.Event()
        await opened.enter_async_context(_background(node, failed))
        await opened.enter_async_context(ControlServer(home, operations(node, serving=True)))
        agency_url = await opened.enter_async_context(_listening(node))
        console_url = await start_console(node, metrics, opened)
        yield Running(node, agency_url, console_url, failed)


@asynccontextmanager
async def _listening(node: Node) -> AsyncIterator[str]:
    """The agency API; its address."""
    home, limits = node.home, node.home.settings.limits
    application, gate = _application(node)
    certificate, key = home.own.current.tls_files
    context = server_context(
        certificate=certificate,
        key=key,
        anchors=home.anchors.anchors,
        intermediates=home.anchors.intermediates,
    )
    # Connections that are open keep what they began with.
    home.own.on_change(lambda found: context.load_cert_chain(*found.tls_files))
    server = AgencyServer(
        application,
        context,
        connections=limits.connections,
        handshake=limits.handshake_seconds,
        idle=limits.idle_seconds,
        stop=limits.stop_seconds,
    )
    host, port = parse_address(home.settings.listen)
    chosen = await server.start(host, port)
    if port == 0:
        node.url = node.url.removesuffix(":0") + f":{chosen}"
    try:
        yield f"https://{f'[{host}]' if ':' in host else host}:{chosen}"
    finally:
        server.stop_listening()
        gate.stopping = True
        node.feed.close()
        await server.finish()


def _application(node: Node) -> tuple[web.Application, Gate]:
    """The agency API's routes, behind their gate."""
    limits = node.home.settings.limits
    limiter = Limiter(
        node.clock,
        limits.requests_per_second,
        limits.request_burst,
        limits.concurrent_requests,
        limits.concurrent_uploads,
    )
    heads = HeadGuard(node.journal, sole=not node.journal.shared)
    node.journal.on_landed(heads.landed)
    gate = Gate(peers=node.peers, heads=heads, limiter=limiter, rejections=node.rejections, clock=node.clock)
    flows = Flows(
        ingress=node.ingress,
        submissions=node.submissions,
        receipts=node.receipts,
        units=node.units,
        feed=node.feed,
        directory=node.directory,
        downloads=node.downloads,
        enrolment=node.enrolment,
        blobs=node.blobs,
        clock=node.clock,
    )
    return AgencyApi(flows, gate, limiter, idle=limits.idle_seconds).application(), gate


@asynccontextmanager
async def _background(node: Node, failed: asyncio.Event) -> AsyncIterator[None]:
    """What a serving node does by itself. A part that dies stops the node: half a node is none."""

    def done(task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            get_logger().critical("part_failed", part=task.get_name(), exc_info=task.exception())
            failed.set()

    async def collect() -> None:
        await _collect(node)

    parts: dict[str, Coroutine[Any, Any, Any]] = {
        "views": node.views.follow(node.journal),
        "deadlines": node.deadlines.run(),
        "rejections": _every(node, _SUM_UP_SECONDS, node.rejections.sum_up),
        "blobs": _every(node, _COLLECT_SECONDS, collect),
    }
    if node.cluster is not None:
        parts["attachments"] = _every(node, _PUBLISH_SECONDS, node.cluster.publish_lost)
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    for task in (*tasks, node.sequencing):
        task.add_done_callback(done)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(node: Node, seconds: float, act: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    while True:
        await node.clock.sleep(seconds)
        try:
            await act()
        except (OSError, StorageFull, OutcomeUnknown) as error:
            # A full disk ends, a cluster answers again: what was not done now is done later.
            get_logger().error("housekeeping_failed", part=act.__name__, detail=str(error))


async def _collect(node: Node) -> None:
    """Delete the blobs that nobody names or pins any more."""
    if node.sequencer.clock_doubt:
        return  # by a wrong clock every pin may seem to have ended
    named = node.journal.get

    async def confirm() -> bool:
        # A node that is behind lacks the frames, and so the names, that other nodes have appended.
        confirmed = await node.journal.confirm()
        if not confirmed:
            get_logger().info("blobs_not_collected", detail="the journal's head is not confirmed")
        return confirmed

    deleted = await node.blobs.collect(
        node.clock.now(), lambda sha256: bool(named(blob_key(sha256))), confirm
    )
    if deleted:
        get_logger().info("blobs_collected", deleted=deleted)
