"""Random exchanges against a simple model: states, counts and replay, whatever comes in whatever order."""

from __future__ import annotations

from typing import Any

from axispb.v1 import journal_pb2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from axis.core import lookup, state
from axis.core.commands import Accept, Close, Command, Expire, Requeue, Resume, Suspend, TakeReceipt
from axis.core.document import DELIVERY_LIFE_MS
from axis.core.errors import Refusal
from axis.core.facts import Overlay
from axis.core.lifecycle import DeliveryState
from tests.world import DAY, Store, World, recount, state_name

#: code → host. G22 and H26 run nodes; H26.B and H53 do not.
HOSTS = {"G22": "G22", "G22.A": "G22", "H26": "H26", "H26.B": "H26", "H53": "H53"}
UNITS = sorted(HOSTS)
NODES = ["G22", "H26"]


class Exchange(RuleBasedStateMachine):
    documents: Bundle[Any] = Bundle("documents")
    receipts: Bundle[Any] = Bundle("receipts")

    @initialize()
    def found(self) -> None:
        self.world = World()
        for code in UNITS:
            self.world.unit(code, node=code in NODES)
        #: The model: (document, unit) → state of the latest attempt; its number; when it was opened.
        self.states: dict[tuple[str, str], str] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.opened: dict[tuple[str, str], int] = {}
        #: Signed bytes that closed an attempt.
        self.winners: set[bytes] = set()
        self.suspended: set[str] = set()
        self.cut = self.world.head.sequence

    def answer(self, command: Command) -> Any:
        return self.world.decide(command).answer

    @rule(
        target=documents,
        sender=st.sampled_from([u for u in UNITS if HOSTS[u] in NODES]),
        to=st.lists(st.sampled_from([*UNITS, "X9"]), min_size=1, max_size=4),
        priority=st.integers(0, 5),
    )
    def send(self, sender: str, to: list[str], priority: int) -> Any:
        document = self.world.document(sender, to, acting=HOSTS[sender], priority=priority)
        answer = self.answer(Accept(document, HOSTS[sender]))
        if {sender, HOSTS[sender]} & self.suspended:
            expected = "sender_suspended"
        elif "X9" in to:
            expected = "recipient_unknown"
        elif set(to) & self.suspended:
            expected = "recipient_suspended"
        elif len(set(to)) < len(to):
            expected = "recipient_duplicate"
        else:
            expected = ""
        assert (answer.name if isinstance(answer, Refusal) else "") == expected
        if not expected:
            for unit in to:
                place = document.message.document_id, unit
                self.states[place], self.attempts[place] = "in_flight", 1
                self.opened[place] = self.world.now
        return document

    @rule(document=documents)
    def repeat(self, document: Any) -> None:
        known = any(place[0] == document.message.document_id for place in self.states)
        if known:
            decision = self.world.decide(Accept(document, document.message.acting_organisation))
            assert decision.records == ()
            assert decision.answer.repeated  # type: ignore[union-attr]

    @rule(
        target=receipts,
        document=documents,
        unit=st.sampled_from(UNITS),
        received=st.booleans(),
        old=st.booleans(),
    )
    def make_receipt(self, document: Any, unit: str, received: bool, old: bool) -> Any:
        document_id = document.message.document_id
        if lookup.document(self.world.overlay, document_id) is None:
            return None
        attempt = self.attempts.get((document_id, unit), 1)
        attempt = 1 if old else attempt
        acting = HOSTS[unit] if HOSTS[unit] in NODES else "H26"
        return self.world.receipt(document_id, unit, received=received, acting=acting, attempt=attempt)

    @rule(receipt=receipts)
    def hand_in(self, receipt: Any) -> None:
        if receipt is None:
            return
        message = receipt.message
        place = message.document_id, message.recipient_unit
        answer = self.answer(TakeReceipt(receipt, message.acting_organisation))
        name = answer.name if isinstance(answer, Refusal) else ""
        if receipt.envelope.signed in self.winners:
            assert answer.repeated
        elif place not in self.states or HOSTS[place[1]] != message.acting_organisation:
            assert name == "not_a_recipient"
        elif message.acting_organisation in self.suspended:
            assert name == "sender_suspended"
        elif message.attempt < self.attempts[place] or self.states[place] != "in_flight":
            assert name in ("delivery_closed", "outcome_conflict")
        else:
            assert name == ""
            self.winners.add(receipt.envelope.signed)
            self.states[place] = "received" if message.outcome == 1 else "refused"

    def place(self, data: st.DataObject) -> tuple[str, str] | None:
        return data.draw(st.sampled_from(sorted(self.states))) if self.states else None

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        if place := self.place(data):
            answer = self.answer(Requeue(*place))
            legal = self.states[place] in ("dead", "refused") and place[1] not in self.suspended
            assert isinstance(answer, Refusal) is not legal
            if legal:
                self.states[place] = "in_flight"
                self.attempts[place] += 1
                self.opened[place] = self.world.now

    @rule(data=st.data(), expire=st.booleans())
    def end(self, data: st.DataObject, expire: bool) -> None:
        if place := self.place(data):
            answer = self.answer(Expire(*place) if expire else Close(*place, "ended"))
            due = not expire or self.world.now >= self.opened[place] + DELIVERY_LIFE_MS
            legal = self.states[place] == "in_flight" and due
            assert isinstance(answer, Refusal) is not legal
            if legal:
                self.states[place] = "dead"

    @rule(code=st.sampled_from(UNITS))
    def suspend(self, code: str) -> None:
        self.answer(Suspend(code))
        self.suspended.add(code)

    @rule(code=st.sampled_from(UNITS))
    def resume(self, code: str) -> None:
        self.answer(Resume(code))
        self.suspended.discard(code)

    @rule(days=st.integers(0, 15))
    def wait(self, days: int) -> None:
        self.world.later(days * DAY)

    @rule()
    def begin_a_period(self) -> None:
        self.world.seal()
        self.cut = self.world.head.sequence

    @invariant()
    def facts_say_what_the_model_says(self) -> None:
        for (document_id, unit), expected in self.states.items():
            fact = lookup.delivery(self.world.overlay, document_id, unit)
            assert fact is not None
            assert (state_name(fact.state), fact.attempt) == (
                expected,
                self.attempts[document_id, unit],
            )
            assert len(fact.hosts) == fact.attempt
            opened = lookup.open_key(self.opened[document_id, unit], document_id, unit)
            assert (self.world.overlay.get(opened) == b"1") is (expected == "in_flight")

    def teardown(self) -> None:
        self.world.seal()
        self.every_delivery_is_counted()
        self.replay_gives_the_same()

    def every_delivery_is_counted(self) -> None:
        for before in (0, self.cut):
            rows = recount(self.world, before=before)
            assert all(row.identity_holds() for row in rows.values())
            for unit in UNITS:
                latest = [s for (_, u), s in self.states.items() if u == unit]
                in_flight = rows[unit].in_flight if unit in rows else 0
                assert in_flight == latest.count(DeliveryState.IN_FLIGHT)

    def replay_gives_the_same(self) -> None:
        """Frame by frame (`seal` has compared each with the overlay), and record by record."""
        single = Store()
        for sealed in self.world.frames:
            for sequence, raw in enumerate(sealed.records, sealed.first_sequence):
                record = journal_pb2.Record.FromString(raw)
                changes = state.apply(record, sequence, sealed.at, Overlay(single))
                single.facts.update(changes.facts)
        assert single.facts == self.world.store.facts


Exchange.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestExchange = Exchange.TestCase
