"""One axis node's parts, wired: the only place that knows which engine stands behind which port.

`open_home` is used by `serve` and by commands beside a stopped node alike, so both do the same things.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from axis.app.engines import Engines, open_engines
from axis.app.home import Home, SystemClock, boot_seconds, read_home
from axis.app.rotation import Rotation
from axis.control import HomeLock
from axis.core.decide import Found
from axis.core.state import FactCertificates
from axis.core.verify import Context
from axis.flow.deadlines import Deadlines
from axis.flow.desk import Desk
from axis.flow.directory import DirectoryPages
from axis.flow.downloads import Downloads
from axis.flow.enrolment import Enrolment
from axis.flow.feed import Feed
from axis.flow.ingress import Ingress
from axis.flow.metrics import Metrics, NoMetrics
from axis.flow.peers import Peers
from axis.flow.receipts import Receipts
from axis.flow.registry import Registry
from axis.flow.rejections import Rejections
from axis.flow.sequencer import Sequencer
from axis.flow.submissions import Submissions
from axis.flow.units import Units
from axis.ports import Blobs, Clock, Issuer, Journal
from axis.views.projection import Views

if TYPE_CHECKING:
    from axis.app.cluster_acts import ClusterActs

__all__ = ["Node", "open_home"]


@dataclass(slots=True)
class Node:
    """The parts of a node whose home is open and locked. The sequencer runs."""

    home: Home
    clock: Clock
    journal: Journal
    blobs: Blobs
    views: Views
    sequencer: Sequencer
    peers: Peers
    rejections: Rejections
    directory: DirectoryPages
    feed: Feed
    ingress: Ingress
    submissions: Submissions
    receipts: Receipts
    units: Units
    downloads: Downloads
    deadlines: Deadlines
    enrolment: Enrolment
    registry: Registry
    rotation: Rotation
    #: What an operator can do with the cluster; None for an axis on one machine.
    cluster: ClusterActs | None
    #: What enrolment tokens carry; `serve` sets the address that it really listens on.
    url: str
    #: The task that runs the sequencer. It ends when the node stops, or has failed.
    sequencing: asyncio.Task[None]


@asynccontextmanager
async def open_home(
    path: Path,
    *,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    with_issuer: bool = False,
) -> AsyncIterator[Node]:
    """Lock and open a home, run its sequencer, and drain it at the end.

    Raises config.ConfigError, HomeBusy, JournalBroken, StorageFull; Refusal `unavailable` when the issuer
    does not start, `axis_mismatch` when the journal belongs to another axis.
    """
    home = read_home(path)
    async with AsyncExitStack() as opened:
        opened.enter_context(HomeLock(path))
        home.own.forget_earlier()
        engines = await open_engines(home, opened)
        views = Views.open(home.views_path)
        opened.callback(views.close)
        issuer = await _issuer(home) if with_issuer else None
        if issuer is not None:
            opened.push_async_callback(issuer.close)
        node = _wire(home, engines, views, issuer, clock or SystemClock(), metrics or NoMetrics())
        opened.push_async_callback(_drain, node)
        anchors = home.anchors
        await node.sequencer.submit(Found(anchors.axis_id, anchors.anchors, anchors.intermediates))
        yield node


async def _drain(node: Node) -> None:
    if not node.sequencing.done():
        await node.rejections.sum_up(everything=True)
    node.sequencer.drain()
    await node.sequencing


async def _issuer(home: Home) -> Issuer | None:
    """The issuer process, where the certificate authority's home is at hand."""
    if not home.pki_path.is_dir():
        return None
    from certs.issuer import IssuerProcess

    return await IssuerProcess.start(home.pki_path)


def _wire(
    home: Home,
    engines: Engines,
    views: Views,
    issuer: Issuer | None,
    clock: Clock,
    metrics: Metrics,
) -> Node:
    anchors, journal = home.anchors, engines.journal
    sequencer = Sequencer(
        journal,
        clock,
        lambda signed: home.own.sign(signed, clock.now()),
        metrics=metrics,
        timer=boot_seconds if isinstance(clock, SystemClock) else None,
    )
    peers = Peers(anchors, journal, clock)
    directory = DirectoryPages(journal)
    feed = Feed(journal, peers, directory)
    journal.on_landed(peers.landed)
    journal.on_landed(feed.landed)
    enrolment = Enrolment(
        journal=journal,
        sequencer=sequencer,
        clock=clock,
        anchors=anchors,
        issuer=issuer,
        random=secrets.token_bytes,
        url=lambda: node.url,
        token_days=home.settings.limits.token_days,
    )
    desk = Desk(
        journal=journal,
        clock=clock,
        context=Context(anchors.axis_id, anchors, FactCertificates(journal)),
        peers=peers,
        sequencer=sequencer,
        rejections=Rejections(sequencer, clock),
    )
    node = _node(home, engines, views, desk, directory, feed, enrolment)
    return node  # named, because the enrolment asks it for its address


def _node(
    home: Home,
    engines: Engines,
    views: Views,
    desk: Desk,
    directory: DirectoryPages,
    feed: Feed,
    enrolment: Enrolment,
) -> Node:
    journal, sequencer, clock, blobs = desk.journal, desk.sequencer, desk.clock, engines.blobs
    ingress = Ingress(desk, blobs)
    return Node(
        home=home,
        clock=clock,
        journal=journal,
        blobs=blobs,
        views=views,
        sequencer=sequencer,
        peers=desk.peers,
        rejections=desk.rejections,
        directory=directory,
        feed=feed,
        ingress=ingress,
        submissions=Submissions(ingress, blobs, desk.peers, clock),
        receipts=Receipts(desk),
        units=Units(desk),
        downloads=Downloads(journal),
        deadlines=Deadlines(journal, sequencer, clock),
        enrolment=enrolment,
        registry=Registry(journal, sequencer, enrolment, clock),
        rotation=Rotation(home, journal, enrolment, clock),
        cluster=engines.cluster,
        url=home.settings.public_url,
        sequencing=asyncio.create_task(sequencer.run(), name="sequencer"),
    )
