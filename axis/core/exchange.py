"""The exchange between a document's sender and one of its receivers: which status may follow which.

QCVN 102:2016: arrived (01), then refused (02) or accepted (03), assigned (04), in progress (05), done (06);
steps may be skipped forward, never back. Before 06 the sender may ask the document back (13), or send a
recall or an update; the receiver agrees (15) or does not (16). A refusal, and a taking back that was agreed
to, close the exchange. A status out of order is kept and flagged, never lost: `after` says which it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

__all__ = ["ANSWERS", "RECALL", "UPDATE", "Exchange", "Said", "Saying", "exchanges_of"]

#: What a document says of an earlier one, beside the statuses' codes.
RECALL: Final = "recall"
UPDATE: Final = "update"

#: Of a recall or an update: they may be said of it, or of the document that it is about.
ANSWERS: Final = frozenset({"15", "16"})

_STEPS: Final = {"01": 1, "03": 2, "04": 3, "05": 4, "06": 5}
_ARRIVED: Final = 1
_DONE: Final = 5
#: What the sender asks for, and what agreeing to it means.
_ASKED: Final = {"13": RECALL, RECALL: RECALL, UPDATE: UPDATE}


@dataclass(frozen=True, slots=True)
class Exchange:
    """How far it has come. A new one: nothing has been said."""

    step: int = 0
    asked: str = ""  # what waits for an answer: a recall or an update
    closed: str = ""  # "refused" or "recalled"

    @property
    def state(self) -> str:
        """`refused`, `recalled`, else `recall_asked`, `update_asked`, else `open`."""
        return self.closed or (f"{self.asked}_asked" if self.asked else "open")

    def after(self, said: str) -> tuple[Exchange, bool]:
        """The exchange once this was said (a code, `RECALL`, `UPDATE`), and whether it was in order."""
        if self.closed:
            return self, False
        if said in _STEPS:
            step = _STEPS[said]
            return (replace(self, step=step), True) if step > self.step else (self, False)
        if said == "02":
            return (replace(self, closed="refused"), True) if self.step <= _ARRIVED else (self, False)
        if said in _ASKED:
            in_order = not self.asked and self.step < _DONE
            return (replace(self, asked=_ASKED[said]), True) if in_order else (self, False)
        if said == "15" and self.asked:
            closed = "recalled" if self.asked == RECALL else ""
            return replace(self, asked="", closed=closed), True
        if said == "16" and self.asked:
            return replace(self, asked=""), True
        return self, False


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing said: a status (`shown` is what people see of it), or a recall or update (`shown` None)."""

    order: tuple[int, str]  # by time, or place in the journal; then by id
    unit: str  # the receiver whose exchange it is
    said: str
    shown: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Said:
    """The exchange of a document with one receiver: how far it has come, and the statuses, in order."""

    exchange: Exchange = field(default_factory=Exchange)
    statuses: tuple[dict[str, Any], ...] = ()


def exchanges_of(sayings: Iterable[Saying]) -> dict[str, Said]:
    """By receiver; each status as it is shown, with `in_order`."""
    exchanges: dict[str, Exchange] = {}
    statuses: dict[str, list[dict[str, Any]]] = {}
    for saying in sorted(sayings, key=attrgetter("order")):
        exchange, in_order = exchanges.get(saying.unit, Exchange()).after(saying.said)
        exchanges[saying.unit] = exchange
        shown = statuses.setdefault(saying.unit, [])
        if saying.shown is not None:
            shown.append(saying.shown | {"in_order": in_order})
    return {unit: Said(exchange, tuple(statuses[unit])) for unit, exchange in exchanges.items()}
