"""TLS 1.3 towards agencies: the certificate is optional in the handshake and required by the routes.

A client without a certificate can enrol, and gets a coded answer everywhere else. One with a certificate
that leads to no anchor of this axis, has expired, or is not for TLS clients gets a TLS alert; what the
journal knows (issued, revoked, suspended) is checked on every request, never here.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from axis.logs import get_logger

__all__ = ["server_context"]


class _LoggedHandshake(ssl.SSLObject):
    """Logs one event for each handshake that TLS itself refuses; asyncio drops them silently."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            get_logger().warning(
                "tls_refused", reason=error.reason, detail=getattr(error, "verify_message", None)
            )
            raise


def server_context(
    *, certificate: Path, key: Path, anchors: Sequence[bytes], intermediates: Sequence[bytes]
) -> ssl.SSLContext:
    """The context to listen with. `certificate` is a PEM file: the axis's own, then its issuers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    # Intermediates help to build chains of clients that send their own certificate only; without the
    # partial-chain flag they are not trusted by themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    for der in (*anchors, *intermediates):
        context.load_verify_locations(cadata=der)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.sslobject_class = _LoggedHandshake
    return context
