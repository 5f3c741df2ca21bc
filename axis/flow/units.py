"""Units that an organisation registers, suspends and resumes below itself, over the agency API."""

from __future__ import annotations

from typing import Final, cast

from axispb.v1 import api_pb2

from axis.core.decide import Done, Register, Resume, Suspend
from axis.core.document import MAX_TEXT
from axis.core.errors import Refusal
from axis.flow.desk import Desk
from axis.flow.judged import judged
from axis.flow.peers import Peer
from axis.logs import get_logger

__all__ = ["Units"]

_MOST_OLD_CODES: Final = 10


class Units:
    """Takes changes of the register from organisations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def change(self, asked: api_pb2.UnitChange, peer: Peer) -> api_pb2.UnitChanged:
        """Durable when it returns, and the same again changes nothing.

        Refusal `field_invalid`, `not_host_of_unit`, `sender_suspended`, `sender_not_registered`; whoever
        refuses is noted by the gate.
        """
        command = _command(asked, peer.organisation)
        done = await judged(self._desk.journal, lambda: self._judge(command, peer))
        if done.changed:
            get_logger().info(
                "unit_changed", action=asked.action, unit=done.subject, organisation=peer.organisation
            )
        sequence = self._desk.journal.head().sequence
        return api_pb2.UnitChanged(code=done.subject, changed=done.changed, sequence=sequence)

    async def _judge(self, command: Register | Suspend | Resume, peer: Peer) -> Done:
        self._desk.peers.check(peer)
        return cast(Done, await self._desk.sequencer.submit(command))


def _command(asked: api_pb2.UnitChange, by: str) -> Register | Suspend | Resume:
    if len(asked.old_codes) > _MOST_OLD_CODES:
        raise Refusal("field_invalid", f"old_codes: at most {_MOST_OLD_CODES} are possible")
    if asked.action == "register":
        return Register(
            asked.code,
            asked.name,
            asked.parent,
            tuple(asked.old_codes),
            asked.mail,
            asked.mobile,
            asked.fax,
            by,
        )
    if asked.action == "suspend":
        return Suspend(asked.code, asked.reason[:MAX_TEXT], by)
    if asked.action == "resume":
        return Resume(asked.code, by)
    raise Refusal("field_invalid", f"action: {asked.action[:20]!r}; register, suspend or resume")
