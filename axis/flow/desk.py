"""What everything that is taken in over the counter needs: documents and statuses, and receipts."""

from __future__ import annotations

from dataclasses import dataclass

from axis.core.verify import Context
from axis.flow.peers import Peers
from axis.flow.rejections import Rejections
from axis.flow.sequencer import Sequencer
from axis.ports import Clock, Journal

__all__ = ["Desk"]


@dataclass(frozen=True, slots=True)
class Desk:
    """To look up, to verify, to append, to note what was refused."""

    journal: Journal
    clock: Clock
    context: Context
    peers: Peers
    sequencer: Sequencer
    rejections: Rejections
