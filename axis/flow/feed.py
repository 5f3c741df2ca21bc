"""What an organisation's node reads: its feed, in journal order, in two lanes (design decision 6).

A poll waits on "the feed has rows over the cursor, or the directory has changed", looked up in the journal
each time; a wake-up only says when to look. While it waits, the caller stays under watch: a suspension or
revocation closes its polls at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from axispb.v1 import api_pb2

from axis.core.errors import Refusal
from axis.core.facts import Changes
from axis.core.frame import Frame
from axis.flow.directory import DirectoryPages
from axis.flow.feed_items import FeedItems
from axis.flow.peers import Peer, Peers
from axis.flow.standing import standing_receipts
from axis.ports import Journal

__all__ = ["Feed", "FeedQuery"]

_PAGE_BYTES: Final = 4 * 1024 * 1024
_MAX_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """Where a node stands. `directory` None: directory changes do not end the wait.

    `standing`: with what the node has receipted already.
    """

    urgent_after: int = 0
    normal_after: int = 0
    limit: int = 100
    directory: int | None = None
    standing: bool = False


class Feed:
    """Answers polls. `landed` is to hear of every frame."""

    def __init__(self, journal: Journal, peers: Peers, directory: DirectoryPages) -> None:
        self._journal = journal
        self._peers = peers
        self._directory = directory
        self._items = FeedItems(journal)
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many polls are open."""
        return sum(len(waiters) for waiters in self._waiting.values())

    async def poll(self, peer: Peer, query: FeedQuery, wait: float) -> api_pb2.FeedPage:
        """The next page; an empty one after `wait` seconds.

        Raises Refusal `sender_suspended`, `certificate_revoked` … as soon as it becomes true, and
        `shutting_down`. Cancellation leaves nothing behind.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Registered before looking, so that what lands in between is not missed.
            waiter: asyncio.Future[None] = loop.create_future()
            waiters = self._waiting.setdefault(peer.organisation, set())
            waiters.add(waiter)
            try:
                page = self._look(peer, query)
                left = deadline - loop.time()
                if left <= 0 or _says_something(page, query):
                    return page
                await asyncio.wait({waiter}, timeout=left)
            finally:
                waiters.discard(waiter)
                if not waiters and self._waiting.get(peer.organisation) is waiters:
                    del self._waiting[peer.organisation]

    def landed(self, _: Frame, changes: Changes) -> None:
        """Wake those whom a frame concerns: its feeds' organisations; everybody if the directory changed."""
        if any(key.startswith(("unit/", "certificate/")) for key in changes.facts):
            self._wake_all()
            return
        for organisation in {row.organisation for row in changes.feed}:
            _wake(self._waiting.get(organisation, set()))

    def close(self) -> None:
        """End every poll, open or to come, with `shutting_down`."""
        self._closed = True
        self._wake_all()

    def _wake_all(self) -> None:
        for waiters in self._waiting.values():
            _wake(waiters)

    def _look(self, peer: Peer, query: FeedQuery) -> api_pb2.FeedPage:
        if self._closed:
            raise Refusal("shutting_down")
        if doubt := self._journal.doubt:
            raise Refusal("unavailable", doubt, retry_after=1)
        self._peers.check(peer)
        page = api_pb2.FeedPage(
            urgent_next=query.urgent_after,
            normal_next=query.normal_after,
        )
        self._fill(page, peer, query)
        # After the rows: a node takes it to mean that its directory needs nothing newer for these items.
        page.directory_sequence = self._directory.newest()
        return page

    def _fill(self, page: api_pb2.FeedPage, peer: Peer, query: FeedQuery) -> None:
        limit = max(1, min(query.limit, _MAX_LIMIT))
        room = _PAGE_BYTES
        for urgent in (True, False):
            after = query.urgent_after if urgent else query.normal_after
            rows = self._journal.feed(peer.organisation, urgent, after, limit - len(page.items))
            for item in self._items.render(rows, urgent):
                if query.standing:
                    item.standing.extend(standing_receipts(self._journal, item, peer.organisation))
                room -= item.ByteSize()
                if room < 0 and page.items:
                    return
                page.items.append(item)
                if urgent:
                    page.urgent_next = item.sequence
                else:
                    page.normal_next = item.sequence
            if len(page.items) >= limit:
                return


def _says_something(page: api_pb2.FeedPage, query: FeedQuery) -> bool:
    return bool(page.items) or (query.directory is not None and page.directory_sequence > query.directory)


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
