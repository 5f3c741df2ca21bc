"""The directory at this node: kept in the store, read from the axis, at least as new as what is judged."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from axispb.v1 import api_pb2, facts_pb2

from agencies.axis_client import AxisClient
from agencies.store import Store, set_setting
from axis.core.directory import Directory
from axis.core.errors import Refusal

__all__ = ["DirectorySync"]

_AS_OF: Final = "directory_as_of"
_CURSOR: Final = "directory_cursor"
_MOST_PAGES: Final = 10_000


class DirectorySync:
    """Keeps `directory` in step with the axis. Implements `axis.core.verify.Certificates`."""

    def __init__(self, store: Store, client: AxisClient) -> None:
        self._store = store
        self._client = client
        self._refreshing: asyncio.Task[None] | None = None
        self.directory = Directory()
        rows = store.rows("SELECT entry FROM directory ORDER BY sequence")
        self.directory.add(api_pb2.DirectoryEntry.FromString(row["entry"]) for row in rows)
        self.directory.as_of = int(store.setting(_AS_OF, "0"))
        self.directory.cursor = int(store.setting(_CURSOR, "0"))

    @property
    def as_of(self) -> int:
        """The directory holds every change up to here."""
        return self.directory.as_of

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """A certificate that ever counted, by the SHA-256 of its DER."""
        return self.directory.certificate(sha256)

    async def at_least(self, sequence: int) -> None:
        """Return once the directory is as new as `sequence`. Refusal `unavailable` if the axis's is not."""
        if self.as_of < sequence:
            await self.refresh()
        if self.as_of < sequence:
            # Shared with a reading that had begun before: one of our own.
            await self.refresh()
        if self.as_of < sequence:
            raise Refusal("unavailable", "the axis's directory is older than what it sent")

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
        directory = self.directory
        for _ in range(_MOST_PAGES):
            page = await self._client.directory(directory.cursor)
            directory.take(page)
            if page.entries:
                await self._store.write(
                    lambda c, page=page: _keep(c, page)  # type: ignore[misc]
                )
            if not page.more:
                return
        raise Refusal("unavailable", "the axis's directory does not end")

    async def restart(self) -> None:
        """The axis was restored from an older copy: read everything anew."""
        await self._store.write(_forget)
        self.directory = Directory()


def _keep(connection: sqlite3.Connection, page: api_pb2.DirectoryPage) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO directory (key, sequence, entry) VALUES (?, ?, ?)",
        [(_key(entry), entry.sequence, entry.SerializeToString()) for entry in page.entries],
    )
    set_setting(connection, _CURSOR, str(page.as_of))
    if not page.more:
        set_setting(connection, _AS_OF, str(page.as_of))


def _key(entry: api_pb2.DirectoryEntry) -> str:
    if entry.HasField("unit"):
        return f"unit/{entry.unit.code}"
    return f"serial/{entry.certificate.serial}"


def _forget(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM directory")
    set_setting(connection, _AS_OF, "0")
    set_setting(connection, _CURSOR, "0")
