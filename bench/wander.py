"""A random life of an axis: everything that can happen, in any possible order, each time another.

Every record is one that the axis would have made itself: an audit of the result has nothing to say.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from axispb.v1 import journal_pb2

from bench.history import History, Sent, Signers

__all__ = ["UNITS", "Wanderer"]

#: Units and their parents; those in `NODES` have a node of their own.
UNITS: Final = {"G22": "", "G14": "", "H26": "", "G14.01": "G14", "H26.03": "H26", "H26.03.07": "H26.03"}
NODES: Final = ("G22", "G14", "H26")

_HOUR: Final = 3_600_000
_WAITS: Final = (0, 1, 1000, _HOUR, 9 * _HOUR, 24 * _HOUR)


@dataclass
class Wanderer:
    """Goes on from step to step. Without `signers` nothing is really signed."""

    history: History
    rng: random.Random
    signers: Signers | None = None
    opened: list[tuple[Sent, str, int]] = field(default_factory=list)
    closed: list[tuple[Sent, str, int]] = field(default_factory=list)
    over: list[tuple[Sent, str, int]] = field(default_factory=list)  # a receipt would be late
    suspended: set[str] = field(default_factory=set)
    hosts: dict[tuple[str, str, int], str] = field(default_factory=dict)
    old_codes: dict[str, str] = field(default_factory=dict)
    senders: dict[str, str] = field(default_factory=dict)  # of documents, not of statuses

    async def begin(self) -> None:
        """Found the journal, register the units, enrol those that have nodes."""
        history, signers = self.history, self.signers
        if signers is None:
            await history.found()
        else:
            await history.found(signers.authority.anchors, signers.authority.intermediates)
            for certificate in signers.certificates("axis"):
                await history.issue(certificate)
        for code, parent in UNITS.items():
            await self._register(code, parent)
        for code in NODES:
            if signers is not None:
                await history.enrol(code, *signers.certificates(code))
        for code in UNITS:
            history.hosts[code] = code.split(".")[0]

    async def step(self) -> None:
        """One thing that is possible now, or a while in which nothing happens."""
        steps = (self._send, self._send, self._take, self._take, self._report, self._end, self._requeue)
        rare = (self._late, self._suspend, self._resume, self._rename, self._reject)
        choice = self.rng.random()
        if choice < 0.15:
            await self.history.move(self.rng.choice(_WAITS))
        else:
            await self.rng.choice(steps if choice < 0.9 else rare)()

    async def _register(self, code: str, parent: str) -> None:
        self.old_codes[code] = f"000.00.{self.rng.randrange(10, 99)}.X{list(UNITS).index(code):02}"
        await self.history.register(code, parent=parent, old_codes=[self.old_codes[code]])

    def _active(self) -> list[str]:
        return [u for u in UNITS if u not in self.suspended and u.split(".")[0] not in self.suspended]

    async def _send(self) -> None:
        active = self._active()
        if not active:
            return
        sender = self.rng.choice(active)
        recipients = self.rng.sample(active, self.rng.randint(1, len(active)))
        sent = await self.history.send(
            self.rng.choice((sender, self.old_codes[sender])),
            recipients,
            [self.rng.randrange(1000) for _ in range(self.rng.randint(0, 2))],
            f"Về việc số {self.rng.randrange(99)}",
            str(self.rng.choice(("", 7, 8))),
            host=self.history.hosts[sender],
            priority=self.rng.randrange(6),
            speaks_of=(self.rng.choice(("", "recall", "update", "replacement")), self.rng.choice("789")),
        )
        self.senders[sent.document_id] = sender
        self._open(sent, *recipients)

    async def _report(self) -> None:
        active = set(self._active())
        known = [
            (s, unit, self.senders[s.document_id])
            for s, unit, _ in self.over
            if s.document_id in self.senders
        ]
        able = [(s, unit, sender) for s, unit, sender in known if {unit, sender} <= active]
        if able:
            about, sender, recipient = self.rng.choice(able)
            sent = await self.history.report(sender, recipient, about.document_id, note="đã xem")
            self._open(sent, recipient)

    async def _take(self) -> None:
        delivery = self._pick(self.opened)
        if delivery is None:
            return
        reason = self.rng.choice(("", "", "sai nơi nhận"))
        await self.history.take(*delivery, reason=reason, host=self._host(delivery))
        (self.closed if reason else self.over).append(delivery)

    async def _end(self) -> None:
        delivery = self._pick(self.opened) if self.rng.random() < 0.3 else None
        if delivery is not None:
            await self.history.notice(*delivery, "nobody took it")
            self.closed.append(delivery)

    async def _requeue(self) -> None:
        delivery = self._pick(self.closed)
        if delivery is not None and delivery[1] not in self.suspended:
            sent, unit, attempt = delivery
            host = self.history.hosts[unit]
            await self.history.notice(sent, unit, attempt + 1, "again", host=host)
            self.hosts[sent.document_id, unit, attempt + 1] = host
            self.opened.append((sent, unit, attempt + 1))

    async def _late(self) -> None:
        delivery = self._pick(self.over)
        if delivery is not None:  # the one kept for each attempt: so it does not go back into `over`
            await self.history.take_late(*delivery, host=self._host(delivery))

    async def _suspend(self) -> None:
        active = self._active()
        if len(active) > 2:
            code = self.rng.choice(active)
            self.suspended.add(code)
            await self.history.add(suspended=journal_pb2.UnitSuspended(code=code, reason="asked"))

    async def _resume(self) -> None:
        for code in sorted(self.suspended)[:1]:
            self.suspended.discard(code)
            await self.history.add(resumed=journal_pb2.UnitResumed(code=code))

    async def _rename(self) -> None:
        code = self.rng.choice(list(UNITS))
        await self._register(code, UNITS[code])

    async def _reject(self) -> None:
        refused = journal_pb2.Rejected(organisation="G14", code="id_reused", count=self.rng.randrange(3))
        await self.history.add(rejected=refused)

    def _open(self, sent: Sent, *units: str) -> None:
        for unit in units:
            self.opened.append((sent, unit, 1))
            self.hosts[sent.document_id, unit, 1] = self.history.hosts[unit]

    def _pick(self, deliveries: list[tuple[Sent, str, int]]) -> tuple[Sent, str, int] | None:
        """Take one out whose host may act."""
        able = [d for d in deliveries if self._host(d) not in self.suspended]
        if not able:
            return None
        chosen = self.rng.choice(able)
        deliveries.remove(chosen)
        return chosen

    def _host(self, delivery: tuple[Sent, str, int]) -> str:
        sent, unit, attempt = delivery
        return self.hosts[sent.document_id, unit, attempt]
