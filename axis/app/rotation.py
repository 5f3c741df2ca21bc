"""New keys for the axis itself, beside a running node or a stopped one.

What survives a crash: the next set's keys are durable before the issuer is asked, its certificates are on
the issuer's list and then in the journal before the set is completed, and the set is complete before it is
named as the one in use (`axis.app.own_keys`). Repeated after a crash, the rotation goes on with the same
keys and gets the same certificates.

A signature counts only behind its certificate's issuance in the journal, so nothing is signed with a new
key before that is durable. What was signed before stays valid: its certificate stays in the directory.

The nodes of a cluster share one set. The node that has the issuer rotates; the others `take` its set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from axis import config
from axis.app.home import Home
from axis.app.own_keys import KeySet
from axis.core import state
from axis.core.errors import Refusal
from axis.core.trust import CertificateInfo
from axis.core.volumes import VIETNAM
from axis.flow.enrolment import Enrolment
from axis.logs import get_logger
from axis.ports import Clock, Journal

__all__ = ["Rotation"]

_DAY_MS: Final = 86_400_000


class _OfNoUse(Exception):
    """The certificates that a prepared set got are revoked or expired."""


class Rotation:
    """Changes the axis's own keys, one change at a time."""

    def __init__(self, home: Home, journal: Journal, enrolment: Enrolment, clock: Clock) -> None:
        self._home = home
        self._journal = journal
        self._enrolment = enrolment
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def rotate(self, within_days: int | None = None) -> dict[str, Any]:
        """Make a new set and use it; with `within_days` only if a certificate ends so soon.

        The TLS certificate is good for the names of the one before and those in the settings now.
        {"changed", "tls": {"serial", "not_after"}, "sign": {…}}. Raises Refusal `unavailable` where there is
        no issuer, or it or the journal does not answer now; OSError. Either way it can be repeated.
        """
        own = self._home.own
        async with self._one_at_a_time:
            soon = self._clock.now() + (within_days or 0) * _DAY_MS
            if within_days is not None and own.current.ends > soon and not own.interrupted:
                return _shown(own.current, changed=False)
            if not self._enrolment.can_issue:
                raise Refusal("unavailable", "no issuer here: rotate where it is, and take the keys here")
            names = sorted({*own.current.names, *config.load(self._home.path).names})
            try:
                found = await self._made(names)
            except _OfNoUse as error:
                # Left by a rotation that was broken off long ago, and revoked or expired meanwhile.
                get_logger().warning("own_keys_discarded", detail=str(error))
                await asyncio.to_thread(own.discard)
                found = await self._made(names)
            return self._use(found)

    async def _made(self, names: list[str]) -> KeySet:
        """The next set, complete and journalled. Raises _OfNoUse."""
        own = self._home.own
        requests = await asyncio.to_thread(own.prepare)
        tls, sign = await self._enrolment.renew_axis(*requests, names)
        try:
            self._check(tls, "tls")
            self._check(sign, "sign")
        except Refusal as refusal:
            raise _OfNoUse(str(refusal)) from refusal
        return await asyncio.to_thread(own.complete, tls.der, sign.der)

    async def take(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Use another node's set (its files by name, PEM). The same as in use: nothing changes.

        Raises Refusal `field_invalid` (no set), `certificate_revoked`, `certificate_expired` and the like;
        `unavailable` while this node's journal does not have its certificates yet.
        """
        own = self._home.own
        async with self._one_at_a_time:
            try:
                given = KeySet.parse(0, self._home.keys_path, files)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise Refusal("field_invalid", f"keys: {error}") from error
            if (given.tls, given.sign) == (own.current.tls, own.current.sign):
                return _shown(own.current, changed=False)
            self._check(given.tls, "tls")
            self._check(given.sign, "sign")
            return self._use(await asyncio.to_thread(own.store, given.files))

    def _check(self, info: CertificateInfo, usage: str) -> None:
        self._home.anchors.path(info.der, self._clock.now())
        if (info.organisation, info.usage) != ("axis", usage):
            raise Refusal("certificate_wrong_usage", f"{info.serial} is not the axis's for {usage}")
        fact = state.certificate(self._journal, info.sha256)
        if fact is None:
            raise Refusal(
                "unavailable", f"certificate {info.serial} is not in this node's journal yet", retry_after=5
            )
        if fact.revoked_sequence:
            raise Refusal("certificate_revoked", f"certificate {info.serial} is revoked")

    def _use(self, found: KeySet) -> dict[str, Any]:
        self._home.own.use(found)
        get_logger().warning("own_keys_replaced", serials=[found.tls.serial, found.sign.serial])
        return _shown(found, changed=True)


def _shown(found: KeySet, *, changed: bool) -> dict[str, Any]:
    return {"changed": changed, "tls": _certificate(found.tls), "sign": _certificate(found.sign)}


def _certificate(info: CertificateInfo) -> dict[str, str]:
    ends = datetime.fromtimestamp(info.not_after / 1000, VIETNAM)
    return {"serial": info.serial, "not_after": ends.isoformat(timespec="seconds")}
