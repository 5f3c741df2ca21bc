"""A small client of the agency API, written from the protocol, and an axis node in this process to talk to.

The node has the production wiring: real TLS, SQLite, files, the issuer as a process of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from axispb.v1 import api_pb2, document_pb2, envelope_pb2, evidence_pb2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message

from axis import config
from axis.app.home import init_home
from axis.app.serve import Running, serving
from axis.core import cms
from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, parse, signed_bytes
from axis.core.receipt import Binding, build_receipt

M = TypeVar("M", bound=Message)

DAY = 24 * 3600 * 1000


class MovedClock:
    """The machine's clock, ahead by what a test says. Sleeping takes real time."""

    def __init__(self) -> None:
        self.ahead = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def message(self, kind: type[M]) -> M:
        assert self.status in (200, 201), self.body
        return kind.FromString(self.body)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.body
        members: dict[str, Any] = json.loads(self.body)
        assert members["status"] == self.status
        return members

    @property
    def code(self) -> str:
        """The stable code of a refusal, "" for an answer that is none."""
        return "" if self.status in (200, 201, 206) else str(self.problem["code"])


@dataclass
class KeyPair:
    key: ec.EllipticCurvePrivateKey
    certificate: bytes = b""

    @classmethod
    def new(cls) -> KeyPair:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def request(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def serial(self) -> str:
        return format(x509.load_der_x509_certificate(self.certificate).serial_number, "x")

    def write(self, path: Path, *others: bytes) -> Path:
        """One PEM file with the key and the certificates."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = [x509.load_der_x509_certificate(der) for der in (self.certificate, *others)]
        path.write_bytes(
            key + b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
        )
        return path


@dataclass
class Organisation:
    """An agency node's keys and its side of the protocol."""

    axis: AxisNode
    code: str
    tls: KeyPair = field(default_factory=KeyPair.new)
    sign: KeyPair = field(default_factory=KeyPair.new)
    session: aiohttp.ClientSession | None = None

    async def enrol(self, token: str) -> Answer:
        secret = read_token(token)["secret"]
        request = api_pb2.EnrolRequest(
            secret=base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)),
            tls_request=self.tls.request(),
            sign_request=self.sign.request(),
        )
        answer = await self.axis.stranger.post("/v1/enrol", request)
        if answer.status == 200:
            given = answer.message(api_pb2.EnrolResponse)
            self.tls.certificate, self.sign.certificate = given.tls_certificate, given.sign_certificate
            await self.connect()
        return answer

    async def connect(self, pair: KeyPair | None = None) -> None:
        """Open connections with a TLS certificate (this organisation's own)."""
        await self.disconnect()
        file = (pair or self.tls).write(self.axis.folder / f"{os.urandom(6).hex()}.pem.tmp")
        self.session = self.axis.session(file)

    async def disconnect(self) -> None:
        if self.session is not None:
            await self.session.close()
            self.session = None

    async def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        assert self.session is not None
        return await call(self.session, method, path, body, headers)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, None, **headers)

    async def post(self, path: str, message: Message, **headers: str) -> Answer:
        return await self.call("POST", path, message.SerializeToString(), **headers)

    async def upload(self, content: bytes) -> Answer:
        return await self.call("PUT", f"/v1/blobs/{hashlib.sha256(content).hexdigest()}", content)

    def document(self, *to: str, files: tuple[bytes, ...] = (), **values: Any) -> document_pb2.Document:
        now = self.axis.now()
        fields = document_pb2.Fields(subject="Về việc thử nghiệm", code_number="274", code_notation="QĐ-TTg")
        named: dict[str, Any] = {
            "axis_id": self.axis.axis_id,
            "document_id": new_document_id(now, os.urandom(10)),
            "sender_unit": self.code,
            "acting_organisation": self.code,
            "recipients": to,
            "created_at": now,
            "fields": fields,
            "attachments": [
                document_pb2.Attachment(
                    name=f"{number}.pdf",
                    media_type="application/pdf",
                    size=len(content),
                    sha256=hashlib.sha256(content).digest(),
                )
                for number, content in enumerate(files)
            ],
        }
        return document_pb2.Document(**(named | values))

    def envelope(self, message: Message, kind: Kind = Kind.DOCUMENT, pair: KeyPair | None = None) -> Envelope:
        signed = signed_bytes(kind, message)
        return Envelope(signed, self.signature(signed, pair))

    def signature(self, signed: bytes, pair: KeyPair | None = None) -> bytes:
        pair = pair or self.sign
        return cms.sign(signed, pair.key, pair.certificate, (), self.axis.now())

    async def submit(self, what: Envelope | document_pb2.Document, **headers: str) -> Answer:
        envelope = what if isinstance(what, Envelope) else self.envelope(what)
        return await self.post("/v1/envelopes", envelope.to_message(), **headers)

    async def hand_in(self, *submissions: api_pb2.Submission) -> list[api_pb2.SubmissionResult]:
        """A batch; the results."""
        batch = api_pb2.SubmissionBatch(submissions=submissions)
        answer = await self.post("/v1/submissions", batch)
        return list(answer.message(api_pb2.SubmissionResults).results)

    def submission(self, *to: str, files: tuple[bytes, ...] = (), **values: Any) -> api_pb2.Submission:
        """A document with its attachments along."""
        envelope = self.envelope(self.document(*to, files=files, **values))
        return api_pb2.Submission(envelope=envelope.to_message(), contents=files)

    async def send(self, *to: str, files: tuple[bytes, ...] = (), **values: Any) -> Sent:
        """Upload and submit; the acceptance."""
        for content in files:
            assert (await self.upload(content)).status == 201
        envelope = self.envelope(self.document(*to, files=files, **values))
        answer = await self.submit(envelope)
        accepted = answer.message(api_pb2.SubmitResponse)
        return Sent(envelope, Envelope.from_message(accepted.acceptance), accepted.sequence)

    async def feed(self, wait: int = 0, **query: int) -> api_pb2.FeedPage:
        named = {"urgent_after": 0, "normal_after": 0, "limit": 100, "wait": wait} | query
        answer = await self.get("/v1/feed?" + "&".join(f"{name}={value}" for name, value in named.items()))
        return answer.message(api_pb2.FeedPage)

    def receipt(self, sent: Sent, received: bool = True, **values: Any) -> evidence_pb2.Receipt:
        receipt = build_receipt(
            axis_id=self.axis.axis_id,
            document_id=sent.document_id,
            bound=Binding.of(sent.envelope, sent.acceptance),
            recipient_unit=self.code,
            acting_organisation=self.code,
            attempt=1,
            received=received,
            stored_at=self.axis.now(),
        )
        for name, value in values.items():
            setattr(receipt, name, value)
        return receipt

    async def give(self, *receipts: evidence_pb2.Receipt | Envelope) -> list[api_pb2.ReceiptResult]:
        envelopes = [r if isinstance(r, Envelope) else self.envelope(r, Kind.RECEIPT) for r in receipts]
        batch = api_pb2.ReceiptBatch(receipts=[envelope.to_message() for envelope in envelopes])
        answer = await self.post("/v1/receipts", batch)
        return list(answer.message(api_pb2.ReceiptResults).results)


