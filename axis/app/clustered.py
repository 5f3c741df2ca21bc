"""A home whose journal and blobs are shared with other nodes, over NATS JetStream.

A home that joins a cluster for the first time founds its streams where there are none, from its own files.
After that a missing stream is a loss that a person must look at (`axis journal reseed`). One that had left
the cluster (`axis.app.leaving`) opens its stream again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from axis.app.cluster_acts import ClusterActs, cluster_status, fill_stream, refused, show_publishing
from axis.app.home import CLUSTER_KEYS, Home, SystemClock
from axis.app.marks import Marks
from axis.blobs.jetstream import JetStreamBlobs
from axis.config import ConfigError
from axis.core import state
from axis.jetstream import JetStream, cluster_tls, servers_of
from axis.journal.jetstream import JetStreamJournal
from axis.journal.nodes import ask_nodes
from axis.journal.seeding import Seeded, refuse_shorter, seed
from axis.journal.sqlite import SqliteJournal
from axis.journal.standing import NodeStanding
from axis.journal.stream import JournalStream, Phase, stream_name
from axis.journal.taking import Taking
from axis.logs import get_logger

__all__ = ["Clustered", "connect", "node_name", "open_clustered", "refused", "reseed", "status"]

_STATE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Clustered:
    """The engines over a cluster, and what an operator can do with it."""

    journal: JetStreamJournal
    blobs: JetStreamBlobs
    acts: ClusterActs


async def open_clustered(home: Home, file: SqliteJournal, opened: AsyncExitStack) -> Clustered:
    """The journal and blobs over the cluster; `opened` closes them.

    Raises JournalBroken, StorageFull, ConfigError; Refusal `unavailable` or `storage_full` for what the
    cluster answers, or does not.
    """
    with refused():
        return await _open(home, file, opened)


async def _open(home: Home, file: SqliteJournal, opened: AsyncExitStack) -> Clustered:
    cluster = await connect(home)
    opened.push_async_callback(cluster.close)
    journal_id = file.head().journal_id
    marks = Marks(home.path)
    founds = await _fill(file, cluster, marks)
    shared = await JetStreamBlobs.open_root(home.blobs_path, cluster, journal_id)
    opened.push_async_callback(shared.close)
    if founds:
        await shared.seed(SystemClock().now())
    journal = await JetStreamJournal.open(file, cluster, state.reduce, node=node_name(home))
    opened.push_async_callback(journal.close)
    marks.joins()
    return Clustered(journal, shared, ClusterActs(cluster, journal, shared, SystemClock()))


async def _fill(file: SqliteJournal, cluster: JetStream, marks: Marks) -> bool:
    """Whether this home publishes itself: it founds the cluster, or comes back after having gone on alone."""
    head = file.head()
    stream = JournalStream(cluster, stream_name(head.journal_id))
    standing = await stream.standing(_STATE_SECONDS)
    token = marks.token
    closed = standing is not None and standing.phase is not Phase.LIVE
    returns = bool(token) and closed and standing is not None and standing.closed_by == token
    if standing is not None and returns:
        # It may have been closed, and then not left: what others had appended before is not here yet.
        told = NodeStanding(stream.name, monotonic)
        taking = Taking(file, stream, state.reduce, told, monotonic)
        await taking.compare(standing)
        await taking.catch_up(standing.last)
    elif standing is not None and standing.phase is Phase.LIVE and standing.last >= head.number:
        # Its journal is there, and others may have gone on; its attachments perhaps are not yet.
        return marks.founding
    elif not marks.founding and (marks.joined or standing is not None):
        return False
    elif not head.number:
        return False  # a node that has only just joined: what it founded would be another journal
    refuse_shorter(file.head(), await ask_nodes(stream, head.journal_id))
    marks.founds()
    seeded = await seed(file, cluster, reopen=returns, show=show_publishing)
    get_logger().info("cluster_entered" if returns else "cluster_founded", frames=seeded.published)
    return True


async def reseed(home: Home, *, reopen: bool = False) -> Seeded:
    """Make the journal's stream again, or longer, from a stopped node's frames, and its attachments.

    Raises Refusal `journal_forked` where another node has more or the stream holds other frames,
    `unavailable`.
    """
    async with AsyncExitStack() as opened:
        file = SqliteJournal.open(home.journal_path)
        opened.push_async_callback(file.close)
        with refused():
            cluster = await connect(home)
            opened.push_async_callback(cluster.close)
            seeded = await fill_stream(file, cluster, reopen=reopen)
            blobs = await JetStreamBlobs.open_root(home.blobs_path, cluster, file.head().journal_id)
            opened.push_async_callback(blobs.close)
            await blobs.seed(SystemClock().now())
        return seeded


async def status(home: Home) -> dict[str, Any]:
    """How the cluster stands, beside a stopped node; see `cluster_status`."""
    async with AsyncExitStack() as opened:
        file = SqliteJournal.open(home.journal_path, readonly=True)
        opened.push_async_callback(file.close)
        with refused():
            cluster = await connect(home)
        opened.push_async_callback(cluster.close)
        return await cluster_status(file, cluster) | {"doubt": "this node is not running"}


async def connect(home: Home) -> JetStream:
    """A connection with the home's keys. Raises ConfigError, NotAnswered."""
    servers, tls = way_to(home, home.settings.journal)
    return await JetStream.connect(servers, tls, name=node_name(home))


def way_to(home: Home, journal: str) -> tuple[Sequence[str], ssl.SSLContext | None]:
    """The servers that `journal` names, and the home's keys for them. Raises ConfigError."""
    try:
        servers = servers_of(journal)
        return servers, cluster_tls(home.keys_path / CLUSTER_KEYS, servers)
    except (ValueError, OSError) as error:
        raise ConfigError(f"journal: {error}") from error


def node_name(home: Home) -> str:
    """What other nodes, and the servers, call this one."""
    return f"{socket.gethostname()}:{home.path.resolve().name}"
