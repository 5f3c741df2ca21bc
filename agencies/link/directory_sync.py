"""The directory at this node: kept in the store, read from the axis, at least as new as what is judged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Final

from axispb.v1 import api_pb2, facts_pb2

from agencies.link.axis_client import AxisClient
from agencies.store.database import Store, set_setting
from agencies.store.heads import epoch, learnt
from axis.core.directory import Directory
from axis.core.errors import Refusal
from axis.core.trust import read_certificate

__all__ = ["DirectorySync", "forget"]

_AS_OF: Final = "directory_as_of"
_MOST_PAGES: Final = 10_000

#: key, sequence, bytes of the entry.
_Row = tuple[str, int, bytes]


class DirectorySync:
    """Keeps `directory` in step with the axis. Implements `axis.core.verify.Certificates`."""

    def __init__(self, store: Store, client: AxisClient) -> None:
        self._store = store
        self._client = client
        self._refreshing: asyncio.Task[None] | None = None
        #: How far the newest reading reached that had begun at 0 in this process.
        self._whole = 0
        self._named_right: set[bytes] = set()
        #: Grows with every entry that comes.
        self.changes = 0
        #: Read from 0 before anything up to here is judged.
        self._doubted = 0
        #: Read, but not stored yet: the head that they rest on was not seen then.
        self._unsaved: list[_Row] = []
        self._replacing = False
        self.directory = Directory()
        self.directory.load(row["entry"] for row in store.each("SELECT entry FROM directory ORDER BY key"))
        self.directory.as_of = int(store.setting(_AS_OF, "0"))
        self.directory.cursor = self.directory.as_of

    @property
    def as_of(self) -> int:
        """The directory holds every change up to here."""
        return self.directory.as_of

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """A certificate that ever counted, by the SHA-256 of its DER.

        None for one that is listed under another name than its own: its owner would not be alarmed.
        """
        fact = self.directory.certificate(sha256)
        if fact is None or sha256 in self._named_right:
            return fact
        if read_certificate(fact.certificate).organisation != fact.organisation:
            return None
        self._named_right.add(sha256)
        return fact

    async def at_least(self, sequence: int) -> None:
        """Return once the directory is as new as `sequence`. Refusal `unavailable` if the axis's is not."""
        for _ in range(2):  # a reading that is shared may have begun too early: then one of our own
            if self.as_of < sequence or self._doubted > self._whole:
                await self.refresh()
        if self.as_of < sequence or self._doubted > self._whole:
            raise Refusal("unavailable", "the axis's directory is older than what it sent")

    def doubt(self, sequence: int) -> bool:
        """A certificate that something at `sequence` needs is not in the directory.

        True: it is read from 0 first, before `at_least` returns again. False: it was.
        """
        if self._whole >= sequence:
            return False
        self._doubted = max(self._doubted, sequence)
        return True

    def vouch(self, newest_change: int, sequence: int) -> None:
        """The axis says that nothing has changed beyond `newest_change` up to `sequence`."""
        if newest_change <= self.as_of < sequence:
            self.directory.take(api_pb2.DirectoryPage(as_of=sequence))

    async def refresh(self) -> None:
        """Read what is new. Callers at the same time share one reading."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        before, asked_in = self.directory, epoch(self._store)
        anew = before.cursor == 0 or self._doubted > self._whole
        directory = Directory() if anew else before
        rows: list[_Row] = [] if anew else self._unsaved
        for _ in range(_MOST_PAGES):
            page = await self._client.directory(directory.cursor)
            rows += directory.take(page)
            self.changes += len(page.entries)
            if not page.more:
                break
        else:
            raise Refusal("unavailable", "the axis's directory does not end")
        if self.directory is not before:
            raise Refusal("unavailable", "the directory was restarted while it was read")
        if anew:
            self.directory, self._whole = directory, directory.as_of
            self._unsaved, self._replacing = rows, True
        # Never stored without the head that it rests on: an axis restored from an older copy would know an
        # older head, and what is no longer true would stay here.
        if self._unsaved and self._client.heads.sequence >= directory.cursor:
            await self._save(directory, asked_in)

    async def _save(self, directory: Directory, asked_in: str) -> None:
        rows, replacing, as_of = list(self._unsaved), self._replacing, directory.as_of

        def change(connection: sqlite3.Connection) -> bool:
            if not learnt(connection, asked_in, self._client.heads):
                return False
            if replacing:
                forget(connection)
            _keep(connection, rows, as_of)
            return True

        if not await self._store.write(change):
            raise Refusal("unavailable", "the axis was restored while its directory was read")
        self._unsaved, self._replacing = [], False

    def restart(self) -> None:
        """The store was made to `forget` the directory: read everything anew."""
        self.directory = Directory()
        self._whole = self._doubted = 0
        self._unsaved, self._replacing = [], False


def _keep(connection: sqlite3.Connection, rows: Sequence[_Row], as_of: int) -> None:
    connection.executemany("INSERT OR REPLACE INTO directory (key, sequence, entry) VALUES (?, ?, ?)", rows)
    set_setting(connection, _AS_OF, str(as_of))


def forget(connection: sqlite3.Connection) -> None:
    """The axis was restored from an older copy: what is stored may not hold. `restart` once it is stored."""
    connection.execute("DELETE FROM directory")
    set_setting(connection, _AS_OF, "0")
