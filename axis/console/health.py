"""For machines that watch the node: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from axis.console.metrics import ConsoleMetrics
from axis.console.shared import Shared

__all__ = ["Health", "served_for"]

_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
#: For how long what the views say is said again, at least and at most.
_SERVED_SECONDS: Final = (5.0, 30.0)
#: Where reading them is costly, as many times what it took: anybody may ask, as often as they like.
_SERVED_TIMES: Final = 10


class Health:
    """Answers without a log-in. `ready`: why the node is not ready; None when it is."""

    def __init__(self, metrics: ConsoleMetrics, ready: Callable[[], str | None]) -> None:
        self._metrics, self._ready = metrics, ready
        self._views = Shared(self._of_views, _SERVED_SECONDS[0])

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
        now = asyncio.get_running_loop().time()
        views, _until = await self._views.get(lambda made: now < made[1])
        body = self._metrics.of_process() + views
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def _of_views(self) -> tuple[bytes, float]:
        """The text, and until when it is served."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        text = await asyncio.to_thread(self._metrics.of_views)
        return text, loop.time() + served_for(loop.time() - begun)


def served_for(took: float) -> float:
    """For how many seconds metrics are served that took so many to read."""
    least, most = _SERVED_SECONDS
    return min(max(least, took * _SERVED_TIMES), most)
