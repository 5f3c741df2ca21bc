"""A year of a country's traffic, made up frame by frame: for filling views with millions of events.

Nothing is signed and no journal is written: the frames go straight to who replays them, and are forgotten.
Documents follow facts of the axis: 3.13 recipients each, some units far busier than others, most receipts
within minutes, some refused, dead, requeued or late; statuses, refusals and suspensions in between.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Final

from axispb.v1 import document_pb2, envelope_pb2, evidence_pb2, journal_pb2

from axis.core.document import new_document_id
from axis.core.envelope import Kind
from axis.core.frame import Frame, Head, encode
from bench.units import made_units

__all__ = ["JOURNAL", "NOTATIONS", "OBJECTS", "START", "SUBJECTS", "Year"]

#: What the ids of made journals begin with.
JOURNAL: Final = "bench-"

#: 2026-01-01T00:00:00+07:00
START: Final = 1_767_200_400_000
_LENGTH: Final = 365 * 86_400_000
_RECORDS: Final = 128

SUBJECTS: Final = (
    "văn bản về việc triển khai", "quyết định ban hành kế hoạch", "công văn đề nghị báo cáo", "giấy mời họp",
    "thông báo kết luận về", "văn bản trả lời", "quyết định phê duyệt", "chỉ đạo phòng chống",
    "văn bản hướng dẫn", "kế hoạch kiểm tra",
)  # fmt: skip
OBJECTS: Final = (
    "giáo dục", "đường sắt", "y tế cơ sở", "cải cách hành chính", "dịch bệnh", "bão lũ", "đầu tư công",
    "ngân sách nhà nước", "chuyển đổi số", "an toàn thực phẩm", "đất đai", "môi trường", "lao động",
    "nông thôn mới", "biển đảo", "văn hóa", "du lịch", "trẻ em", "người cao tuổi", "thuế", "hải quan",
)  # fmt: skip
_PLACES: Final = (
    "Hà Nội", "Đà Nẵng", "Hải Phòng", "Cần Thơ", "Hà Giang", "Lào Cai", "Đắk Lắk", "Gia Lai", "Tây Ninh",
    "Kiên Giang", "Nghệ An", "Quảng Trị", "Thừa Thiên Huế", "Phú Yên", "Bắc Ninh", "Ninh Bình", "Sơn La",
)  # fmt: skip
NOTATIONS: Final = (
    ("QĐ", "Quyết định"),
    ("CV", "Công văn"),
    ("TB", "Thông báo"),
    ("GM", "Giấy mời"),
    ("KH", "Kế hoạch"),
)


class Year:
    """What `axis.views.projection.Views` asks of a journal, of `events` records about `units` units.

    Frames can be read once, in order. Always the same ones for the same arguments.
    """

    def __init__(self, events: int, units: int, seed: int = 1) -> None:
        self._events = events
        self._rng = random.Random(seed)
        made = list(made_units(units))
        self.codes: Sequence[str] = [unit.code for unit in made]
        self._registered = made
        # A few units send most of what is sent; the order has nothing to do with their place in the tree.
        self._by_size = self._rng.sample(self.codes, len(self.codes))
        self._weights = list(itertools.accumulate(1 / (rank + 20) for rank in range(units)))
        self._numbers: dict[str, int] = {}
        self._due: list[tuple[int, int, str, tuple[str, str, int]]] = []
        self._made = 0
        self._now = START
        self._head = Head.empty(f"{JOURNAL}{events}-{units}-{seed}")
        self._records = self._make()

    def head(self) -> Head:
        """The place that is reached in the end."""
        return Head(self._head.journal_id, self._events, self._events, bytes(32), START + _LENGTH)

    def frame_hash(self, sequence: int) -> bytes:
        """The hash of the frame that ends there; the next frames are those behind it. Empty if none does."""
        while self._head.sequence < sequence and self.frames(self._head.number, 1):
            pass
        return self._head.sha256 if self._head.sequence == sequence else b""

    def frames(self, after: int, limit: int) -> list[Frame]:
        """The next frames. `after` must be where the last ones ended."""
        if after != self._head.number:
            raise ValueError("these frames are read once, in order")
        frames: list[Frame] = []
        while len(frames) < limit:
            records = list(itertools.islice(self._records, _RECORDS))
            if not records:
                break
            frames.append(encode(self._head, self._now, records))
            self._head = frames[-1].head
        return frames

    def _make(self) -> Iterator[bytes]:
        records = itertools.chain(self._register(), self._traffic())
        for made, record in enumerate(itertools.islice(records, self._events), 1):
            self._now = START + _LENGTH * made // self._events
            yield record.SerializeToString()

    def _register(self) -> Iterator[journal_pb2.Record]:
        yield journal_pb2.Record(founded=journal_pb2.Founded(axis_id="a1" * 32))
        for code, old, name, parent in self._registered:
            unit = journal_pb2.UnitRegistered(
                code=code, name=name, parent=parent, old_codes=[old] if old else []
            )
            yield journal_pb2.Record(registered=unit)

    def _traffic(self) -> Iterator[journal_pb2.Record]:
        while True:
            while self._due and self._due[0][0] <= self._now:
                _, _, what, (document_id, unit, attempt) = heapq.heappop(self._due)
                yield from self._closed(what, document_id, unit, attempt)
            yield self._sent()
            if self._rng.random() < 0.01:
                yield self._rare()

    def _sent(self) -> journal_pb2.Record:
        rng = self._rng
        sender, *others = dict.fromkeys(self._some(1 + rng.choice((1, 1, 2, 3, 4, 5, 6))))
        recipients = others or [next(code for code in self.codes if code != sender)]
        document_id = self._new_id()
        number = self._numbers[sender] = self._numbers.get(sender, 0) + 1
        sign, type_name = rng.choice(NOTATIONS)
        subject = f"{rng.choice(SUBJECTS)} {rng.choice(OBJECTS)} tại {rng.choice(_PLACES)} năm 2026"
        fields = document_pb2.Fields(
            subject=subject,
            code_number=f"{number:02}",
            code_notation=f"{sign}-{sender.replace('.', '')}",
            issuer_document_id=f"{sender},2026/{number}",
        )
        fields.type.name = type_name
        message = document_pb2.Document(
            document_id=document_id,
            sender_unit=sender,
            acting_organisation=sender,
            fields=fields,
            attachments=[document_pb2.Attachment(size=rng.randint(20_000, 400_000))],
        )
        return self._accepted(Kind.DOCUMENT, document_id, message, recipients)

    def _accepted(
        self,
        kind: Kind,
        document_id: str,
        message: document_pb2.Document | document_pb2.Status,
        recipients: list[str],
    ) -> journal_pb2.Record:
        acceptance = evidence_pb2.Acceptance(
            document_id=document_id,
            kind=str(kind),
            deliveries=[evidence_pb2.Destination(unit=unit, host=unit) for unit in recipients],
        )
        for unit in recipients:
            chance = self._rng.random()
            what = "refused" if chance < 0.02 else "dead" if chance < 0.025 else "received"
            delay = self._rng.expovariate(1 / 60_000 if chance < 0.9 else 1 / 20_000_000)
            if chance < 0.995:
                self._later(delay, what, (document_id, unit, 1))
            if kind is Kind.DOCUMENT and self._rng.random() < 0.1:
                about = (document_id, f"{unit} {message.sender_unit}", 1)
                self._later(delay + 3_600_000, "status", about)
        return journal_pb2.Record(
            trace_id=document_id.replace("-", ""),
            accepted=journal_pb2.Accepted(
                kind=str(kind),
                envelope=_envelope(kind, message.SerializeToString()),
                acceptance=_envelope(Kind.ACCEPTANCE, acceptance.SerializeToString()),
            ),
        )

    def _closed(self, what: str, document_id: str, unit: str, attempt: int) -> Iterator[journal_pb2.Record]:
        if what == "status":
            sender, recipient = unit.split()
            status_id = self._new_id()
            status = document_pb2.Status(
                document_id=status_id,
                sender_unit=sender,
                acting_organisation=sender,
                about_document_id=document_id,
                code="03",
            )
            yield self._accepted(Kind.STATUS, status_id, status, [recipient])
        elif what in {"dead", "requeued"}:
            requeued = what == "requeued"
            kind = evidence_pb2.NOTICE_KIND_REQUEUED if requeued else evidence_pb2.NOTICE_KIND_DEAD
            notice = evidence_pb2.Notice(
                document_id=document_id,
                recipient_unit=unit,
                attempt=attempt,
                kind=kind,
                host=unit,
                reason="hết hạn",
            )
            signed = _envelope(Kind.NOTICE, notice.SerializeToString())
            yield journal_pb2.Record(noticed=journal_pb2.Noticed(notice=signed))
            if requeued:
                self._later(60_000, "received", (document_id, unit, attempt))
            elif attempt == 1 and self._rng.random() < 0.5:
                self._later(86_400_000, "requeued", (document_id, unit, 2))
        else:
            outcome = evidence_pb2.OUTCOME_RECEIVED if what == "received" else evidence_pb2.OUTCOME_REFUSED
            receipt = evidence_pb2.Receipt(
                document_id=document_id,
                recipient_unit=unit,
                attempt=attempt,
                outcome=outcome,
                reason="" if what == "received" else "không đúng nơi nhận",
                stored_at=self._now,
            )
            signed = _envelope(Kind.RECEIPT, receipt.SerializeToString())
            yield journal_pb2.Record(receipted=journal_pb2.Receipted(receipt=signed))

    def _rare(self) -> journal_pb2.Record:
        (unit,) = self._some(1)
        chance = self._rng.random()
        if chance < 0.8:
            code = self._rng.choice(
                ("id_reused", "recipient_unknown", "signature_invalid", "attachment_missing")
            )
            return journal_pb2.Record(rejected=journal_pb2.Rejected(organisation=unit, code=code, count=1))
        if chance < 0.9:
            return journal_pb2.Record(suspended=journal_pb2.UnitSuspended(code=unit, reason="kiểm tra"))
        return journal_pb2.Record(resumed=journal_pb2.UnitResumed(code=unit))

    def _some(self, count: int) -> list[str]:
        return self._rng.choices(self._by_size, cum_weights=self._weights, k=count)

    def _later(self, delay: float, what: str, about: tuple[str, str, int]) -> None:
        heapq.heappush(self._due, (self._now + int(delay), self._made, what, about))
        self._made += 1

    def _new_id(self) -> str:
        self._made += 1
        return new_document_id(self._now, self._made.to_bytes(10))


def _envelope(kind: Kind, message: bytes) -> envelope_pb2.Envelope:
    return envelope_pb2.Envelope(signed=kind.line + message, signature=b"unsigned")
