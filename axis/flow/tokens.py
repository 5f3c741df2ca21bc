"""Enrolment tokens: one line of text that carries everything a new node needs to join.

`axis1.` and the base64url, without padding, of a JSON object: `url`, `anchor_sha256` (hex), `code`,
`expires_at` (milliseconds) and `secret` (base64url). The node checks the axis's anchor against the hash
*before* it sends the secret, so nobody in between learns it. The axis keeps the secret's hash only.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

__all__ = ["SECRET_BYTES", "Token"]

SECRET_BYTES: Final = 32
_PREFIX: Final = "axis1."


@dataclass(frozen=True, slots=True)
class Token:
    """A one-time enrolment token. `str()` is what a person hands over."""

    url: str
    anchor_sha256: str
    code: str
    expires_at: int
    secret: bytes

    def __str__(self) -> str:
        members = {
            "url": self.url,
            "anchor_sha256": self.anchor_sha256,
            "code": self.code,
            "expires_at": self.expires_at,
            "secret": _base64url(self.secret),
        }
        return _PREFIX + _base64url(json.dumps(members, separators=(",", ":")).encode("utf-8"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
