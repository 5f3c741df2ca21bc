"""The receiver: from the organisation's feed into the store, both lanes, without ever standing still.

A page is judged, then stored with its cursors and the highest head in one transaction: after a crash the
node reads on exactly behind what it has. What cannot be finished now (an attachment out of reach, a notice
before its document) is stored as it came, in `held`, in that same transaction, and tried again beside the
feed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from axispb.v1 import api_pb2

from agencies.backoff import Random, back_off, wait_for_signal
from agencies.config import Settings
from agencies.events import Events
from agencies.flow.catch_up import CatchUp
from agencies.flow.effects import Happened
from agencies.flow.fetch import Fetcher
from agencies.flow.handling import Handler
from agencies.flow.own_certificates import OwnCertificates
from agencies.flow.results import Held, Result, Results
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store import inbox, outbox
from agencies.store.database import Store, set_setting
from agencies.store.heads import epoch, learnt
from agencies.tasks import all_of
from agencies.times import DAY_MS
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Clock

__all__ = ["Receiver"]

_PAGE: Final = 100
_WAIT_SECONDS: Final = 25
_HELD_AT_ONCE: Final = 4
_IDLE_SECONDS: Final = 60.0
#: Between polls that fail: an axis that is back should not wait long for its nodes.
_LONGEST_PAUSE: Final = 5.0
_HELD_FOR: Final = 30 * DAY_MS
#: A node that was away for a month tries what it finds so often before it gives up what is older than that.
_TRIES_AT_LEAST: Final = 20


class Receiver:
    """Reads the feed. `run` and `run_held` for the node's whole life."""

    def __init__(
        self,
        *,
        store: Store,
        client: AxisClient,
        directory: DirectorySync,
        handler: Handler,
        own_certificates: OwnCertificates,
        fetcher: Fetcher,
        clock: Clock,
        random: Random,
        events: Events,
        settings: Settings,
        head_unknown: Callable[[Refusal], Awaitable[None]],
        stored: Callable[[], None],
        reconnected: Callable[[], None],
    ) -> None:
        self._store = store
        self._client = client
        self._directory = directory
        self._results = Results(handler, fetcher, clock)
        self._own_certificates = own_certificates
        self._clock = clock
        self._random = random
        self._events = events
        self._settings = settings
        self._head_unknown = head_unknown
        #: Called after each transaction, when receipts may be due; and when the axis is in reach again.
        self._stored = stored
        self._reconnected = reconnected
        self._catch_up = CatchUp(store, client, events, several=len(settings.axis) > 1)
        self._held_signal = asyncio.Event()
        #: The state of the directory that was looked through for certificates in our own name.
        self._checked = -1
        #: Whether the axis answered the newest poll; what it refused with, or empty.
        self.connected = False
        self.trouble = "not asked yet"

    async def run(self) -> None:
        """Follow the feed until cancelled."""
        failures = 0
        while True:
            try:
                await self._page(failures)
                failures = 0
            except Refusal as refusal:
                if refusal.name == "head_unknown" and await self._recovered(refusal):
                    continue
                self._lost(refusal)
                wait = back_off(failures, _LONGEST_PAUSE, self._random, refusal.retry_after)
                failures += 1
                await self._clock.sleep(wait / 1000)
            except Exception as error:
                get_logger().exception("feed_failed")
                self.trouble = repr(error)
                failures += 1
                await self._clock.sleep(back_off(failures, _LONGEST_PAUSE, self._random) / 1000)

    async def _recovered(self, refusal: Refusal) -> bool:
        try:
            await self._head_unknown(refusal)
        except Refusal as failed:
            get_logger().error("recovery_failed", code=failed.name, detail=failed.detail)
            return False
        return True

    def _lost(self, refused: Refusal) -> None:
        refusal = self._catch_up.explained(refused)
        if self.connected or self.trouble != refusal.name:
            get_logger().warning("feed_lost", code=refusal.name, detail=refusal.detail)
        self.connected, self.trouble = False, refusal.name

    async def _page(self, failures: int) -> None:
        asked_in = epoch(self._store)
        cursors = (
            int(self._store.setting("urgent_after", "0")),
            int(self._store.setting("normal_after", "0")),
        )
        catching_up = self._catch_up.active
        # After a failure the first poll only asks whether the axis is there again.
        wait = 0 if not self.connected else self._catch_up.wait_seconds if catching_up else _WAIT_SECONDS
        directory = self._directory.as_of
        page = await self._client.feed(
            urgent_after=cursors[0],
            normal_after=cursors[1],
            directory=directory,
            limit=_PAGE,
            wait=wait,
            standing=catching_up,
        )
        newest = max((item.sequence for item in page.items), default=0)
        self._directory.vouch(page.directory_sequence, newest)
        await self._directory.at_least(max(newest, page.directory_sequence))
        if newest > self._client.heads.sequence:
            # The answer's head was older than what it brought; the cursors must not rest on that.
            await self._directory.refresh()
        if self._checked != self._directory.changes:
            self._checked = self._directory.changes
            own = self._directory.directory.certificates(self._settings.code)
            self._events.publish(self._own_certificates.check(own))
        if not self.connected:
            get_logger().info("feed_connected")
            self.connected, self.trouble = True, ""
            await self._store.write(outbox.hurry)
            self._reconnected()
            self._held_signal.set()
        if page.items:
            await self.take(page, asked_in)
        elif catching_up:
            # A poll that did not wait, or that the directory cut short, has not seen the feed's end.
            if wait >= self._catch_up.wait_seconds and page.directory_sequence <= directory:
                await self._catch_up.end(asked_in)
        elif str(self._client.heads) != self._store.setting("head"):
            await self._store.write(lambda c: learnt(c, asked_in, self._client.heads))

    async def take(self, page: api_pb2.FeedPage, asked_in: str) -> None:
        """Judge a page and store it with its cursors, in one transaction; nothing in another epoch."""
        came = {(each.key.document_id, each.key.number): each.data for each in page.contents}
        results = await self._results.of(page.items, came, large=False)

        def change(connection: sqlite3.Connection, *, isolated: bool) -> Happened:
            happened: Happened = []
            if not learnt(connection, asked_in, self._client.heads):
                return happened
            for item, result in zip(page.items, results, strict=True):
                happened += self._applied(connection, item, result, isolated=isolated)
            set_setting(connection, "urgent_after", str(page.urgent_next))
            set_setting(connection, "normal_after", str(page.normal_next))
            return happened

        try:
            happened = await self._store.write(lambda c: change(c, isolated=False))
        except Exception as error:
            if isinstance(error, Refusal) and error.name == "storage_full":
                raise  # of the store as a whole
            # A defect met by one item must not stop the feed: that one is held, the others are stored.
            get_logger().exception("page_not_stored")
            happened = await self._store.write(lambda c: change(c, isolated=True))
            self._held_signal.set()
        if any(isinstance(result, Held) for result in results):
            self._held_signal.set()
        self._published(happened)

    def _applied(
        self, connection: sqlite3.Connection, item: api_pb2.FeedItem, result: Result, *, isolated: bool
    ) -> Happened:
        """Store one item; `isolated`: undo it alone, and hold it, where that fails."""
        if isolated:
            connection.execute("SAVEPOINT item")
        try:
            if isinstance(result, Held):
                inbox.hold(connection, item, result.why.name, result.why.detail, self._clock.now())
                return result.effect(connection)
            return result(connection)
        except Exception as error:
            if not isolated or not connection.in_transaction:  # the disk was full: SQLite undid everything
                raise
            connection.execute("ROLLBACK TO item")
            get_logger().exception("item_not_stored", sequence=item.sequence)
            inbox.hold(connection, item, "unavailable", repr(error), self._clock.now())
            return []
        finally:
            if isolated and connection.in_transaction:
                connection.execute("RELEASE item")

    async def run_held(self) -> None:
        """Try again what is held, until cancelled."""
        failures = 0
        while True:
            try:
                await self._held()
                failures = 0
            except Exception as error:
                # A store without room, say: nothing is lost, but it takes a while.
                get_logger().error("held_not_tried", error=repr(error))
                await self._clock.sleep(back_off(failures, _LONGEST_PAUSE, self._random) / 1000)
                failures += 1

    async def _held(self) -> None:
        """One round."""
        self._held_signal.clear()
        held_in = epoch(self._store)
        now = self._clock.now()
        rows = self._store.rows(
            "SELECT item, attempts FROM held WHERE next_attempt_at <= ? ORDER BY sequence LIMIT ?",
            now,
            _HELD_AT_ONCE,
        )
        if rows:
            await all_of(
                self._again(api_pb2.FeedItem.FromString(row["item"]), row["attempts"], held_in)
                for row in rows
            )
            return
        row = self._store.row("SELECT min(next_attempt_at) AS at FROM held")
        at = row["at"] if row is not None else None
        seconds = _IDLE_SECONDS if at is None else max(0.0, min(_IDLE_SECONDS, (at - now) / 1000))
        await wait_for_signal(self._held_signal, self._clock, seconds)

    async def _again(self, item: api_pb2.FeedItem, attempts: int, held_in: str) -> None:
        result: Result
        try:
            await self._directory.at_least(item.sequence)
            (result,) = await self._results.of([item], {}, large=True)
        except Refusal as refusal:
            result = Held(refusal)
        except Exception as error:
            get_logger().exception("item_failed", sequence=item.sequence)
            result = Held(Refusal("unavailable", repr(error)))
        now = self._clock.now()
        over = now - item.at > _HELD_FOR and attempts >= _TRIES_AT_LEAST
        at = now + back_off(attempts, self._settings.max_back_off_seconds, self._random)

        def change(connection: sqlite3.Connection) -> Happened:
            if not learnt(connection, held_in, self._client.heads):
                return []
            if isinstance(result, Held) and not over:
                inbox.hold(connection, item, result.why.name, result.why.detail, at)
                return result.effect(connection)
            inbox.drop_held(connection, item.sequence)
            return [] if isinstance(result, Held) else result(connection)

        if isinstance(result, Held) and over:
            why = result.why
            get_logger().error("item_given_up", sequence=item.sequence, code=why.name, detail=why.detail)
        try:
            happened = await self._store.write(change)
        except Exception as error:
            # This item waits; it does not keep the others from their turn.
            get_logger().exception("item_not_stored", sequence=item.sequence)
            result = Held(Refusal("unavailable", repr(error)))
            happened = await self._store.write(change)
        self._published(happened)

    def _published(self, happened: Happened) -> None:
        """Tell what is stored now, and only now."""
        for name, data in happened:
            if name == "document_received":
                get_logger().info("document_stored", **data)
        self._events.publish(happened)
        self._stored()
