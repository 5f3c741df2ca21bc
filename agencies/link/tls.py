"""TLS 1.3 towards the axis: trust in its anchor only, and in nobody else whom that anchor certified."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from axis.core.organisation import axis_uri

__all__ = ["axis_context", "unverified_context"]


class _AxisOnly(ssl.SSLObject):
    """Ends the handshake unless the peer's certificate names the axis.

    Chain, time, purpose and host name are OpenSSL's business. The name in the URI SAN stops an enrolled
    organisation that answers at the axis's address with a certificate of its own.
    """

    def do_handshake(self) -> None:
        """Finish the handshake, then look at whom it was with, before a byte is sent."""
        super().do_handshake()
        certificate = self.getpeercert() or {}
        if ("URI", axis_uri()) not in certificate.get("subjectAltName", ()):
            raise ssl.SSLCertVerificationError("the server's certificate is not the axis's")


def axis_context(
    anchors: Sequence[bytes],
    intermediates: Sequence[bytes],
    client: tuple[Path, Path] | None = None,
) -> ssl.SSLContext:
    """A client context that trusts chains to these anchors (DER) only.

    `client` is the certificate's and the key's PEM file; none for enrolment.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Intermediates help to build the chain; without this flag they would be trusted by themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    for certificate in (*anchors, *intermediates):
        context.load_verify_locations(cadata=certificate)
    context.sslobject_class = _AxisOnly
    if client is not None:
        context.load_cert_chain(*client)
    return context


def unverified_context() -> ssl.SSLContext:
    """For one question only: which anchor do you claim? The answer is compared with the token's hash."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
