"""Who may fetch which attachment: the parties of a document, by document and number (design decision 10)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from axispb.v1 import api_pb2, document_pb2, evidence_pb2, journal_pb2

from axis.core import state
from axis.core.envelope import Kind, parse
from axis.core.errors import Refusal
from axis.flow.peers import Peer
from axis.ports import Journal

__all__ = ["Content", "Downloads"]

_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class Content:
    """One attachment as it is stored."""

    sha256: bytes
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class _Accepted:
    """What the record of an acceptance says about downloads. Records never change, so this may be kept."""

    contents: tuple[Content, ...]
    parties: frozenset[str]
    units: tuple[str, ...]


class Downloads:
    """Finds attachments for those who may have them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._accepted: OrderedDict[str, _Accepted] = OrderedDict()

    def find(self, document_id: str, number: int, peer: Peer) -> Content:
        """Attachment `number` (from 0) of a document that the caller sent or that came to it.

        Refusal `document_unknown` for everything else: an outsider learns nothing, not even that it exists.
        """
        accepted = self._find(document_id)
        if accepted is None or not self._is_party(document_id, accepted, peer.organisation):
            raise Refusal("document_unknown", f"no document {document_id[:64]} of yours")
        if not 0 <= number < len(accepted.contents):
            raise Refusal("document_unknown", f"document {document_id} has no attachment {number}")
        return accepted.contents[number]

    def arrived(self, items: Iterable[api_pb2.FeedItem], peer: Peer) -> Iterator[tuple[str, int]]:
        """(document, number) of every attachment of the documents that came for units of the caller."""
        for item in items:
            if not item.acceptance.signed or item.kind != Kind.DOCUMENT:
                continue
            acceptance = cast(evidence_pb2.Acceptance, parse(item.acceptance.signed, Kind.ACCEPTANCE))
            mine = item.event == "noticed" or any(d.host == peer.organisation for d in acceptance.deliveries)
            accepted = self._find(acceptance.document_id) if mine else None
            if accepted is not None:
                yield from ((acceptance.document_id, number) for number in range(len(accepted.contents)))

    def _find(self, document_id: str) -> _Accepted | None:
        known = self._accepted.get(document_id)
        if known is not None:
            self._accepted.move_to_end(document_id)
            return known
        fact = state.document(self._journal, document_id)
        stored = self._journal.record(fact.accepted_sequence) if fact is not None else None
        if fact is None or stored is None or fact.kind != Kind.DOCUMENT:
            return None
        body = journal_pb2.Record.FromString(stored.raw).accepted
        document = cast(document_pb2.Document, parse(body.envelope.signed, Kind.DOCUMENT))
        acceptance = cast(evidence_pb2.Acceptance, parse(body.acceptance.signed, Kind.ACCEPTANCE))
        found = _Accepted(
            tuple(Content(a.sha256, a.size, a.media_type) for a in document.attachments),
            frozenset({fact.sender_host, *(delivery.host for delivery in acceptance.deliveries)}),
            tuple(delivery.unit for delivery in acceptance.deliveries),
        )
        self._accepted[document_id] = found
        if len(self._accepted) > _REMEMBERED:
            self._accepted.popitem(last=False)
        return found

    def _is_party(self, document_id: str, accepted: _Accepted, organisation: str) -> bool:
        if organisation in accepted.parties:
            return True
        # A requeue may have given a delivery another host since.
        deliveries = (state.delivery(self._journal, document_id, unit) for unit in accepted.units)
        return any(fact is not None and organisation in fact.hosts for fact in deliveries)
