"""What the shapes have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Body", "CertificateState", "Day", "Head", "Instant", "Shape", "Usage"]

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Head = Annotated[str, Field(description="the journal's head at which this was read; empty before the first")]
Usage = Literal["tls", "sign"]
CertificateState = Literal["active", "expired", "revoked"]


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Body(BaseModel):
    """What a request carries: nothing beside these members."""

    model_config = ConfigDict(frozen=True, extra="forbid")
