"""`sendEdoc`: a packet is handed in, once however often it is sent.

A repeat is the same system, hash-header, `from`, `messagetype`, recipients as used, and packet: it gets the
same DocId, and nothing is sent. What was refused is not remembered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from agencies.desk.packets import Handed
from agencies.edxml.packet import DocumentPacket
from agencies.edxml.refusal import refused
from agencies.http.uploads import body_chunks
from agencies.vxp.desk import STATUS, Desk, Operation
from agencies.vxp.scope import Scope
from axis.core.directory import Directory
from axis.core.errors import Refusal

__all__ = ["SEND", "packet_bytes"]

_TAIL: Final = b"\r\n"


async def send_edoc(desk: Desk) -> dict[str, Any]:
    """{"DocId"}. Refusals of authentication, edXML (21, 22) and the directory (18, 19, 23)."""
    status = desk.kind == STATUS
    asked_sender = desk.parameters.text("from")
    if asked_sender:
        desk.may_act_for(asked_sender)  # before the body is read
    given = desk.parameters.text("hash-file")
    async with desk.parts.packets.handed_in(packet_bytes(body_chunks(desk.request), given)) as handed:
        if status == isinstance(handed.packet, DocumentPacket):
            kind = "status" if status else "edoc"
            raise refused("MessageHeader", 1, f"it is no {kind} message", "sai messagetype")
        sender = _sender(desk, handed.packet.sender, asked_sender if not status else "")
        recipients = _recipients(desk, handed)
        answer = await desk.parts.packets.send(
            handed,
            key=_key(desk, sender, recipients, handed.row.sha256),
            trace_id=desk.trace_id,
            sender=sender,
            recipients=recipients,
        )
    desk.logged.document_id = answer["document_id"]
    desk.logged.detail = "; ".join(_odd(answer))
    return {"DocId": answer["document_id"]}


def _odd(answer: dict[str, Any]) -> list[str]:
    """What the log says of a packet that was taken all the same."""
    signature = answer["packet_signature"]
    invalid = [f"Signature: {signature['reason']}"] if signature["outcome"] == "invalid" else []
    return invalid + list(answer["warnings"])


def _sender(desk: Desk, issuer: str, asked: str) -> str:
    """The unit that sends: the parameter `from`, else the packet's From.

    The receivers' software reads the issuer out of the packet, so that one must be the system's too, or stand
    above the unit that sends within the same organisation: an office sends what its agency issues.
    """
    if not asked:
        return desk.may_act_for(issuer)
    sender = desk.may_act_for(asked)
    directory = desk.parts.directory.directory
    above = directory.resolve(issuer)
    if above is None or not (desk.scope.has(above) or _stands_above(directory, above, sender)):
        desk.may_act_for(issuer)
    return sender


def _stands_above(directory: Directory, above: str, unit: str) -> bool:
    same_host = directory.host_of(above) == directory.host_of(unit)
    return same_host and Scope(directory, [above]).has(unit)


def _recipients(desk: Desk, handed: Handed) -> list[str]:
    """The parameter `to`, else the packet's own; a status goes to whom it answers. Each unit once."""
    if not isinstance(handed.packet, DocumentPacket):
        return [handed.packet.addressee]
    directory = desk.parts.directory.directory
    given = desk.parameters.codes("to") or list(handed.packet.recipients)
    return list({directory.resolve(code) or code: code for code in reversed(given)}.values())[::-1]


def _key(desk: Desk, sender: str, recipients: list[str], sha256: bytes) -> str:
    """What makes a call the same as another; the node keeps it with the document, in one transaction."""
    parts = [
        desk.caller.system.system_id,
        desk.caller.hash_header,
        sender,
        desk.kind,
        recipients,
        sha256.hex(),
    ]
    return "vxp:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


async def packet_bytes(body: AsyncIterator[bytes], hash_file: str) -> AsyncIterator[bytes]:
    """The packet within a body: all of it, or all but the CRLF that the client appends.

    `hash_file` is SHA-256 in hex, or as the client writes it, every byte without its leading zero; it says
    which of the two it is. Without it, the body is the packet. Refusal `attachment_mismatch`.
    """
    wanted = hash_file.strip().lower()
    digest, tail = hashlib.sha256(), b""
    async for chunk in body:
        held = tail + chunk
        held, tail = held[: -len(_TAIL)], held[-len(_TAIL) :]
        digest.update(held)
        if held:
            yield held
    whole = digest.copy()
    whole.update(tail)
    if not wanted or wanted in _written(whole.digest()):
        yield tail
    elif tail != _TAIL or wanted not in _written(digest.digest()):
        raise Refusal("attachment_mismatch", "hash-file is not the SHA-256 of the body")


def _written(digest: bytes) -> tuple[str, str]:
    """Both ways to write a digest."""
    return digest.hex(), "".join(f"{byte:x}" for byte in digest)


SEND: Final = Operation("sendEdoc", send_edoc, takes_packet=True, always=(("DocId", ""),))
