"""A home whose journal and blobs are shared with other nodes, over NATS JetStream.

A home that joins a cluster for the first time founds its streams where there are none, from its own files.
After that a missing stream is a loss that a person must look at (`axis journal reseed`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

from axis.app.home import CLUSTER_KEYS, Home, SystemClock
from axis.blobs.jetstream import JetStreamBlobs
from axis.config import ConfigError
from axis.core import state
from axis.core.errors import Refusal
from axis.durable import sync_folder
from axis.jetstream import JetStream, NotAnswered, Refused, cluster_tls, servers_of
from axis.journal.jetstream import JetStreamJournal, stream_name
from axis.journal.seeding import Seeded, seed
from axis.journal.sqlite import SqliteJournal
from axis.logs import get_logger
from axis.ports import Blobs, Journal, OutcomeUnknown

__all__ = ["connect", "open_clustered", "reseed"]

#: Tells a home that has been in a cluster; and one that has begun to found it, and must end that first.
_JOINED: Final = "cluster.joined"
_FOUNDING: Final = "cluster.founding"


async def open_clustered(home: Home, file: SqliteJournal, opened: AsyncExitStack) -> tuple[Journal, Blobs]:
    """The journal and blobs over the cluster; `opened` closes them.

    Raises JournalBroken, StorageFull, ConfigError; Refusal `unavailable` or `storage_full` for what the
    cluster answers, or does not.
    """
    with _refused():
        return await _open(home, file, opened)


async def _open(home: Home, file: SqliteJournal, opened: AsyncExitStack) -> tuple[Journal, Blobs]:
    cluster = await connect(home)
    opened.push_async_callback(cluster.close)
    journal_id = file.head().journal_id
    joined, founding = home.path / _JOINED, home.path / _FOUNDING
    alone = not joined.exists() and await cluster.stream(stream_name(journal_id), 10.0) is None
    founds = alone or founding.exists()
    if founds:
        _mark(founding)
        seeded = await seed(file, cluster, show=_show)
        get_logger().info("cluster_founded", frames=seeded.published)
    shared = await JetStreamBlobs.open_root(home.blobs_path, cluster, journal_id)
    opened.push_async_callback(shared.close)
    if founds:
        await shared.seed(SystemClock().now())
    journal = await JetStreamJournal.open(file, cluster, state.reduce)
    opened.push_async_callback(journal.close)
    _mark(joined)
    founding.unlink(missing_ok=True)
    return journal, shared


async def reseed(home: Home) -> Seeded:
    """Make the journal's stream again, or longer, from this home's verified frames, and its blobs.

    For a stopped node. Raises JournalBroken where the stream holds other frames; Refusal `unavailable`.
    """
    async with AsyncExitStack() as opened:
        file = SqliteJournal.open(home.journal_path)
        opened.push_async_callback(file.close)
        with _refused():
            cluster = await connect(home)
            opened.push_async_callback(cluster.close)
            seeded = await seed(file, cluster, show=_show)
            blobs = await JetStreamBlobs.open_root(home.blobs_path, cluster, file.head().journal_id)
            opened.push_async_callback(blobs.close)
            await blobs.seed(SystemClock().now())
        return seeded


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
    return await JetStream.connect(servers, tls, name=f"{socket.gethostname()}:{home.path.name}")


def _show(frame: int, of: int) -> None:
    if frame % 1000 == 0 or frame == of:
        get_logger().info("journal_publishing", frame=frame, of=of)


def _mark(path: Path) -> None:
    """Make an empty file, durably."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)
