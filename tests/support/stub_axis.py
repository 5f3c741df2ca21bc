"""An axis in memory that speaks the agency API's protobuf over plain HTTP, and misbehaves on request.

It signs as a real axis does and keeps one journal of feed items; nothing of the axis node's code is in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from axispb.v1 import api_pb2, document_pb2, evidence_pb2, facts_pb2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agencies import config, keys
from axis.control import problem
from axis.core import cms
from axis.core.document import is_urgent, new_document_id
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.core.receipt import Binding, build_receipt
from axis.core.trust import read_certificate
from certs.authority import Authority

__all__ = ["StubAxis"]

NOW = 1_795_000_000_000


def _request(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class StubAxis:
    """The axis. `refuse` and `lose` take the path's last part: submissions, receipts, feed …"""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self.now = now
        self.authority = Authority.create(folder / "pki", now())
        self.axis_id = hashlib.sha256(self.authority.anchors[0]).hexdigest()
        self.journal_id = "5f0c3b9e-0000-4000-8000-00000000000a"
        self.sequence = 0
        self._branches: list[int] = []
        self.items: dict[str, list[api_pb2.FeedItem]] = {}
        self.entries: dict[str, api_pb2.DirectoryEntry] = {}
        self.accepted: dict[str, tuple[Envelope, Envelope, int]] = {}
        self.contents: dict[bytes, bytes] = {}
        self.receipts: list[Envelope] = []
        self.submitted: list[Envelope] = []
        self.uploads: list[bytes] = []
        self.batches: list[Sequence[api_pb2.Submission]] = []
        #: What single documents of a batch are refused with, by id.
        self.answers: dict[str, Refusal] = {}
        #: What the next documents are refused with, whichever they are.
        self.refuse_next: list[Refusal] = []
        self.calls: list[str] = []
        self.refuse: dict[str, list[Refusal]] = {}
        self.lose: dict[str, int] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.tamper: Callable[[api_pb2.FeedItem], None] = lambda item: None
        self.receipt_code = ""
        #: What stands in the place of a receipt that is answered with `receipt_code`.
        self.standing: Callable[[Envelope], api_pb2.Standing | None] = lambda receipt: None
        self.serve_content: Callable[[bytes], bytes] = lambda content: content
        #: What a stranger's header says of a content's size.
        self.size_of: Callable[[bytes], int] = len
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._certificates: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self.url = ""
        tls, sign = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        pair = self.authority.issue_axis(_request(tls), _request(sign), ["localhost"], now())
        self._keys["axis"], self._certificates["axis"] = sign, pair[1]
        self.certify("axis", pair[0], "tls")
        self.certify("axis", pair[1], "sign")

    async def start(self) -> web.AppRunner:
        """Serve on a free port of this machine."""
        app = web.Application(middlewares=[self._outside], client_max_size=1 << 26)
        app.add_routes(
            [
                web.post("/v1/submissions", self._submissions),
                web.post("/v1/receipts", self._receipts),
                web.post("/v1/blobs/have", self._have),
                web.put("/v1/blobs/{sha256}", self._upload),
                web.get("/v1/feed", self._feed),
                web.get("/v1/directory", self._directory),
                web.post("/v1/contents", self._contents),
                web.get("/v1/documents/{id}/attachments/{n}", self._attachment),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    # --- the register

    def agency(self, code: str, home: Path, **settings: Any) -> None:
        """Register and enrol a unit, and make its home."""
        self.unit(code)
        home.mkdir(exist_ok=True)
        key_set = keys.prepare(home, hashlib.sha256(f"{code} {self.sequence}".encode()).digest(), code)
        tls, sign = self.authority.issue_organisation(
            code, key_set.request("tls"), key_set.request("sign"), self.now()
        )
        anchors, intermediates = self.authority.anchors, self.authority.intermediates
        keys.use(
            key_set, tls_certificate=tls, sign_certificate=sign, intermediates=intermediates, anchors=anchors
        )
        self.certify(code, tls, "tls")
        self.certify(code, sign, "sign")
        if not (home / config.SETTINGS_FILE).exists():
            made = config.Settings(code=code, axis=(self.url,), api="127.0.0.1:0", **settings)
            config.save(home, made)

    def stranger(self, code: str) -> None:
        """Another organisation, whose keys the test has."""
        self.unit(code)
        tls, sign = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        pair = self.authority.issue_organisation(code, _request(tls), _request(sign), self.now())
        self._keys[code], self._certificates[code] = sign, pair[1]
        self.certify(code, pair[1], "sign")

    def unit(self, code: str, enrolled: bool = True, parent: str = "") -> None:
        self.sequence += 1
        fact = facts_pb2.UnitFact(code=code, name=f"Unit {code}", enrolled=enrolled, parent=parent)
        self.entries[f"unit/{code}"] = api_pb2.DirectoryEntry(sequence=self.sequence, unit=fact)
        self._news.set()

    def rename(self, code: str, old: str) -> None:
        """The unit had another code once."""
        self.sequence += 1
        entry = self.entries[f"unit/{code}"]
        entry.unit.old_codes.append(old)
        entry.sequence = self.sequence
        self._news.set()

    def primary(self, code: str) -> str:
        units = (entry.unit for entry in self.entries.values() if entry.HasField("unit"))
        return next((unit.code for unit in units if code in unit.old_codes), code)

    def certify(self, code: str, certificate: bytes, usage: str) -> None:
        self.sequence += 1
        info = read_certificate(certificate)
        fact = facts_pb2.CertificateFact(
            organisation=code,
            usage=usage,
            serial=info.serial,
            certificate=certificate,
            issued_sequence=self.sequence,
        )
        entry = api_pb2.DirectoryEntry(sequence=self.sequence, certificate=fact)
        self.entries[info.serial] = entry
        if code != "axis":
            item = api_pb2.FeedItem(sequence=self.sequence, at=self.now(), event="issued", certificate=fact)
            self.items.setdefault(code, []).append(item)
        self._news.set()

    def revoke(self, code: str) -> None:
        """From here on the organisation's signing certificate is revoked."""
        self.sequence += 1
        serial = read_certificate(self._certificates[code]).serial
        entry = self.entries[serial]
        entry.certificate.revoked_sequence = self.sequence
        entry.sequence = self.sequence

    # --- documents

    def sign(self, signed: bytes, who: str = "axis") -> Envelope:
        key, certificate = self._keys[who], self._certificates[who]
        return Envelope(signed, cms.sign(signed, key, certificate, (), self.now()))

    def document(self, sender: str, *to: str, files: tuple[bytes, ...] = (), **fields: Any) -> Envelope:
        """A stranger's document, its contents known to the axis."""
        for content in files:
            self.contents[hashlib.sha256(content).digest()] = content
        self.sequence += 1
        message = document_pb2.Document(
            axis_id=self.axis_id,
            document_id=new_document_id(self.now(), self.sequence.to_bytes(10, "big")),
            sender_unit=sender,
            acting_organisation=sender,
            recipients=to,
            created_at=self.now(),
            fields=document_pb2.Fields(subject="Decision", **fields),
            attachments=[
                document_pb2.Attachment(
                    name=f"{number}.pdf", size=self.size_of(content), sha256=hashlib.sha256(content).digest()
                )
                for number, content in enumerate(files)
            ],
        )
        return self.sign(signed_bytes(Kind.DOCUMENT, message), sender)

    def accept(self, envelope: Envelope) -> api_pb2.FeedItem:
        """Journal a document: its acceptance, its feed items."""
        document = document_pb2.Document.FromString(envelope.signed[len(Kind.DOCUMENT.line) :])
        self.sequence += 1
        now = self.now()
        message = evidence_pb2.Acceptance(
            axis_id=self.axis_id,
            document_id=document.document_id,
            kind="document",
            signed_sha256=envelope.signed_sha256,
            signature_sha256=envelope.signature_sha256,
            deliveries=[
                evidence_pb2.Destination(unit=code, host=self._host(code))
                for code in map(self.primary, document.recipients)
            ],
            accepted_at=now,
        )
        acceptance = self.sign(signed_bytes(Kind.ACCEPTANCE, message))
        self.accepted[document.document_id] = (envelope, acceptance, self.sequence)
        item = api_pb2.FeedItem(
            sequence=self.sequence,
            at=now,
            urgent=is_urgent(document.fields),
            trace_id="4b" * 16,
            event="accepted",
            kind="document",
            envelope=envelope.to_message(),
            acceptance=acceptance.to_message(),
            accepted_sequence=self.sequence,
            accepted_at=now,
        )
        readers = {d.host for d in message.deliveries} | {document.acting_organisation}
        self.publish(item, *readers)
        return item

    def _host(self, code: str) -> str:
        fact = self.entries[f"unit/{code}"].unit
        return code if fact.enrolled or not fact.parent else self._host(fact.parent)

    def publish(self, item: api_pb2.FeedItem, *readers: str) -> None:
        for reader in sorted(readers):
            mine = api_pb2.FeedItem()
            mine.CopyFrom(item)
            self.tamper(mine)
            self.items.setdefault(reader, []).append(mine)
        self._news.set()

    def receipt(self, document_id: str, unit: str, received: bool = True, **changes: Any) -> None:
        """A stranger's receipt for an accepted document, into the sender's feed."""
        envelope, acceptance, sequence = self.accepted[document_id]
        document = document_pb2.Document.FromString(envelope.signed[len(Kind.DOCUMENT.line) :])
        message = build_receipt(
            axis_id=self.axis_id,
            document_id=document_id,
            bound=changes.pop("bound", Binding.of(envelope, acceptance)),
            recipient_unit=unit,
            acting_organisation=changes.pop("acting", unit),
            attempt=changes.pop("attempt", 1),
            received=received,
            stored_at=self.now(),
            reason="" if received else "no",
        )
        signed = self.sign(signed_bytes(Kind.RECEIPT, message), changes.pop("signer", unit))
        self.sequence += 1
        item = self._about("receipted", sequence)
        item.receipt.CopyFrom(signed.to_message())
        self.publish(item, document.acting_organisation)

    def notice(self, document_id: str, unit: str, kind: int, attempt: int, host: str, *readers: str) -> None:
        """The axis closes an attempt or opens the next."""
        envelope, acceptance, sequence = self.accepted[document_id]
        message = evidence_pb2.Notice(
            axis_id=self.axis_id,
            document_id=document_id,
            acceptance_sha256=acceptance.signed_sha256,
            recipient_unit=unit,
            attempt=attempt,
            kind=kind,  # type: ignore[arg-type]
            host=host if kind == evidence_pb2.NOTICE_KIND_REQUEUED else "",
            reason="operator",
            issued_at=self.now(),
        )
        self.sequence += 1
        item = self._about("noticed", sequence)
        item.notice.CopyFrom(self.sign(signed_bytes(Kind.NOTICE, message)).to_message())
        if kind == evidence_pb2.NOTICE_KIND_REQUEUED:
            item.envelope.CopyFrom(envelope.to_message())
            item.acceptance.CopyFrom(acceptance.to_message())
            accepted = evidence_pb2.Acceptance.FromString(
                acceptance.signed.removeprefix(Kind.ACCEPTANCE.line)
            )
            item.accepted_at = accepted.accepted_at
        self.publish(item, *readers)

    def _about(self, event: str, accepted_sequence: int) -> api_pb2.FeedItem:
        return api_pb2.FeedItem(
            sequence=self.sequence,
            at=self.now(),
            event=event,
            kind="document",
            accepted_sequence=accepted_sequence,
            accepted_at=self.now(),
        )

    def restore(self, journal_id: str) -> None:
        """An older copy took this journal's place; open polls end with the process that held them."""
        self.journal_id = journal_id
        self.items = {code: [] for code in self.items}
        self._news.set()

    def rewind(self, sequence: int) -> None:
        """A copy that ends at `sequence` took this journal's place; other records follow."""
        self.sequence = sequence
        self._branches.append(sequence)
        self.items = {
            code: [item for item in items if item.sequence <= sequence] for code, items in self.items.items()
        }
        self.entries = {key: entry for key, entry in self.entries.items() if entry.sequence <= sequence}
        self.accepted = {key: one for key, one in self.accepted.items() if one[2] <= sequence}
        self._news.set()

    # --- the wire

    @property
    def head(self) -> str:
        return f"{self.journal_id}:{self.sequence}:{self._frame_hash(self.sequence)}"

    def _frame_hash(self, sequence: int) -> str:
        branch = sum(sequence > end for end in self._branches)
        return hashlib.sha256(f"{branch} {sequence}".encode()).hexdigest()

    def _knows(self, echoed: str) -> bool:
        journal_id, _, rest = echoed.partition(":")
        sequence, _, frame = rest.partition(":")
        if journal_id != self.journal_id or int(sequence) > self.sequence:
            return False
        return self._frame_hash(int(sequence)) == frame

    @web.middleware
    async def _outside(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        name = request.path.split("/")[2]
        self.calls.append(name)
        echoed = request.headers.get("Axis-Head", "")
        refusal = None
        earlier = request.headers.get("Axis-Earlier-Heads", "")
        seen = [echoed, *(f"{self.journal_id}:{each}" for each in earlier.split(",") if each)]
        places = [int(each.split(":")[1]) for each in seen if each]
        if any(place > places[0] for place in places):
            refusal = Refusal("field_invalid", "an earlier head above the highest")
        elif echoed and not all(map(self._knows, seen)):
            refusal = Refusal("head_unknown")
        elif self.refuse.get(name):
            refusal = self.refuse[name].pop(0)
        if refusal is not None:
            return web.Response(
                text=json.dumps(problem(refusal)),
                status=refusal.code.http_status,
                content_type="application/problem+json",
                headers={"Axis-Head": self.head},
            )
        response = await handler(request)
        if not response.prepared:
            response.headers["Axis-Head"] = self.head
            response.headers["Axis-Time"] = str(self.now())
        if name in self.gates:
            await self.gates[name].wait()  # the answer comes late
        if self.lose.get(name):
            self.lose[name] -= 1
            assert request.transport is not None
            request.transport.abort()  # done, but nobody hears of it
        return response

    async def _submissions(self, request: web.Request) -> web.Response:
        batch = api_pb2.SubmissionBatch.FromString(await request.read())
        self.batches.append(batch.submissions)
        return _answer(api_pb2.SubmissionResults(results=map(self._submitted, batch.submissions)))

    def _submitted(self, submission: api_pb2.Submission) -> api_pb2.SubmissionResult:
        for content in submission.contents:
            sha256 = hashlib.sha256(content).digest()
            self.contents[sha256] = content
            self.uploads.append(sha256)
        envelope = Envelope.from_message(submission.envelope)
        self.submitted.append(envelope)
        document = document_pb2.Document.FromString(envelope.signed[len(Kind.DOCUMENT.line) :])
        refusal = self.answers.get(document.document_id)
        if refusal is None and self.refuse_next:
            refusal = self.refuse_next.pop(0)
        if refusal is not None:
            return api_pb2.SubmissionResult(
                code=refusal.name, detail=refusal.detail, retry_after=refusal.retry_after or 0
            )
        known = self.accepted.get(document.document_id)
        if known is None:
            self.accept(envelope)
        _, acceptance, sequence = self.accepted[document.document_id]
        answer = api_pb2.SubmitResponse(
            acceptance=acceptance.to_message(), sequence=sequence, repeated_submission=known is not None
        )
        return api_pb2.SubmissionResult(accepted=answer)

    async def _receipts(self, request: web.Request) -> web.Response:
        batch = api_pb2.ReceiptBatch.FromString(await request.read())
        results = []
        for message in batch.receipts:
            self.receipts.append(Envelope.from_message(message))
            self.sequence += 1
            stands = self.standing(Envelope.from_message(message))
            results.append(
                api_pb2.ReceiptResult(sequence=self.sequence, code=self.receipt_code, standing=stands)
            )
        return _answer(api_pb2.ReceiptResults(results=results))

    async def _have(self, request: web.Request) -> web.Response:
        asked = api_pb2.BlobList.FromString(await request.read())
        return _answer(api_pb2.BlobList(sha256=[one for one in asked.sha256 if one in self.contents]))

    async def _upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        sha256 = bytes.fromhex(request.match_info["sha256"])
        assert hashlib.sha256(content).digest() == sha256
        self.contents[sha256] = content
        self.uploads.append(sha256)
        return web.Response(status=201)

    async def _feed(self, request: web.Request) -> web.Response:
        code = request.query.get("code", "G22")
        after = {True: int(request.query["urgent_after"]), False: int(request.query["normal_after"])}
        limit, wait = int(request.query["limit"]), int(request.query["wait"])
        deadline = asyncio.get_running_loop().time() + wait
        process = self.journal_id, len(self._branches)
        while True:
            self._news.clear()
            if (self.journal_id, len(self._branches)) != process:
                return web.Response(status=503)
            newest = max(entry.sequence for entry in self.entries.values())
            page = api_pb2.FeedPage(
                urgent_next=after[True], normal_next=after[False], directory_sequence=newest
            )
            for urgent in (True, False):
                for item in self.items.get(code, []):
                    if item.urgent == urgent and item.sequence > after[urgent] and len(page.items) < limit:
                        page.items.append(item)
                        if urgent:
                            page.urgent_next = item.sequence
                        else:
                            page.normal_next = item.sequence
            left = deadline - asyncio.get_running_loop().time()
            if page.items or newest > int(request.query["directory"]) or left <= 0:
                return _answer(page)
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue

    async def _directory(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        entries = [entry for entry in self.entries.values() if entry.sequence > after]
        entries.sort(key=lambda entry: entry.sequence)
        return _answer(api_pb2.DirectoryPage(entries=entries, as_of=self.sequence))

    async def _contents(self, request: web.Request) -> web.Response:
        asked = api_pb2.ContentRequest.FromString(await request.read())
        batch = api_pb2.ContentBatch()
        for key in asked.keys:
            batch.contents.add(key=key, data=self._content(key.document_id, key.number))
        return _answer(batch)

    def _content(self, document_id: str, number: int) -> bytes:
        envelope, _, _ = self.accepted[document_id]
        document = document_pb2.Document.FromString(envelope.signed[len(Kind.DOCUMENT.line) :])
        return self.serve_content(self.contents[document.attachments[number].sha256])

    async def _attachment(self, request: web.Request) -> web.Response:
        content = self._content(request.match_info["id"], int(request.match_info["n"]))
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        return web.Response(body=content[start:], status=206 if start else 200)


def _answer(message: Any) -> web.Response:
    return web.Response(body=message.SerializeToString(), content_type="application/x-protobuf")
