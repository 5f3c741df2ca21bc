"""Who acts in the console, and with what rights: viewer < operator < registrar."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from axis.core.errors import Refusal

__all__ = ["CONSOLE", "OPERATOR", "Operator", "Role"]

#: Who comes through the start-up link; no account has this name.
CONSOLE: Final = "console"


class Role(enum.IntEnum):
    """Each may do what those before it may.

    A viewer sees who wrote to whom, an operator acts on deliveries, a registrar on register and certificates.
    """

    VIEWER = 1
    OPERATOR = 2
    REGISTRAR = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> Role:
        """The role of this name; Refusal `field_invalid`."""
        try:
            return cls[name.upper()]
        except KeyError:
            names = ", ".join(map(str, cls))
            raise Refusal("field_invalid", f"role: {name[:40]!r} is none of {names}") from None


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever sent a request.

    `csrf` goes into every form as the hidden field `csrf`; it is empty for a bearer token, which needs none.
    """

    name: str
    role: Role
    csrf: str = ""

    def may(self, role: Role) -> bool:
        """Whether the role is enough."""
        return self.role >= role

    def require(self, role: Role) -> None:
        """Raise Refusal `role_insufficient` where it is not."""
        if not self.may(role):
            raise Refusal("role_insufficient", f"{self.name} is a {self.role}; this needs a {role}")


#: The operator of a request. Set on every route that needs a role.
OPERATOR: Final = web.RequestKey("operator", Operator)
