"""Documents and statuses handed in together, with their small attachments (steps 3 to 5 of the journey).

A batch is a convenience of transport: every envelope in it stands alone, and one that is refused harms no
other. Small attachments come along, so that an ordinary document costs a share of one request and one
durable commit instead of two requests of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from axispb.v1 import api_pb2, document_pb2

from axis.core.document import MAX_ATTACHMENTS
from axis.core.envelope import Envelope, Kind, parse
from axis.core.errors import Refusal
from axis.flow.ingress import Ingress
from axis.flow.peers import Peer, Peers
from axis.logs import bound_trace, get_logger
from axis.ports import Blobs, Clock, StorageFull

__all__ = ["CONTENTS_BYTES", "CONTENT_BYTES", "MAX_SUBMISSIONS", "PIN_MS", "Submission", "Submissions"]

MAX_SUBMISSIONS: Final = 64
#: Of one attachment that comes along, and of all in a batch.
CONTENT_BYTES: Final = 64 * 1024
CONTENTS_BYTES: Final = 4 * 1024 * 1024
MAX_CONTENTS: Final = 1000
_FULL_RETRY_SECONDS: Final = 30
#: How long what was uploaded waits for the envelope that names it.
PIN_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Submission:
    """One envelope with what came along."""

    envelope: Envelope
    trace_id: str
    contents: Sequence[bytes] = ()


class Submissions:
    """Takes batches."""

    def __init__(self, ingress: Ingress, blobs: Blobs, peers: Peers, clock: Clock) -> None:
        self._ingress = ingress
        self._blobs = blobs
        self._peers = peers
        self._clock = clock

    async def take(self, submissions: Sequence[Submission], peer: Peer) -> api_pb2.SubmissionResults:
        """One result for each submission, in order, each durable when this returns.

        Raises Refusal `field_invalid` for an empty or too large batch, of which nothing was taken then, and
        StorageFull where the attachments found no room.
        """
        if not 1 <= len(submissions) <= MAX_SUBMISSIONS:
            raise Refusal("field_invalid", f"submissions: 1 to {MAX_SUBMISSIONS} at a time")
        _check_contents(submissions)
        await self._store([content for each in submissions for content in _named(each)], peer)
        # Together, so that they land in one frame.
        results = await asyncio.gather(*(self._result(submission, peer) for submission in submissions))
        return api_pb2.SubmissionResults(results=results)

    async def _store(self, contents: list[bytes], peer: Peer) -> None:
        try:
            self._peers.check_active(peer)
        except Refusal:
            return  # nothing is kept for it; each envelope is refused, and journalled, by itself
        if contents:
            now = self._clock.now()
            await self._blobs.put_small(contents, owner=peer.organisation, now=now, pin_until=now + PIN_MS)

    async def _result(self, submission: Submission, peer: Peer) -> api_pb2.SubmissionResult:
        with bound_trace(submission.trace_id):
            try:
                accepted = await self._ingress.submit(submission.envelope, peer, submission.trace_id)
            except Refusal as refusal:
                return api_pb2.SubmissionResult(
                    code=refusal.name, detail=refusal.detail, retry_after=refusal.retry_after or 0
                )
            except StorageFull as error:
                return api_pb2.SubmissionResult(
                    code="storage_full", detail=str(error), retry_after=_FULL_RETRY_SECONDS
                )
            except Exception:
                # A defect met by one document must not keep the others from their answers.
                get_logger().exception("submission_failed", organisation=peer.organisation)
                return api_pb2.SubmissionResult(code="unavailable", detail="the node's log says why")
        return api_pb2.SubmissionResult(accepted=accepted)


def _check_contents(submissions: Sequence[Submission]) -> None:
    """Refusal `field_invalid` before anything is stored: in number as in bytes, each has its cost."""
    if any(len(each.contents) > MAX_ATTACHMENTS for each in submissions):
        raise Refusal("field_invalid", f"contents: at most {MAX_ATTACHMENTS} for one envelope")
    contents = [content for each in submissions for content in each.contents]
    if len(contents) > MAX_CONTENTS:
        raise Refusal("field_invalid", f"contents: at most {MAX_CONTENTS} together")
    if any(len(content) > CONTENT_BYTES for content in contents):
        raise Refusal("field_invalid", f"contents: at most {CONTENT_BYTES} bytes each; upload larger")
    if sum(map(len, contents)) > CONTENTS_BYTES:
        raise Refusal("field_invalid", f"contents: at most {CONTENTS_BYTES} bytes together")


def _named(submission: Submission) -> list[bytes]:
    """The contents that the envelope names; nothing else is kept for it. The envelope is not verified yet."""
    if not submission.contents:
        return []
    try:
        document = cast(document_pb2.Document, parse(submission.envelope.signed, Kind.DOCUMENT))
    except Refusal:
        return []  # it is refused for that by itself
    names = {attachment.sha256 for attachment in document.attachments}
    return [content for content in submission.contents if hashlib.sha256(content).digest() in names]
