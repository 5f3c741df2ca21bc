"""Small attachments, asked for together: most are small, and a request for each costs more than the work."""

from __future__ import annotations

import asyncio
from typing import Final

from agencies.axis_client import AxisClient
from axis.logs import get_logger

__all__ = ["SMALL_BYTES", "SmallContents"]

#: The axis gives no larger ones together.
SMALL_BYTES: Final = 64 * 1024
#: So many of the largest fit into one answer of 4 MiB.
_MOST: Final = 64

_Key = tuple[str, int]


class SmallContents:
    """One request at a time; who comes meanwhile goes with the next."""

    def __init__(self, client: AxisClient) -> None:
        self._client = client
        self._waiting: dict[_Key, asyncio.Future[bytes | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def get(self, document_id: str, number: int) -> bytes | None:
        """The bytes of one attachment, unchecked; None where the axis did not give it this way.

        Cancellation: others who asked for the same are not disturbed.
        """
        key = (document_id, number)
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(future)

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # the other documents of the page come along
            asked = {key: self._waiting.pop(key) for key in list(self._waiting)[:_MOST]}
            try:
                contents = await self._client.contents(list(asked))
            except Exception as error:
                # Each is then asked for by itself, and gets an answer of its own; nobody waits for ever.
                get_logger().info("contents_not_given_together", detail=repr(error))
                contents = {}
            for key, future in asked.items():
                future.set_result(contents.get(key))
