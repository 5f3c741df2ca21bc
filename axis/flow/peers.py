"""Who calls: from a TLS certificate to an organisation that may act now.

The handshake has proved possession of the key and a path to the axis's anchor. Here is checked what only
the journal knows: that the certificate was issued by this axis, is not revoked, is for TLS, and that its
organisation is active. Both are checked again while a long poll waits, so that suspension and revocation
take effect at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from axis.core import state
from axis.core.errors import Refusal
from axis.core.facts import Changes
from axis.core.frame import Frame
from axis.core.trust import Anchors
from axis.flow.judged import judged
from axis.ports import Clock, Journal

__all__ = ["Peer", "Peers"]


@dataclass(frozen=True, slots=True)
class Peer:
    """An authenticated caller."""

    organisation: str  # primary code
    certificate_sha256: bytes


class Peers:
    """Authenticates callers against the state at the head."""

    def __init__(self, anchors: Anchors, journal: Journal, clock: Clock) -> None:
        self._anchors = anchors
        self._journal = journal
        self._clock = clock
        #: Peers found in order, until the register or a certificate changes.
        self._certified: set[Peer] = set()
        self._active: set[str] = set()
        #: When each organisation's node last called with a good certificate. Of this node, since its start.
        self._contacts: dict[str, int] = {}

    def contacts(self) -> Mapping[str, int]:
        """When each organisation's node was last heard of here, in milliseconds: those since the start."""
        return MappingProxyType(self._contacts)

    def landed(self, _: Frame, changes: Changes) -> None:
        """The journal has another frame; to be told of every one."""
        if any(key.startswith(("unit/", "certificate/")) for key in changes.facts):
            self._certified.clear()
            self._active.clear()

    async def authenticate(self, certificate: bytes | None) -> Peer:
        """The organisation that a peer certificate (DER) belongs to.

        Raises Refusal `certificate_unknown` (none, or none of ours), `certificate_expired`,
        `certificate_not_yet_valid`, `certificate_wrong_usage`, of the certificate alone; and at a confirmed
        head, since another node may have just journalled its issuance, `certificate_unknown` and
        `certificate_revoked`.
        """
        peer = self._named_by(certificate)
        await judged(self._journal, lambda: self._certified_now(peer))
        self._contacts[peer.organisation] = self._clock.now()
        return peer

    async def admit(self, peer: Peer) -> None:
        """Raise Refusal `sender_not_registered` or `sender_suspended`, at a confirmed head."""
        await judged(self._journal, lambda: self._active_now(peer))

    async def _certified_now(self, peer: Peer) -> None:
        self.check_certificate(peer)

    async def _active_now(self, peer: Peer) -> None:
        self.check_active(peer)

    def _named_by(self, certificate: bytes | None) -> Peer:
        if certificate is None:
            raise Refusal("certificate_unknown", "this needs a client certificate")
        info = self._anchors.path(certificate, self._clock.now())
        peer = Peer(info.organisation, info.sha256)
        if info.usage != "tls":
            raise Refusal("certificate_wrong_usage", f"a certificate for {info.usage} was used for TLS")
        return peer

    def check_certificate(self, peer: Peer) -> None:
        """Raise Refusal unless the peer's certificate is journalled and not revoked."""
        if peer in self._certified:
            return
        fact = state.certificate(self._journal, peer.certificate_sha256)
        if fact is None:
            raise Refusal("certificate_unknown", "the TLS certificate's issuance is not in the journal")
        if fact.revoked_sequence:
            raise Refusal("certificate_revoked", f"TLS certificate {fact.serial} is revoked")
        self._certified.add(peer)

    def check_active(self, peer: Peer) -> None:
        """Raise Refusal unless the peer's organisation is registered and not suspended."""
        if peer.organisation in self._active:
            return
        unit = state.unit(self._journal, peer.organisation)
        if unit is None:
            raise Refusal("sender_not_registered", f"{peer.organisation} is not registered")
        if unit.suspended:
            raise Refusal("sender_suspended", f"{peer.organisation} is suspended")
        self._active.add(peer.organisation)

    def check(self, peer: Peer) -> None:
        """Both checks, for a caller who has been waiting."""
        self.check_certificate(peer)
        self.check_active(peer)
