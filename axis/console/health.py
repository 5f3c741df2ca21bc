"""For machines that watch the node: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from axis.console.metrics import ConsoleMetrics
from axis.console.shared import Shared

__all__ = ["Check", "Health", "served_for"]

_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
#: For how long what the views say is said again, at least and at most.
_SERVED_SECONDS: Final = (5.0, 30.0)
#: Where reading them is costly, as many times what it took: anybody may ask, as often as they like.
_SERVED_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a node needs, under a stable name. `holds` says in words what it is, `doubt` why it does
    not hold; empty while it does. Everybody may read both: they tell of no organisation, and count nothing.
    """

    name: str
    holds: str
    doubt: str = ""
    required: bool = True  # without it the node is not ready

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        ok = not self.doubt
        return {"name": self.name, "ok": ok, "required": self.required, "detail": self.doubt or self.holds}


class Health:
    """Answers without a log-in, by what `checks` says at the moment."""

    def __init__(self, metrics: ConsoleMetrics, checks: Callable[[], Sequence[Check]]) -> None:
        self._metrics, self._checks = metrics, checks
        self._views = Shared(self._of_views, _SERVED_SECONDS[0])
        #: Of its own: whatever else the node does, whoever watches it learns of it.
        self._thread = ThreadPoolExecutor(1, "metrics")

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`: lets the thread go at the end."""
        yield
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def live(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, request: web.Request) -> web.Response:
        """The node can accept. `?verbose`: with each check, for people too."""
        checks = self._checks()
        reason = _reason(checks)
        body: dict[str, Any] = {"ready": reason is None, "reason": reason}
        verbose = "verbose" in request.query
        if verbose:
            body["checks"] = [each.shown() for each in checks]
        text = json.dumps(body, ensure_ascii=False, indent=2 if verbose else None)
        return web.json_response(text=text, status=200 if reason is None else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus. What is counted in this process is of now, the rest at most some seconds old."""
        now = asyncio.get_running_loop().time()
        views, _until = await self._views.get(lambda made: now < made[1])
        checks = self._checks()
        self._metrics.checked({each.name: not each.doubt for each in checks}, ready=_reason(checks) is None)
        body = self._metrics.of_process() + views
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def _of_views(self) -> tuple[bytes, float]:
        """The text, and until when it is served."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        text = await loop.run_in_executor(self._thread, self._metrics.of_views)
        return text, loop.time() + served_for(loop.time() - begun)


def _reason(checks: Sequence[Check]) -> str | None:
    """Why the node is not ready; None when it is."""
    return next((each.doubt for each in checks if each.required and each.doubt), None)


def served_for(took: float) -> float:
    """For how many seconds metrics are served that took so many to read."""
    least, most = _SERVED_SECONDS
    return min(max(least, took * _SERVED_TIMES), most)
