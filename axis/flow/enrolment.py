"""How an organisation's node joins: a one-time token, two requests, two journalled certificates.

What survives a crash at each step: the issuer's list has a certificate before anyone gets it, the journal
has its issuance before the node gets it, and a repeat of the same requests gets the same certificates. Only
the journal makes a certificate count (design decision 12).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from axispb.v1 import api_pb2, facts_pb2
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from axis.core import state
from axis.core.decide import Enrol, IssueToken, RecordCertificate, Revoke, check_token
from axis.core.errors import Refusal
from axis.core.trust import Anchors, CertificateInfo, read_certificate
from axis.flow.judged import judged
from axis.flow.sequencer import Sequencer
from axis.flow.tokens import SECRET_BYTES, Token
from axis.logs import get_logger
from axis.ports import Clock, Issuer, Journal

__all__ = ["Enrolment"]

_DAY_MS = 24 * 60 * 60 * 1000


class Enrolment:
    """Issues tokens and redeems them. Without an issuer everything but tokens is `unavailable`."""

    def __init__(
        self,
        *,
        journal: Journal,
        sequencer: Sequencer,
        clock: Clock,
        anchors: Anchors,
        issuer: Issuer | None,
        random: Callable[[int], bytes],
        url: Callable[[], str],
        token_days: int = 7,
    ) -> None:
        self._journal = journal
        self._sequencer = sequencer
        self._clock = clock
        self._anchors = anchors
        self._issuer = issuer
        self._random = random
        self._url = url
        self._token_days = token_days
        # One at a time: two nodes that race with one token must not both get certificates made.
        self._one_at_a_time = asyncio.Lock()

    @property
    def can_issue(self) -> bool:
        """Whether this node has an issuer, which may still be out of reach."""
        return self._issuer is not None

    async def token(self, code: str, *, operator: str = "", remark: str = "") -> Token:
        """A new token for a registered unit. Earlier ones stay good until they are used or expire."""
        primary = state.resolve(self._journal, code) or code
        secret = self._random(SECRET_BYTES)
        expires_at = self._clock.now() + self._token_days * _DAY_MS
        digest = hashlib.sha256(secret).digest()
        await self._sequencer.submit(
            IssueToken(primary, digest, expires_at, operator=operator, remark=remark)
        )
        get_logger().info("token_issued", organisation=primary, expires_at=expires_at, operator=operator)
        return Token(self._url(), self._anchors.axis_id, primary, expires_at, secret)

    def trust(self) -> api_pb2.Trust:
        """What a node compares with its token before it sends the secret."""
        return api_pb2.Trust(
            axis_id=self._anchors.axis_id,
            anchors=self._anchors.anchors,
            intermediates=self._anchors.intermediates,
        )

    async def enrol(self, request: api_pb2.EnrolRequest) -> api_pb2.EnrolResponse:
        """Both certificates for a token's secret and two requests; durable when it returns.

        Raises Refusal `token_invalid`, `token_used`, `sender_suspended`, `field_invalid`, `unavailable`.
        """
        secret_sha256 = hashlib.sha256(request.secret).digest()
        keys = (_key(request.tls_request, "tls_request"), _key(request.sign_request, "sign_request"))
        async with self._one_at_a_time:
            code, used = await judged(self._journal, lambda: self._check(secret_sha256, *keys))
            if used is not None:
                return self._response(code, used.tls_serial, used.sign_serial)
            if self._issuer is None:
                raise Refusal("unavailable", "this node has no issuer")
            self._sequencer.check_clock()
            tls, sign = await self._issuer.issue(
                organisation=code, tls_request=request.tls_request, sign_request=request.sign_request
            )
            infos = (read_certificate(tls), read_certificate(sign))
            answer = await self._sequencer.submit(Enrol(code, secret_sha256, *infos))
        get_logger().info("organisation_enrolled", organisation=code, serials=[info.serial for info in infos])
        return self._response(code, answer.tls_serial, answer.sign_serial)

    async def renew_axis(
        self, tls_request: bytes, sign_request: bytes, names: Sequence[str]
    ) -> tuple[CertificateInfo, CertificateInfo]:
        """The axis's own certificates for two requests; journalled, so everybody knows them from here on.

        The same requests and names get the same ones. Raises Refusal `unavailable`, `certificate_revoked`.
        """
        if self._issuer is None:
            raise Refusal("unavailable", "this node has no issuer")
        self._sequencer.check_clock()
        pair = await self._issuer.issue_axis(tls_request=tls_request, sign_request=sign_request, names=names)
        tls, sign = map(read_certificate, pair)
        await asyncio.gather(*(self._sequencer.submit(RecordCertificate(info)) for info in (tls, sign)))
        return tls, sign

    async def _check(
        self, secret_sha256: bytes, tls_key: bytes, sign_key: bytes
    ) -> tuple[str, facts_pb2.EnrolledFact | None]:
        return check_token(secret_sha256, tls_key, sign_key, self._journal, self._clock.now())

    async def reconcile(self) -> int:
        """Journal what the issuer's list has and the journal lacks; the number of records' worth found.

        Needed after a journal was restored from an older copy, and after a crash between issuance and
        append. Called before the node listens. The other way round, the issuer is told of revocations that
        it missed.
        """
        if self._issuer is None:
            return 0
        found = 0
        for listed in await self._issuer.listed():
            info = self._listed_info(listed.get("certificate"))
            if info is not None:
                revoked_at = listed.get("revoked_at")
                found += await self._reconcile_one(
                    info, revoked_at if isinstance(revoked_at, int) else None, str(listed.get("reason", ""))
                )
        return found

    async def _reconcile_one(self, info: CertificateInfo, revoked_at: int | None, reason: str) -> int:
        fact = state.certificate(self._journal, info.sha256)
        found = 0
        if fact is None:
            get_logger().warning(
                "certificate_restored", organisation=info.organisation, serial=info.serial, usage=info.usage
            )
            await self._sequencer.submit(RecordCertificate(info))
            found += 1
        if revoked_at is not None and (fact is None or not fact.revoked_sequence):
            get_logger().warning("revocation_restored", serial=info.serial)
            await self._sequencer.submit(Revoke(info.serial, reason or "unspecified", revoked_at))
            found += 1
        if revoked_at is None and fact is not None and fact.revoked_sequence:
            await self.tell_issuer(info.serial, fact.revocation_reason, fact.revoked_at)
        return found

    async def tell_issuer(self, serial: str, reason: str, at: int) -> None:
        """Have the issuer's list show a journalled revocation. If not now, then at the next start."""
        if self._issuer is None:
            return
        try:
            await self._issuer.revoke(serial, reason, at)
        except Refusal as refusal:
            get_logger().warning("issuer_not_told", serial=serial, code=refusal.name, detail=refusal.detail)

    def _listed_info(self, certificate: object) -> CertificateInfo | None:
        try:
            if not isinstance(certificate, bytes):
                raise Refusal("certificate_unknown", "the list has no certificate there")
            # Judged by its own begin: an expired one still belongs into the directory.
            return self._anchors.path(certificate, read_certificate(certificate).not_before)
        except Refusal as refusal:
            get_logger().error("issuer_list_odd", code=refusal.name, detail=refusal.detail)
            return None

    def _response(self, code: str, *serials: str) -> api_pb2.EnrolResponse:
        facts = [state.certificate_by_serial(self._journal, serial) for serial in serials]
        tls, sign = (fact.certificate if fact is not None else b"" for fact in facts)
        return api_pb2.EnrolResponse(
            code=code,
            tls_certificate=tls,
            sign_certificate=sign,
            intermediates=self._anchors.intermediates,
            anchors=self._anchors.anchors,
        )


def _key(request: bytes, field: str) -> bytes:
    """SHA-256 of a request's public key. The issuer judges the request; here it is only told apart."""
    try:
        key = x509.load_der_x509_csr(request).public_key()
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refusal("field_invalid", f"{field}: not a PKCS#10 request") from error
    return hashlib.sha256(spki).digest()
