"""What an act is asked for with, and what it answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from axis.console.shapes.common import Body, Instant, Shape, Usage
from axis.core.decide_enrolment import REVOCATION_REASONS

__all__ = [
    "Changed", "Close", "DeliveryDone", "NewUnit", "Reason", "Remark", "Requeue", "Revocation", "Revoked",
    "Token",
]  # fmt: skip


class DeliveryDone(Shape):
    """A delivery after an operator's act."""

    document_id: str
    to: str
    attempt: int
    host: str


class Token(Shape):
    """What a node enrols with, once."""

    code: str
    token: str
    expires_at: Instant


class Changed(Shape):
    """A unit after a registrar's act."""

    code: str
    changed: Annotated[bool, Field(description="false: it was so already")]


class Revoked(Shape):
    """A certificate after its revocation."""

    serial: str
    org: str
    usage: Usage
    changed: bool


class Requeue(Body):
    """To which recipient a document is to be offered again."""

    to: Annotated[str, Field(description="any code of the recipient")]
    reason: str = ""


class Close(Body):
    """Which delivery is given up, and why; it is kept."""

    to: Annotated[str, Field(description="any code of the recipient")]
    reason: str


class NewUnit(Body):
    """A unit to register, or to change."""

    code: str
    name: str
    parent: Annotated[str, Field(description="empty: none, or what the code's beginning says")] = ""
    old_codes: Annotated[list[str], Field(default_factory=list)]
    mail: str = ""
    remark: Annotated[str, Field(description="why; it is kept")] = ""


class Reason(Body):
    """Why; it is kept."""

    reason: str


class Remark(Body):
    """Why, where one wants to say so; it is kept."""

    remark: str = ""


class Revocation(Body):
    """Why a certificate is revoked, of RFC 5280 and in words."""

    reason: Annotated[str, Field(json_schema_extra={"enum": list(REVOCATION_REASONS)})]
    remark: Annotated[str, Field(description="why; it is kept")] = ""
