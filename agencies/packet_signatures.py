"""The signatures that packets bring along: judged when a packet is handed in and when one comes.

The judgement is the same on both sides (`agencies.edxml.signature`), is shown beside the document, and is
kept with what came. Whether an invalid one refuses the packet is a setting: by default it does not, for
relays break signatures that were sound.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

from axispb.v1 import document_pb2

from agencies.attachments import AttachmentRow
from agencies.config import PacketPolicy
from agencies.edxml.signature import PacketSignature, check
from agencies.edxml.signed_tree import MOST_BYTES
from axis.core.errors import Refusal
from axis.ports import Blobs

__all__ = ["INVALID", "PacketSignatures", "as_stored", "packet_in", "shown", "stored_shown"]

Json = dict[str, Any]

#: The stable code of a packet that was refused for its signature.
INVALID: Final = "packet_signature_invalid"
#: A packet that is looked at is in memory: so many at once.
_AT_ONCE: Final = 2


class PacketSignatures:
    """Judges packets, in threads, a few at a time."""

    def __init__(self, blobs: Blobs, policy: PacketPolicy) -> None:
        self._blobs = blobs
        self._policy = policy
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def judge(self, chunks: Iterable[bytes], size: int) -> PacketSignature:
        """Of a packet whose bytes can be read without waiting long."""
        async with self._slots:
            return await asyncio.to_thread(check, chunks, size)

    async def of(
        self, packet: AttachmentRow | bytes, at_hand: Mapping[bytes, bytes]
    ) -> PacketSignature | None:
        """Of what came: a packet among the contents at hand, or stored; or a status's; None without one.

        Raises BlobMissing.
        """
        if isinstance(packet, bytes):
            return await self.judge((packet,), len(packet)) if packet else None
        content = at_hand.get(packet.sha256)
        if content is not None or packet.size > MOST_BYTES:
            return await self.judge((content or b"",), packet.size)
        async with self._slots:
            pieces = await self._stored(packet)
            return await asyncio.to_thread(check, pieces, packet.size)

    async def _stored(self, packet: AttachmentRow) -> list[bytes]:
        async with self._blobs.open(packet.sha256) as chunks:
            return await _all(chunks)

    def refuses(self, found: PacketSignature) -> bool:
        """Whether the setting makes this a reason to refuse the packet."""
        return self._policy == "refuse" and found.outcome == "invalid"

    def require(self, found: PacketSignature) -> None:
        """Refusal `packet_signature_invalid` where the setting says so."""
        if self.refuses(found):
            raise Refusal(INVALID, f"edXML, Signature: {found.reason}", extra={"element": "Signature"})


async def _all(chunks: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in chunks]


def packet_in(
    message: document_pb2.Document | document_pb2.Status, attachments: Sequence[AttachmentRow]
) -> AttachmentRow | bytes:
    """The edXML packet that a verified message has along; empty for none."""
    if isinstance(message, document_pb2.Status):
        return message.packet
    return attachments[message.packet - 1] if message.packet else b""


def shown(found: PacketSignature) -> Json:
    """As the local API shows it."""
    return {"outcome": found.outcome, "reason": found.reason, "signer": found.signer}


def as_stored(found: PacketSignature | None) -> str:
    """As the store keeps it: empty for a document that came without a packet."""
    return json.dumps(shown(found), ensure_ascii=False) if found is not None else ""


def stored_shown(text: str) -> Json | None:
    """What was kept, as the local API shows it."""
    found: Json | None = json.loads(text) if text else None
    return found
