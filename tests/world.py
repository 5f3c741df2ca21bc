"""A small world for tests of the core: a register, a clock, and a journal in dictionaries.

Commands are decided and applied one by one on an overlay, as the sequencer does it; `seal` makes the frame
and checks that reducing it gives the same. Certificates and signatures are stand-ins: whoever tests
decisions takes `Verified` as given.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from axispb.v1 import document_pb2, evidence_pb2, journal_pb2

from axis.core import frame, lookup, state
from axis.core.commands import (
    Accept,
    Command,
    Decision,
    Enrol,
    Found,
    IssueToken,
    Register,
    TakeReceipt,
)
from axis.core.decide import decide
from axis.core.document import new_document_id
from axis.core.envelope import Envelope, Kind, parse, signed_bytes
from axis.core.errors import Refusal
from axis.core.facts import Changes, FeedRow, Overlay
from axis.core.frame import Frame, Head
from axis.core.lifecycle import DeliveryState
from axis.core.receipt import build_receipt
from axis.core.trust import CertificateInfo
from axis.core.verify import Verified
from axis.core.volumes import Counts

AXIS_ID = "a1" * 32
START = 1_790_000_000_000
DAY = 24 * 3600 * 1000


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def certificate(organisation: str, usage: str = "sign", name: str = "") -> CertificateInfo:
    """What a certificate would say; `name` tells several of one organisation apart."""
    der = f"certificate {organisation} {usage} {name}".encode()
    digest = hashlib.sha256(der).digest()
    key = sha256(f"key {organisation} {usage} {name}")
    return CertificateInfo(
        organisation, usage, digest[:8].hex(), digest, START - DAY, START + 1000 * DAY, key, der
    )


class Store:
    """Facts in a dictionary."""

    def __init__(self) -> None:
        self.facts: dict[str, tuple[bytes, int]] = {}

    def get(self, key: str) -> bytes | None:
        found = self.facts.get(key)
        return found[0] if found else None


class World:
    def __init__(self) -> None:
        self.now = START
        self.store = Store()
        self.head = Head.empty("5f0c3b9e-0000-4000-8000-000000000000")
        self.keys: dict[str, int] = {}
        self.feed: list[FeedRow] = []
        self.frames: list[Frame] = []
        self.pending: list[bytes] = []
        self.overlay = Overlay(self.store)
        self.ids = 0
        self.do(Found(AXIS_ID, (b"anchor",), ()))

    # --- the journal

    def decide(self, command: Command) -> Decision:
        """Decide and apply; the records wait for `seal`."""
        decision = decide(command, self.overlay, self.now, sign)
        for record in decision.records:
            sequence = self.head.sequence + len(self.pending) + 1
            self.overlay.apply(state.apply(record, sequence, self.now, self.overlay))
            self.pending.append(record.SerializeToString(deterministic=True))
        return decision

    def do(self, command: Command) -> Any:
        """The answer, in a frame of its own; raises the Refusal."""
        answer = self.decide(command).answer
        self.seal()
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def seal(self) -> Changes:
        """Make a frame of what was decided, and store it."""
        if not self.pending:
            return Changes()
        sealed = frame.encode(self.head, self.now, self.pending)
        changes = state.reduce(sealed, self.store)
        assert changes == self.overlay.changes
        assert not changes.keys.keys() & self.keys.keys()
        self.keys.update(changes.keys)
        self.store.facts.update(changes.facts)
        self.feed.extend(changes.feed)
        self.frames.append(sealed)
        self.head = sealed.head
        self.pending = []
        self.overlay = Overlay(self.store)
        return changes

    def later(self, milliseconds: int) -> None:
        """Let time pass; a frame has one time, so what waits is sealed first."""
        self.seal()
        self.now += milliseconds

    def records(self) -> list[tuple[int, journal_pb2.Record]]:
        """Every sealed record with its sequence."""
        raws = [raw for sealed in self.frames for raw in sealed.records]
        return [(n, journal_pb2.Record.FromString(raw)) for n, raw in enumerate(raws, 1)]

    def record(self, sequence: int) -> journal_pb2.Record:
        return self.records()[sequence - 1][1]

    def feeds(self, sequence: int) -> dict[str, bool]:
        """organisation → urgent, of the feeds that a record stands in."""
        return {row.organisation: row.urgent for row in self.feed if row.sequence == sequence}

    # --- the register

    def unit(self, code: str, *, node: bool = False, parent: str = "", old: Iterable[str] = ()) -> None:
        self.do(Register(code, f"Unit {code}", parent, tuple(old)))
        if node:
            self.enrol(code)

    def enrol(self, code: str, name: str = "") -> Any:
        secret = sha256(f"secret {code} {name}")
        if lookup.token(self.overlay, secret) is None:
            self.do(IssueToken(code, secret, self.now + DAY))
        return self.do(Enrol(code, secret, certificate(code, "tls", name), certificate(code, "sign", name)))

    # --- documents

    def new_id(self) -> str:
        self.ids += 1
        return new_document_id(self.now, self.ids.to_bytes(10, "big"))

    def document(
        self, sender: str, to: Iterable[str], *, acting: str = "", priority: int = 0, **fields: Any
    ) -> Verified[document_pb2.Document]:
        acting = acting or lookup.host_of(self.overlay, sender)
        values = {"document_id": self.new_id(), "created_at": self.now, "axis_id": AXIS_ID} | fields
        message = document_pb2.Document(
            sender_unit=sender, acting_organisation=acting, recipients=to, **values
        )
        message.fields.subject = "Decision"
        message.fields.other.priority = priority
        return verified(Kind.DOCUMENT, message, certificate(acting))

    def status(
        self, sender: str, to: str, about: str, code: str = "03", **fields: Any
    ) -> Verified[document_pb2.Status]:
        acting = lookup.host_of(self.overlay, sender)
        message = document_pb2.Status(
            axis_id=AXIS_ID,
            document_id=self.new_id(),
            sender_unit=sender,
            acting_organisation=acting,
            recipients=[to],
            created_at=self.now,
            about_document_id=about,
            code=code,
            **fields,
        )
        return verified(Kind.STATUS, message, certificate(acting))

    def accept(self, what: Verified[Any], peer: str = "") -> Any:
        return self.do(Accept(what, peer or what.message.acting_organisation, "4b" * 16))

    def send(self, sender: str, to: Iterable[str], **fields: Any) -> str:
        """Send a document; its id."""
        document = self.document(sender, to, **fields)
        self.accept(document)
        return document.message.document_id

    def receipt(
        self, document_id: str, unit: str, /, *, received: bool = True, acting: str = "", **fields: Any
    ) -> Verified[evidence_pb2.Receipt]:
        """A receipt for the latest attempt, unless fields say otherwise."""
        bound = lookup.document(self.overlay, document_id)
        delivery = lookup.delivery(self.overlay, document_id, unit)
        assert bound is not None
        message = build_receipt(
            axis_id=AXIS_ID,
            document_id=document_id,
            bound=bound,
            recipient_unit=unit,
            acting_organisation=acting or (delivery.host if delivery else unit),
            attempt=delivery.attempt if delivery else 1,
            received=received,
            stored_at=self.now,
        )
        for name, value in fields.items():
            setattr(message, name, value)
        return verified(Kind.RECEIPT, message, certificate(message.acting_organisation))

    def take(self, what: Verified[evidence_pb2.Receipt], peer: str = "") -> Any:
        return self.do(TakeReceipt(what, peer or what.message.acting_organisation, "4b" * 16))

    def state(self, document_id: str, unit: str) -> str:
        fact = lookup.delivery(self.overlay, document_id, unit)
        assert fact is not None
        return state_name(fact.state)


def state_name(value: int) -> str:
    return DeliveryState.from_fact(value).value


def sign(signed: bytes) -> bytes:
    """The axis's stand-in signature."""
    return b"signed:" + hashlib.sha256(signed).digest()


