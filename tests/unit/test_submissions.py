"""Batches: a defect met by one envelope keeps no other from its answer; nothing is kept for the suspended."""

from __future__ import annotations

from axispb.v1 import api_pb2

from axis.blobs.memory import MemoryBlobs
from axis.core.envelope import Envelope
from axis.core.errors import Refusal
from axis.flow.peers import Peer
from axis.flow.submissions import Submission, Submissions

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
    assert len(list(blobs.hashes())) == 4
