"""Volumes: of units, periods, branches; and how the axis stands now."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from axis.console.shapes.common import Day, Head, Instant, Shape
from axis.views.units import Group

__all__ = ["Branch", "Branches", "Named", "Overview", "RatedCounts", "Volumes"]

Share = Annotated[float | None, Field(description="of the receipts, those within the day; null: none came")]


class Moves(Shape):
    """What happened. `sent` counts documents of the unit, everything else deliveries to it."""

    sent: int
    addressed: int
    received: int
    refused: int
    dead: int
    requeued: int
    late: Annotated[int, Field(description="received or refused on a later day than accepted")]
    bytes_sent: int
    bytes_received: int


class Counts(Moves):
    """in_flight_before + addressed + requeued = received + refused + dead + in_flight."""

    in_flight_before: int
    in_flight: int


class UnitVolumes(Counts):
    """A unit's volumes."""

    code: str
    name: str
    parent: str | None


class PeriodVolumes(Counts):
    """All units' volumes in a day or a month."""

    period: Annotated[str, Field(examples=["2026-11", "2026-11-29"])]


class Volumes(Shape):
    """`axis volumes --json`."""

    generated_at: Instant
    head: Head
    rows: list[UnitVolumes] | list[PeriodVolumes]
    total: Counts


class Named(Shape):
    """A unit on the way from the top."""

    code: str
    name: str


class RatedCounts(Counts):
    """Volumes, and how much of it was in time."""

    on_time: Share


class Branch(RatedCounts):
    """A unit with all that stand below it now."""

    code: str
    name: str
    parent: str | None
    group: Group
    rank: Annotated[int | None, Field(description="within the group, by `on_time`; null: no receipt came")]
    units_below: Annotated[int | None, Field(description="null: this row is the unit alone")]
    suspended: bool
    enrolled: Annotated[bool, Field(description="whether it has a node of its own")]


class Branches(Shape):
    """The branches below a unit, or all."""

    generated_at: Instant
    head: Head
    path: Annotated[list[Named], Field(description="from the top to the unit; empty for all")]
    rows: list[Branch]
    total: RatedCounts


class DayMoves(Moves):
    """All units' documents on a day."""

    day: Day


class Minute(Shape):
    """Documents in a minute."""

    at: Instant
    accepted: int
    received: int
    refused: int


class Waiting(Shape):
    """The delivery that waits longest."""

    document_id: str
    to: str
    opened_at: Instant
    milliseconds: int


class Nodes(Shape):
    """Agencies' nodes."""

    connected: Annotated[int, Field(description="called this axis node within five minutes")]
    enrolled: int


class Expiring(Shape):
    """An organisation whose newest certificate ends within 30 days, or has."""

    organisation: str
    expires_at: Instant


class Overview(Shape):
    """How the axis stands now; documents only."""

    generated_at: Instant
    head: Head
    sequence: int
    total: Counts
    today: DayMoves
    days: Annotated[list[DayMoves], Field(description="the last 30, oldest first")]
    minutes: Annotated[list[Minute], Field(description="the last hour, the running minute last")]
    oldest: Waiting | None
    overdue: Annotated[int, Field(description="in flight, of documents accepted before today")]
    rejected: Annotated[dict[str, int], Field(description="envelopes that the axis refused, by code")]
    refused: Annotated[dict[str, int], Field(description="the ten reasons that recipients gave most")]
    nodes: Nodes
    certificates: list[Expiring]
