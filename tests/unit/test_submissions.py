"""Batches: a defect met by one envelope keeps no other from its answer; only what is named is kept."""

from __future__ import annotations

import hashlib

from axispb.v1 import api_pb2, document_pb2

from axis.blobs.memory import MemoryBlobs
from axis.core.envelope import Envelope, Kind, signed_bytes
from axis.core.errors import Refusal
from axis.flow.peers import Peer
from axis.flow.submissions import Submission, Submissions
from axis.ports import StorageFull

PEER = Peer("G22", b"certificate")
SIGNED = (b"one", b"defect", b"busy", b"four")


class Clock:
    def now(self) -> int:
        return 1_795_000_000_000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class Ingress:
    async def submit(self, envelope: Envelope, _peer: Peer, trace_id: str) -> api_pb2.SubmitResponse:
        if envelope.signed == b"defect":
            raise ZeroDivisionError
        if envelope.signed == b"full":
            raise StorageFull("no room")
        if envelope.signed == b"busy":
            raise Refusal("unavailable", "later", retry_after=7)
        assert trace_id == "ab" * 16
        return api_pb2.SubmitResponse(sequence=len(envelope.signed))


class Peers:
    def check_active(self, _peer: Peer) -> None:
        """All are active."""


async def test_each_stands_alone() -> None:
    blobs = MemoryBlobs()
    submissions = Submissions(Ingress(), blobs, Peers(), Clock())  # type: ignore[arg-type]
    batch = [Submission(Envelope(signed, b""), "ab" * 16, [signed]) for signed in SIGNED]
    answer = await submissions.take(batch, PEER)
    assert [(one.code, one.accepted.sequence, one.retry_after) for one in answer.results] == [
        ("", 3, 0),
        ("unavailable", 0, 0),
        ("unavailable", 0, 7),
        ("", 4, 0),
    ]
    assert "ZeroDivision" not in answer.results[1].detail
    assert list(blobs.hashes()) == []  # no envelope names what came along


async def test_only_what_an_envelope_names_is_kept() -> None:
    blobs = MemoryBlobs()
    submissions = Submissions(Ingress(), blobs, Peers(), Clock())  # type: ignore[arg-type]
    named = document_pb2.Attachment(sha256=hashlib.sha256(b"named").digest())
    signed = signed_bytes(Kind.DOCUMENT, document_pb2.Document(attachments=[named]))
    await submissions.take([Submission(Envelope(signed, b""), "ab" * 16, [b"named", b"other"])], PEER)
    assert list(blobs.hashes()) == [named.sha256]


async def test_no_room_at_one_envelope_is_said_of_it() -> None:
    submissions = Submissions(Ingress(), MemoryBlobs(), Peers(), Clock())  # type: ignore[arg-type]
    answer = await submissions.take([Submission(Envelope(b"full", b""), "ab" * 16)], PEER)
    assert [(one.code, one.retry_after) for one in answer.results] == [("storage_full", 30)]
