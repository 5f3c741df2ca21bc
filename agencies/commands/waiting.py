"""Waiting beside a running node. Unlike other commands this never takes the home's lock: it could last for
days, and a node that was stopped meanwhile must be able to start again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agencies.local import connect
from axis.control import NotRunning
from axis.core.errors import Refusal

__all__ = ["wait_for_outcomes"]

_POLL_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 120.0
#: What a node answers, or what is made of its silence, while it stops.
_GONE: Final = ("unavailable", "shutting_down")


async def wait_for_outcomes(
    home: Path, document_id: str, tell: Callable[[str], None], patience: float = _PATIENCE_SECONDS
) -> dict[str, Any]:
    """The document as soon as no outcome is missing.

    When the node stops, `tell` is told so, and the node is asked again once it is back. Raises NotRunning
    when it stays away for `patience` seconds, Refusal `document_unknown`.
    """
    loop = asyncio.get_running_loop()
    gone_at: float | None = None
    while True:
        try:
            async with connect(home) as api:
                # Another command may have the home's socket for a moment; such a node sends nothing.
                while (await api.json("GET", "/v1/node"))["online"]:
                    path = f"/v1/documents/{document_id}"
                    found: dict[str, Any] = await api.json("GET", path, params={"wait": str(_POLL_SECONDS)})
                    gone_at = None
                    if found["state"] not in ("queued", "accepted"):
                        return found
                    await asyncio.sleep(_PAUSE_SECONDS)
        except NotRunning:
            pass
        except Refusal as refusal:
            if refusal.name not in _GONE:
                raise
        if gone_at is None:
            gone_at = loop.time()
            tell("the node is not running; waiting for it to come back")
        elif loop.time() - gone_at > patience:
            raise NotRunning(f"the node has not been running for {patience:g} s; the document is stored here")
        await asyncio.sleep(_PAUSE_SECONDS)
