"""Enrolment: from a one-time token to an organisation's certificates.

The token carries the axis's address, its anchor's SHA-256, the unit's code and a secret. Order matters:

1. keys and requests are stored before anything is sent, so that a repeat asks for the same certificates;
2. the anchor is fetched over an unverified connection and compared with the token's hash;
3. the secret is sent only over a connection whose chain ends at that anchor;
4. what comes back is checked like a stranger's before it is used.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axispb.v1 import api_pb2

from agencies import config, keys
from agencies.link.axis_client import AxisClient
from agencies.link.tls import axis_context, unverified_context
from axis.control import HomeLock
from axis.core.errors import Refusal
from axis.core.organisation import check_code
from axis.core.trust import Anchors
from axis.ports import Clock

__all__ = ["Token", "enrol", "init"]

_PREFIX: Final = "axis1."


@dataclass(frozen=True, slots=True)
class Token:
    """What an enrolment token says."""

    url: str
    anchor_sha256: str  # hex
    code: str
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token; Refusal `token_invalid`."""
        try:
            body = text.strip().removeprefix(_PREFIX)
            members = json.loads(_unpadded(body))
            secret = _unpadded(members["secret"])
            token = cls(str(members["url"]), str(members["anchor_sha256"]).lower(), members["code"], secret)
            check_code(token.code)
            if not text.strip().startswith(_PREFIX) or len(secret) != 32 or len(token.anchor_sha256) != 64:
                raise ValueError("not of this form")
        except (ValueError, KeyError, TypeError, Refusal) as error:
            raise Refusal("token_invalid", "this is no enrolment token, or it is damaged") from error
        return token


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


async def init(
    home: Path, token_text: str, clock: Clock, *, axis: Sequence[str] = (), api: str | None = None
) -> config.Settings:
    """`agency init`: enrol a home that no node runs on. Repeatable; on an enrolled home only keys change.

    Raises HomeBusy, Refusal, ConfigError.
    """
    token = Token.parse(token_text)
    if api is not None:
        config.parse_address(api)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with HomeLock(home):
        return await enrol(home, token, clock, axis=axis, api=api)


async def enrol(
    home: Path, token: Token, clock: Clock, *, axis: Sequence[str] = (), api: str | None = None
) -> config.Settings:
    """Get certificates for new keys (the same ones for the same token) and make them the current ones.

    The caller holds the home's lock.
    """
    before = config.load(home) if (home / config.SETTINGS_FILE).exists() else None
    if before is not None and before.code != token.code:
        raise Refusal("token_invalid", f"this home is {before.code}'s, the token is {token.code}'s")
    urls = tuple(axis) or ((token.url,) if before is None else (*before.axis, token.url))
    key_set = keys.prepare(home, token.secret, token.code)
    answer = await _ask(urls, token, key_set)
    anchors = _check_answer(answer, token, key_set, clock.now())
    if before is not None and keys.load_credentials(home).axis_id != anchors.axis_id:
        raise Refusal("axis_mismatch", "this home belongs to another axis; use a new home")
    keys.use(
        key_set,
        tls_certificate=answer.tls_certificate,
        sign_certificate=answer.sign_certificate,
        intermediates=anchors.intermediates,
        anchors=anchors.anchors,
    )
    settings = _settings(before, token, axis, api)
    config.save(home, settings)
    return settings


def _settings(
    before: config.Settings | None, token: Token, axis: Sequence[str], api: str | None
) -> config.Settings:
    changes: dict[str, object] = {}
    if axis:
        changes["axis"] = tuple(axis)
    if api is not None:
        changes["api"] = api
    if before is not None:
        return before.model_copy(update=changes)
    return config.Settings(code=token.code, axis=(token.url,)).model_copy(update=changes)


async def _ask(urls: Sequence[str], token: Token, key_set: keys.KeySet) -> api_pb2.EnrolResponse:
    async with AxisClient(urls, unverified_context()) as stranger:
        trust = await stranger.trust()
    if not trust.anchors or hashlib.sha256(trust.anchors[0]).hexdigest() != token.anchor_sha256:
        # Perhaps somebody in between: it must not learn the secret.
        raise Refusal("token_invalid", "the axis at this address shows another anchor than the token names")
    # Further anchors are taken later, from the verified connection's answer.
    context = axis_context(trust.anchors[:1], trust.intermediates)
    request = api_pb2.EnrolRequest(
        secret=token.secret, tls_request=key_set.request("tls"), sign_request=key_set.request("sign")
    )
    async with AxisClient(urls, context) as client:
        return await client.enrol(request)


def _check_answer(answer: api_pb2.EnrolResponse, token: Token, key_set: keys.KeySet, now: int) -> Anchors:
    """What was given must be ours, for our keys, under the token's anchor, and valid now."""
    first = answer.anchors[0] if answer.anchors else b""
    if answer.code != token.code or hashlib.sha256(first).hexdigest() != token.anchor_sha256:
        raise Refusal("unavailable", "the axis answered the enrolment for another unit or axis")
    anchors = Anchors(answer.anchors, answer.intermediates)
    for usage, der in (("tls", answer.tls_certificate), ("sign", answer.sign_certificate)):
        info = anchors.path(der, now)
        ours = hashlib.sha256(key_set.public_key(usage)).digest()
        if info.organisation != token.code or info.usage != usage or info.public_key_sha256 != ours:
            raise Refusal("unavailable", f"the axis gave a {usage} certificate that is not for our key")
    return anchors