@dataclass(frozen=True)
class Sent:
    """A document with its acceptance."""

    envelope: Envelope
    acceptance: Envelope
    sequence: int

    @property
    def document_id(self) -> str:
        message = parse(self.envelope.signed, self.envelope.kind())
        assert isinstance(message, document_pb2.Document | document_pb2.Status)
        return message.document_id


@dataclass
class AxisNode:
    """A node under test, with those who talk to it."""

    running: Running
    folder: Path
    clock: MovedClock
    organisations: list[Organisation] = field(default_factory=list)
    _codes: int = 0

    def __post_init__(self) -> None:
        self.stranger = Organisation(self, "stranger")
        self.stranger.session = self.session()

    @property
    def axis_id(self) -> str:
        return self.running.node.home.anchors.axis_id

    @property
    def registry(self) -> Any:
        return self.running.node.registry

    def now(self) -> int:
        return self.clock.now()

    def context(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anchors = self.running.node.home.anchors
        for der in (*anchors.anchors, *anchors.intermediates):
            context.load_verify_locations(cadata=der)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def session(self, certificate: Path | None = None) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self.running.agency_url,
            # Shorter than the node's: it must not close a connection that is just being used again.
            connector=aiohttp.TCPConnector(
                ssl=self.context(certificate),
                keepalive_timeout=self.running.node.home.settings.limits.idle_seconds / 4,
            ),
            timeout=aiohttp.ClientTimeout(total=45),
        )

    def new_code(self) -> str:
        self._codes += 1
        return f"T{self._codes:02d}"

    async def unit(self, code: str = "", **values: Any) -> str:
        """Register a unit without a node."""
        code = code or self.new_code()
        await self.registry.add(code, f"Đơn vị {code}", **values)
        return code

    async def organisation(self, code: str = "", **values: Any) -> Organisation:
        """Register a unit and enrol its node over the wire."""
        code = code or self.new_code()
        token = (await self.registry.add(code, f"Đơn vị {code}", **values))["token"]
        organisation = Organisation(self, code)
        self.organisations.append(organisation)
        assert (await organisation.enrol(token)).status == 200
        return organisation

    async def close(self) -> None:
        for organisation in (self.stranger, *self.organisations):
            await organisation.disconnect()


@asynccontextmanager
async def axis_node(folder: Path, **limits: float) -> AsyncIterator[AxisNode]:
    """A new axis, served on free ports."""
    home = folder / "axis"
    await asyncio.to_thread(init_home, home, "127.0.0.1:0", "127.0.0.1:0")
    if limits:
        settings = config.load(home)
        changed = settings.limits.model_copy(update=limits)
        config.save(home, settings.model_copy(update={"limits": changed}))
    async with served(home) as node:
        yield node


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[AxisNode]:
    """An axis home, served."""
    clock = MovedClock()
    async with serving(home, clock=clock) as running:
        node = AxisNode(running, home.parent, clock)
        try:
            yield node
        finally:
            await node.close()


async def call(
    session: aiohttp.ClientSession, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("Content-Type", "application/x-protobuf")
    async with session.request(
        method, path, data=None if body is None else io.BytesIO(body), headers=named
    ) as response:
        return Answer(response.status, dict(response.headers), await response.read())


def read_token(token: str) -> dict[str, Any]:
    text = token.removeprefix("axis1.")
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return members


def envelope_message(signed: bytes, signature: bytes) -> envelope_pb2.Envelope:
    return envelope_pb2.Envelope(signed=signed, signature=signature)
