"""For machines that watch the node: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from axis.console.metrics import ConsoleMetrics
from axis.console.shared import Shared

__all__ = ["Health"]

_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
#: For how long what the views say is said again; anybody may ask for it, as often as they like.
_SERVED_SECONDS: Final = 5.0


class Health:
    """Answers without a log-in. `ready`: why the node is not ready; None when it is."""

    def __init__(self, metrics: ConsoleMetrics, ready: Callable[[], str | None]) -> None:
        self._metrics, self._ready = metrics, ready
        self._views = Shared(self._of_views, _SERVED_SECONDS)

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """The node can accept."""
        reason = self._ready()
        body = {"ready": reason is None, "reason": reason}
        return web.json_response(body, status=200 if reason is None else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus. What is counted in this process is of now, the rest at most some seconds old."""
        oldest = asyncio.get_running_loop().time() - _SERVED_SECONDS
        views, _at = await self._views.get(lambda made: made[1] > oldest)
        body = self._metrics.of_process() + views
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def _of_views(self) -> tuple[bytes, float]:
        """The text, and until when it was being made."""
        text = await asyncio.to_thread(self._metrics.of_views)
        return text, asyncio.get_running_loop().time()
