"""Times as people and JSON have them."""

from __future__ import annotations

from datetime import datetime, timedelta

from axis.core.volumes import VIETNAM

__all__ = ["DAY_MS", "rfc3339"]

DAY_MS = 24 * 60 * 60 * 1000


def rfc3339(at: int) -> str | None:
    """Milliseconds since the epoch as RFC 3339 in Vietnam's time; None for 0, which means never."""
    if not at:
        return None
    moment = datetime.fromtimestamp(0, VIETNAM) + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds")
