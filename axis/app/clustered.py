"""A home whose journal and blobs are shared with other nodes, over NATS JetStream.

A home that joins a cluster for the first time founds its streams where there are none, from its own files.
After that a missing stream is a loss that a person must look at (`axis journal reseed`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from axis.app.cluster_acts import ClusterActs, cluster_status, fill_stream, show_publishing
from axis.app.home import CLUSTER_KEYS, Home, SystemClock
from axis.blobs.jetstream import JetStreamBlobs
from axis.config import ConfigError
from axis.core import state
from axis.core.errors import Refusal
from axis.durable import sync_folder
from axis.jetstream import JetStream, NotAnswered, Refused, cluster_tls, servers_of
from axis.journal.jetstream import JetStreamJournal
from axis.journal.nodes import ask_nodes
from axis.journal.seeding import Seeded, refuse_shorter, seed
from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import JournalStream, stream_name
from axis.logs import get_logger
from axis.ports import OutcomeUnknown

__all__ = ["Clustered", "connect", "open_clustered", "reseed", "status"]

#: Tells a home that has been in a cluster; and one that has begun to found it, and must end that first.
_JOINED: Final = "cluster.joined"
_FOUNDING: Final = "cluster.founding"


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
    with _refused():
        return await _open(home, file, opened)


async def _open(home: Home, file: SqliteJournal, opened: AsyncExitStack) -> Clustered:
    cluster = await connect(home)
    opened.push_async_callback(cluster.close)
    head = file.head()
    journal_id = head.journal_id
    joined, founding = home.path / _JOINED, home.path / _FOUNDING
    stream = JournalStream(cluster, stream_name(journal_id))
    alone = not joined.exists() and await stream.standing(10.0) is None
    founds = alone or founding.exists()
    if founds:
        refuse_shorter(head, await ask_nodes(stream, journal_id))
        _mark(founding)
        seeded = await seed(file, cluster, show=show_publishing)
        get_logger().info("cluster_founded", frames=seeded.published)
    shared = await JetStreamBlobs.open_root(home.blobs_path, cluster, journal_id)
    opened.push_async_callback(shared.close)
    if founds:
        await shared.seed(SystemClock().now())
    journal = await JetStreamJournal.open(file, cluster, state.reduce, node=_node_name(home))
    opened.push_async_callback(journal.close)
    _mark(joined)
    founding.unlink(missing_ok=True)
    return Clustered(journal, shared, ClusterActs(cluster, journal, shared, SystemClock()))


async def reseed(home: Home, *, reopen: bool = False) -> Seeded:
    """Make the journal's stream again, or longer, from a stopped node's frames, and its attachments.

    Raises Refusal `journal_forked` where another node has more or the stream holds other frames,
    `unavailable`.
    """
    async with AsyncExitStack() as opened:
        file = SqliteJournal.open(home.journal_path)
        opened.push_async_callback(file.close)
        with _refused():
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
        with _refused():
            cluster = await connect(home)
        opened.push_async_callback(cluster.close)
        return await cluster_status(file, cluster) | {"doubt": "this node is not running"}


@contextmanager
def _refused() -> Iterator[None]:
    """What the cluster answers, or does not, as a refusal."""
    try:
        yield
    except OutcomeUnknown as error:
        raise Refusal("storage_full" if error.full else "unavailable", str(error), retry_after=1) from error
    except (NotAnswered, Refused) as error:
        raise Refusal("unavailable", str(error), retry_after=1) from error


async def connect(home: Home) -> JetStream:
    """A connection with the home's keys. Raises ConfigError, NotAnswered."""
    try:
        servers = servers_of(home.settings.journal)
        tls = cluster_tls(home.keys_path / CLUSTER_KEYS, servers)
    except (ValueError, OSError) as error:
        raise ConfigError(f"journal: {error}") from error
    return await JetStream.connect(servers, tls, name=_node_name(home))


def _node_name(home: Home) -> str:
    """What other nodes, and the servers, call this one."""
    return f"{socket.gethostname()}:{home.path.resolve().name}"


def _mark(path: Path) -> None:
    """Make an empty file, durably."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)
