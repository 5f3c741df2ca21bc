"""Who calls: a system's id, and an HMAC-SHA256 over the headers that it signed.

The steps, in order; nothing of the request is used before all of them hold:

(1) the system is known, and its HMAC over the `sign-header` value matches one of its secrets;
(2) the signed JSON names the system's id: a signature says whose it is;
(3) every header that it names carries the signed value on this very request (else somebody on the way
    changed the header and left the signed copy);
(4) the stamp's skew is noted, and refused only where a setting says so: the real client never renews it.

Not covered by the HMAC: the body, and headers that the client did not sign. A replay is possible within the
network that carries the calls; operations are repeatable for that reason.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agencies.vxp.parameters import PREFIX, Parameters
from axis.core.errors import Refusal
from axis.core.volumes import VIETNAM

__all__ = ["Caller", "System", "authenticate"]

_CONTENT_TYPE: Final = "content-type"
_SYSTEM_ID: Final = f"{PREFIX}systemid".casefold()
_STAMP: Final = re.compile(r"(\d{8}T\d{6})\+(\d{1,4})", re.ASCII)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
#: Where the system is unknown the same work is done with this, so that time does not tell ids apart.
_NOBODY: Final = "-"


@dataclass(frozen=True, slots=True)
class System:
    """A registered client of the API. `secrets`: those valid now, the newest first."""

    system_id: str
    organisations: tuple[str, ...]  # codes; it acts for them and what stands below
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A system that has proved itself. `skew_ms`: its stamp minus our clock; None where it is malformed."""

    system: System
    hash_header: str
    skew_ms: int | None


def authenticate(
    parameters: Parameters, find: Callable[[str], System | None], now: int, max_skew_ms: int = 0
) -> Caller:
    """The caller. `max_skew_ms` 0: any stamp is taken.

    Refusal `system_unknown` (1, 2), `signed_header_differs` (3), `timestamp_skewed` (4).
    """
    system_id = parameters.text("systemid")
    signed = parameters.header(f"{PREFIX}sign-header") or ""
    given = (parameters.header(f"{PREFIX}hash-header") or "").strip().lower()
    system = find(system_id) if system_id else None
    if not _matches(signed, given, system.secrets if system is not None else (_NOBODY,)) or system is None:
        raise Refusal("system_unknown", "no such system here, or the HMAC was made with another secret")
    for name, value in _signed(signed).items():
        _check(parameters, name, value)
    skew = _skew(parameters.text("timestamp"), now)
    if max_skew_ms and (skew is None or abs(skew) > max_skew_ms):
        raise Refusal("timestamp_skewed", "XroadVnpt-timestamp")
    return Caller(system, given, skew)


def _matches(signed: str, given: str, secrets: tuple[str, ...]) -> bool:
    """(1) Every secret is tried, so that time does not tell which one was right."""
    raw = signed.encode("utf-8", "surrogateescape")
    found = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        found |= hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))
    return found


def _signed(text: str) -> Mapping[str, str]:
    """(2) The signed headers. A name that stands twice could be read in two ways."""
    try:
        pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise Refusal("signed_header_differs", "XroadVnpt-sign-header is no JSON") from error
    found: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        name, value = pair if isinstance(pair, tuple) else ("", None)
        if name.casefold() in found or isinstance(value, bool) or not isinstance(value, str | int):
            raise Refusal("signed_header_differs", "XroadVnpt-sign-header is no JSON object of texts")
        found[name.casefold()] = str(value)
    if _SYSTEM_ID not in found:
        raise Refusal("signed_header_differs", "XroadVnpt-sign-header does not name the system's id")
    return found


def _check(parameters: Parameters, name: str, signed: str) -> None:
    """(3) Content-Type may be signed under the prefix and sent without it, with a charset behind it."""
    actual: list[Any] = [parameters.header(name)]
    if name.removeprefix(PREFIX.casefold()) == _CONTENT_TYPE:
        actual.append(parameters.header(_CONTENT_TYPE))
        actual += [value.partition(";")[0].rstrip() for value in actual if value is not None]
    if signed not in actual:
        raise Refusal("signed_header_differs", f"{name}: the signed value is not the one on the request")


def _skew(stamp: str, now: int) -> int | None:
    """(4) `ddMMyyyy'T'HHmmss+SSSS` in the client's zone, UTC or Vietnam's: the smaller difference counts."""
    match = _STAMP.fullmatch(stamp)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%d%m%YT%H%M%S")
    except ValueError:
        return None
    moments = (moment.replace(tzinfo=zone) + timedelta(milliseconds=int(match[2])) for zone in (UTC, VIETNAM))
    return min(((each - _EPOCH) // timedelta(milliseconds=1) - now for each in moments), key=abs)