def verified(kind: Kind, message: Any, signer: CertificateInfo, signature: bytes = b"") -> Verified[Any]:
    signed = signed_bytes(kind, message)
    envelope = Envelope(signed, signature or sign(signed))
    return Verified(kind, envelope, message, signer, message.created_at if kind != Kind.RECEIPT else 0)


def open_envelope(envelope: Any, kind: Kind) -> Any:
    """The message in an envelope of the journal."""
    return parse(envelope.signed, kind)


def recount(world: World, kind: str = "document", before: int = 0) -> dict[str, Counts]:
    """Volumes counted from the records alone, by unit: no fact and no view is asked.

    `before`: what records up to this sequence leave open is `in_flight_before`; the rest is counted.
    """
    totals: dict[str, Counter[str]] = {}
    kinds: dict[str, str] = {}
    for sequence, record in world.records():
        for unit, name in _events(record, kinds, kind):
            counted = totals.setdefault(unit, Counter())
            step = {"addressed": 1, "requeued": 1, "sent": 0}.get(name, -1)
            counted["in_flight"] += step
            if sequence > before:
                counted[name] += 1
            else:
                counted["in_flight_before"] += step
    return {unit: Counts(**counted) for unit, counted in totals.items()}


def _events(record: journal_pb2.Record, kinds: dict[str, str], kind: str) -> list[tuple[str, str]]:
    """(unit, what is counted)."""
    body = record.WhichOneof("body")
    if body == "accepted":
        acceptance = open_envelope(record.accepted.acceptance, Kind.ACCEPTANCE)
        message = open_envelope(record.accepted.envelope, Kind(record.accepted.kind))
        kinds[acceptance.document_id] = acceptance.kind
        events = [(message.sender_unit, "sent")]
        events += [(destination.unit, "addressed") for destination in acceptance.deliveries]
    elif body == "receipted":
        acceptance = open_envelope(record.receipted.receipt, Kind.RECEIPT)
        received = acceptance.outcome == evidence_pb2.OUTCOME_RECEIVED
        events = [(acceptance.recipient_unit, "received" if received else "refused")]
    elif body == "noticed":
        acceptance = open_envelope(record.noticed.notice, Kind.NOTICE)
        dead = acceptance.kind == evidence_pb2.NOTICE_KIND_DEAD
        events = [(acceptance.recipient_unit, "dead" if dead else "requeued")]
    else:
        return []
    return events if kinds.get(acceptance.document_id) == kind else []
