"""What an operator does with a cluster, beside a running node: see how it stands, make its stream again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from axis.blobs.jetstream import JetStreamBlobs
from axis.core.errors import Refusal
from axis.core.state import blob_key
from axis.jetstream import JetStream, NotAnswered, Refused
from axis.journal.jetstream import JetStreamJournal
from axis.journal.nodes import ask_nodes
from axis.journal.seeding import Seeded, refuse_shorter, seed
from axis.journal.sqlite import SqliteJournal
from axis.journal.stream import JournalStream, stream_name
from axis.logs import get_logger
from axis.ports import Clock, JournalBroken

__all__ = ["ClusterActs", "cluster_status", "fill_stream", "show_publishing"]

_ANSWER_SECONDS: Final = 5.0
_SHOWN_FRAMES: Final = 1000


class ClusterActs:
    """The acts on the cluster of one running node."""

    def __init__(
        self, cluster: JetStream, journal: JetStreamJournal, blobs: JetStreamBlobs, clock: Clock
    ) -> None:
        self._cluster = cluster
        self._journal = journal
        self._blobs = blobs
        self._clock = clock

    async def status(self) -> dict[str, Any]:
        """How the stream and the nodes stand; see `cluster_status`. Raises Refusal `unavailable`."""
        return await cluster_status(self._journal.file, self._cluster) | {"doubt": self._journal.doubt}

    async def reseed(self, *, reopen: bool = False) -> Seeded:
        """Make the stream again, or longer, from this node's frames, and its attachments.

        Raises Refusal `journal_forked` (another node has more, or the stream holds other frames),
        `unavailable`.
        """
        seeded = await fill_stream(self._journal.file, self._cluster, reopen=reopen)
        try:
            await self._blobs.seed(self._clock.now())
        except (NotAnswered, Refused) as error:
            raise Refusal("unavailable", str(error), retry_after=1) from error
        return seeded

    async def publish_lost(self) -> None:
        """Publish this node's attachments again where the stream that held them was made anew.

        A reseed publishes those of its own node only. OutcomeUnknown when the cluster does not answer.
        """
        named = self._journal.get
        count = await self._blobs.publish_lost(
            self._clock.now(), lambda sha256: bool(named(blob_key(sha256)))
        )
        if count:
            get_logger().warning("attachments_published", blobs=count)


async def cluster_status(file: SqliteJournal, cluster: JetStream) -> dict[str, Any]:
    """{"stream": {"name", "phase", "first", "last", "leader", …} or None, "nodes": [{"node", "frame", …}]}.

    Raises Refusal `unavailable`, `journal_forked` (the stream is no journal's).
    """
    journal_id = file.head().journal_id
    stream = JournalStream(cluster, stream_name(journal_id))
    try:
        standing = await stream.standing(_ANSWER_SECONDS)
        answers = await ask_nodes(stream, journal_id)
    except (NotAnswered, Refused) as error:
        raise Refusal("unavailable", str(error), retry_after=1) from error
    except JournalBroken as error:
        raise Refusal("journal_forked", str(error)) from error
    shown = None
    if standing is not None:
        shown = {"name": stream.name} | asdict(standing)
        del shown["closed_by"]
    return {"stream": shown, "nodes": [answer.as_json() for answer in answers]}


async def fill_stream(file: SqliteJournal, cluster: JetStream, *, reopen: bool = False) -> Seeded:
    """Fill the journal's stream from this file, where no node that answers has more.

    Raises Refusal `journal_forked`, `unavailable`.
    """
    head = file.head()
    stream = JournalStream(cluster, stream_name(head.journal_id))
    try:
        refuse_shorter(head, await ask_nodes(stream, head.journal_id))
        return await seed(file, cluster, reopen=reopen, show=show_publishing)
    except JournalBroken as error:
        raise Refusal("journal_forked", str(error)) from error
    except (NotAnswered, Refused) as error:
        raise Refusal("unavailable", str(error), retry_after=1) from error


def show_publishing(frame: int, of: int) -> None:
    """Log how far the stream is filled."""
    if frame % _SHOWN_FRAMES == 0 or frame == of:
        get_logger().info("journal_publishing", frame=frame, of=of)
