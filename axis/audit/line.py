"""A record's line in the traffic log, as the audit expects it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Line"]


@dataclass(frozen=True, slots=True)
class Line:
    """Everything but the place and the trace id."""

    event: str
    document: int | None = None
    party: str = ""
    document_id: str = ""
    outcome: str = ""
    code: str = ""
    reason: str = ""
    repeats: int = 1
