"""Units: all about one, who has a node, and certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from axis.console.shapes.common import CertificateState, Head, Instant, Shape, Usage
from axis.console.shapes.documents import Line
from axis.console.shapes.volumes import Branch, Named, RatedCounts

__all__ = ["Trust", "TrustUnits", "Unit"]


class HourOfDay(Shape):
    """Documents in an hour of the day, Vietnam's."""

    hour: Annotated[int, Field(ge=0, le=23)]
    sent: int
    received: int


class Partner(Shape):
    """Documents exchanged with a unit."""

    code: str
    name: str
    sent: int
    received: int


class Certificate(Shape):
    """A unit's certificate."""

    usage: Usage
    serial: str
    not_before: Instant
    not_after: Instant
    state: CertificateState
    reason: Annotated[str | None, Field(description="why it was revoked")]


class Unit(Shape):
    """Everything about one unit."""

    generated_at: Instant
    head: Head
    code: str
    name: str
    old_codes: list[str]
    path: list[Named]
    suspended: bool
    host: Annotated[str, Field(description="the unit whose node it is served by")]
    last_contact: Annotated[Instant | None, Field(description="of that node, since this axis node started")]
    volumes: Annotated[RatedCounts, Field(description="the unit alone")]
    branch: Annotated[RatedCounts, Field(description="with all units below")]
    children: list[Branch]
    hours: list[HourOfDay]
    partners: Annotated[list[Partner], Field(description="the ten it exchanges most with")]
    certificates: list[Certificate]
    recent: list[Line]


class TrustCertificate(Shape):
    """A certificate, as `axis cert list --json` shows it."""

    serial: str
    org: str
    usage: Usage
    hierarchy: str
    not_before: Instant
    not_after: Instant
    state: CertificateState
    expiring: Annotated[bool, Field(description="active, and ends within 30 days")]
    revoked_at: Instant | None
    reason: str | None


class States(Shape):
    """Certificates in each state; those that are expiring are active too."""

    active: int
    expiring: int
    expired: int
    revoked: int


class StatesByUsage(Shape):
    """Certificates by usage."""

    tls: States
    sign: States


class Organisations(Shape):
    """Units with a node of their own, without, suspended."""

    enrolled: int
    not_enrolled: int
    suspended: int


class Contacts(Shape):
    """Nodes that this axis node heard of since it started."""

    connected: Annotated[int, Field(description="within five minutes")]
    heard_of: int


class Trust(Shape):
    """Certificates, the first to end first, and how many there are of each kind."""

    head: int
    directory: Annotated[int, Field(description="the sequence of the directory's newest change")]
    states: StatesByUsage
    organisations: Organisations
    nodes: Contacts
    certificates: list[TrustCertificate]
    next: Annotated[str | None, Field(description="`after` of the next page; null: there is none")]


class TrustUnit(Shape):
    """A registered unit and its node."""

    code: str
    name: str
    parent: str | None
    state: Literal["active", "suspended"]
    enrolled: Annotated[bool, Field(description="whether it has a node of its own")]
    hosted_by: Annotated[str | None, Field(description="the unit whose node serves it; null: there is none")]
    last_contact: Instant | None


class TrustUnits(Shape):
    """Registered units by code."""

    units: list[TrustUnit]
    next: Annotated[str | None, Field(description="`after` of the next page; null: there is none")]
