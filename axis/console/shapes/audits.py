"""Audits and what they found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from axis.console.shapes.common import Instant, Shape

__all__ = ["AuditList", "AuditRun"]


class AuditProblem(Shape):
    """What an audit found wrong."""

    sequence: int
    code: str
    detail: str


class AuditReport(Shape):
    """`axis audit --json`, and whether something could not be looked at."""

    head: str
    records: int
    root_hash: Annotated[str, Field(description="RFC 9162 tree head over the records")]
    signatures_checked: int
    volumes_equal: bool
    problems: list[AuditProblem]
    incomplete: bool


class Progress(Shape):
    """How far a run is."""

    what: str
    done: int
    of: int


class AuditRun(Shape):
    """One audit."""

    id: str
    at: Instant
    by: str
    quick: Annotated[bool, Field(description="attachments are not read")]
    state: Literal["running", "done", "failed", "interrupted"]
    seconds: int | None
    detail: Annotated[str, Field(description="why it failed")]
    report: AuditReport | None
    progress: Annotated[Progress | None, Field(description="while it runs")] = None


class AuditList(Shape):
    """The audits that are kept, newest first."""

    audits: list[AuditRun]
