"""For machines that watch the node: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from axis.console.metrics import ConsoleMetrics

__all__ = ["Health"]

_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"


class Health:
    """Answers without a log-in. `ready`: why the node is not ready; None when it is."""

    def __init__(self, metrics: ConsoleMetrics, ready: Callable[[], str | None]) -> None:
        self._metrics, self._ready = metrics, ready

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """The node can accept."""
        reason = self._ready()
        body = {"ready": reason is None, "reason": reason}
        return web.json_response(body, status=200 if reason is None else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        body = await asyncio.to_thread(self._metrics.render)
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})
