"""Which engines stand behind the journal and the blobs of a home: files alone, or a cluster's.

The setting `journal` decides: empty for an axis on one machine, `nats://HOST:PORT,…` for several nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from axis.app.home import Home
from axis.blobs.files import FileBlobs
from axis.config import ConfigError
from axis.journal.sqlite import SqliteJournal
from axis.ports import Blobs, Journal

if TYPE_CHECKING:
    from axis.app.cluster_acts import ClusterActs

__all__ = ["Engines", "check_journal", "open_engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    """What stands behind the ports; `cluster` where it is shared with other nodes."""

    journal: Journal
    blobs: Blobs
    cluster: ClusterActs | None = None


async def open_engines(home: Home, opened: AsyncExitStack) -> Engines:
    """The home's journal and blobs; `opened` closes them.

    Raises JournalBroken, StorageFull, ConfigError; Refusal `unavailable` when the cluster does not answer.
    """
    file = SqliteJournal.open(home.journal_path)
    opened.push_async_callback(file.close)
    if not home.settings.journal:
        blobs = FileBlobs.open_root(home.blobs_path)
        opened.push_async_callback(blobs.close)
        return Engines(file, blobs)
    with _cluster_extra():
        from axis.app.clustered import open_clustered
    clustered = await open_clustered(home, file, opened)
    return Engines(clustered.journal, clustered.blobs, clustered.acts)


def check_journal(home: Home, journal: str) -> None:
    """Return if the home has what it takes to go there; no server is asked. Raises ConfigError."""
    with _cluster_extra():
        from axis.app.clustered import way_to
    way_to(home, journal)


@contextmanager
def _cluster_extra() -> Iterator[None]:
    """Around imports that only a cluster needs: an axis on one machine needs no NATS."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a journal in a cluster needs the extra document-axis[cluster]: {error}"
        ) from error
