"""`axis demo`: start a local axis, send the first document, keep traffic going, sum up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from axis.demo.launch import LocalAxis
from axis.demo.traffic import Sent, Traffic
from axis.demo.units import demo_units
from axis.demo.vxp import VxpAccess, vxp_access

__all__ = ["DemoSettings", "run_demo", "summary"]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What `axis demo` was asked to do. `documents` counts Decision 274; None: until stopped."""

    home: Path
    agencies: int = 6
    documents: int | None = None
    rate: float = 2.0
    exit: bool = False
    console: str | None = None
    seed: int = 274
    settle_seconds: float = 120.0


async def run_demo(
    settings: DemoSettings, say: Callable[[str], None], progress: Callable[[int, int], None]
) -> dict[str, object]:
    """Run the demonstration; the summary in the contract's shape.

    `say` takes one line for a person, `progress` (settled, sent so far). Stops everything before it
    returns, also when a node fails to start or the caller is cancelled.
    """
    axis = LocalAxis(settings.home, say)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        say(f"starting the axis and {settings.agencies} agency nodes in {settings.home}")
        await axis.start(demo_units(settings.agencies), console=settings.console)
        vxp = await vxp_access(axis)
        async with Traffic(axis.agencies, settings.seed) as traffic:
            await _exchange(settings, axis, traffic, vxp, say, progress)
            seconds = loop.time() - started
            return summary(settings.home, axis, traffic.sent, seconds) | {"vxp": vxp.as_json()}
    finally:
        say("stopping")
        await axis.stop()


async def _exchange(
    settings: DemoSettings,
    axis: LocalAxis,
    traffic: Traffic,
    vxp: VxpAccess,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> None:
    """Send, and wait for every outcome; what has none in time counts as lost in the summary."""
    await traffic.begin(settings.settle_seconds, say, endless=settings.documents is None)
    say(f"console: {axis.console_url}")
    for agency in axis.agencies:
        say(f"agency {agency.code}: {agency.api_url}/docs  ({agency.name})")
    say(f"VXP: {vxp.endpoint}  system id {vxp.system_id}  secret {vxp.secret}  unit {vxp.unit}")
    async with _until_stopped() as stopped:
        remaining = None if settings.documents is None else max(0, settings.documents - 1)
        sending = asyncio.create_task(_send(traffic, remaining, settings.rate, say, progress))
        await asyncio.wait({sending, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        else:
            sending.result()
        if settings.exit:
            await traffic.settle(
                traffic.sent, settings.settle_seconds, lambda count: progress(count, len(traffic.sent))
            )
            return
        if not stopped.done():
            say(f"{len(traffic.sent)} documents sent; Ctrl-C stops")
            await stopped
        await traffic.look()


async def _send(
    traffic: Traffic,
    documents: int | None,
    rate: float,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> None:
    async for _ in traffic.stream(documents, rate, say):
        progress(0, len(traffic.sent))


@contextlib.asynccontextmanager
async def _until_stopped() -> AsyncIterator[asyncio.Future[None]]:
    """A future that is done at SIGINT or SIGTERM; the default handling comes back afterwards."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def summary(home: Path, axis: LocalAxis, sent: list[Sent], seconds: float) -> dict[str, object]:
    """The contract's `axis demo --json`, counted from what the senders' nodes hold as proved."""
    states = [str(delivery["state"]) for each in sent for delivery in each.deliveries]
    received: dict[str, int] = {}
    for each in sent:
        for delivery in each.deliveries:
            if delivery["state"] == "received":
                received[str(delivery["to"])] = received.get(str(delivery["to"]), 0) + 1
    expected = sum(len(each.recipients) for each in sent)
    refused_documents = sum(len(each.recipients) for each in sent if each.state == "rejected")
    finished = sum(state in {"received", "refused", "dead"} for state in states) + refused_documents
    return {
        "home": str(home.resolve()),
        "seconds": round(seconds, 3),
        "documents_sent": len(sent),
        "deliveries": expected,
        "receipts": states.count("received"),
        "refused": states.count("refused") + refused_documents,
        "dead": states.count("dead"),
        "lost": expected - finished,
        "units": [
            {
                "code": agency.code,
                "name": agency.name,
                "sent": sum(each.sender.code == agency.code for each in sent),
                "received": received.get(agency.code, 0),
            }
            for agency in axis.agencies
        ],
        "document_ids": [each.document_id for each in sent[:100]],
        "console_url": axis.console_url,
        "agencies": [
            {"code": agency.code, "home": str(agency.home.resolve()), "api_url": agency.api_url}
            for agency in axis.agencies
        ],
    }
