"""The traffic log, and what became of a document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from axis.console.shapes.common import Instant, Shape

__all__ = ["Document", "Line", "TrafficPage"]

DeliveryState = Literal["in_flight", "received", "refused", "dead"]


class Line(Shape):
    """An event of the journal, as `axis log --json` prints it."""

    sequence: int
    at: Instant
    event: Annotated[str, Field(examples=["accepted", "received", "suspended"])]
    document_id: str | None
    kind: Literal["document", "status"] | None
    from_: Annotated[str | None, Field(alias="from", description="the sender, or the unit that it is about")]
    to: list[str]
    subject: str | None
    number: str | None
    outcome: Literal["received", "refused", "dead"] | None
    code: Annotated[str | None, Field(description="a refusal's or a status's")]
    reason: str | None
    bytes: int | None
    trace_id: str | None
    operator: Annotated[str | None, Field(description="whose act it was")]
    count: Annotated[int | None, Field(description="of `rejected`: how many were refused")] = None
    about: Annotated[str | None, Field(description="of a status: the document that it is about")] = None


class TrafficPage(Shape):
    """A page of the traffic log."""

    events: Annotated[list[Line], Field(description="oldest first")]
    older: Annotated[int | None, Field(description="`before` of the page of older events, if any")]
    newer: Annotated[int, Field(description="`after` of the page of newer events, which may come yet")]
    complete: Annotated[bool, Field(description="false: not all was searched; `older` goes on there")]
    head: int


class Attachment(Shape):
    """One attachment; what is in it stays with the parties."""

    name: str
    media_type: str
    size: int
    sha256: Annotated[str, Field(description="lower-case hex")]


class Receipt(Shape):
    """What the receiver signed."""

    outcome: Literal["received", "refused"]
    at: Annotated[Instant, Field(description="when the axis took it")]
    stored_at: Annotated[Instant, Field(description="what the receipt says")]
    reason: str | None


class Status(Shape):
    """A business status of this exchange."""

    code: str
    at: Instant
    note: str
    from_: Annotated[str, Field(alias="from")]
    document_id: Annotated[str, Field(description="the status's own id")]
    in_order: bool


class Attempt(Shape):
    """One attempt of a delivery."""

    attempt: int
    host: str
    state: DeliveryState
    opened_at: Instant
    outcome_at: Instant | None
    reason: str | None


class Delivery(Shape):
    """A document on its way to one unit; the newest attempt is its state."""

    to: str
    host: str
    state: DeliveryState
    attempt: int
    receipt: Receipt | None
    reason: str | None
    exchange: Literal["open", "recall_asked", "update_asked", "refused", "recalled"]
    statuses: list[Status]
    attempts: list[Attempt]


class Original(Shape):
    """An earlier document that this one speaks of."""

    relation: Literal["recall", "update", "replacement"]
    issuer_document_id: str
    document_id: Annotated[str | None, Field(description="null: not found, see `flag`")]
    flag: str | None


class Related(Shape):
    """A later document that speaks of this one."""

    document_id: str
    relation: Literal["recall", "update", "replacement"]
    at: Instant


class Document(Shape):
    """`axis show --json`."""

    document_id: str
    kind: Literal["document", "status"]
    from_: Annotated[str, Field(alias="from")]
    to: list[str]
    subject: str | None
    number: str | None
    state: Literal["accepted", "delivered", "partly_refused", "refused", "dead"]
    sequence: int
    accepted_at: Instant
    about: Annotated[str | None, Field(description="of a status: the document that it is about")]
    code: Annotated[str | None, Field(description="of a status: which")]
    header: Annotated[dict[str, Any], Field(description="the signed fields (proto/axispb/v1/document.proto)")]
    attachments: list[Attachment]
    deliveries: list[Delivery]
    originals: list[Original]
    related: list[Related]
    flags: Annotated[list[str], Field(description="warnings; never a reason to refuse")]
    events: Annotated[list[Line], Field(description="oldest first")]
