"""Shapes of `/api/v1/deliveries`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from axis.console.shapes.common import Instant, Shape

__all__ = ["Deliveries"]


class DeliveryInFlight(Shape):
    """A delivery of a document that has no outcome yet."""

    document_id: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    host: Annotated[str, Field(description="the organisation whose node is to receipt")]
    subject: str
    number: str | None
    attempt: int
    accepted_at: Instant
    opened_at: Annotated[Instant, Field(description="when this attempt was begun")]
    overdue: Annotated[bool, Field(description="the document was accepted before today")]


class Owing(Shape):
    """A unit with overdue deliveries: their receipts would be late."""

    code: str
    name: str
    deliveries: int


class Deliveries(Shape):
    """Those that wait longest first."""

    owing: Annotated[list[Owing], Field(description="the ten units with most overdue")]
    deliveries: list[DeliveryInFlight]
    next: Annotated[str | None, Field(description="`after` of the next page; null: there is none")]
