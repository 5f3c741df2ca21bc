"""Random exchanges against a simple model: states, counts and replay, whatever comes in whatever order."""

from __future__ import annotations

from typing import Any

from axispb.v1 import journal_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core import lookup, state
from axis.core.commands import Accept, Close, Command, Expire, Requeue, Resume, Suspend, TakeReceipt
from axis.core.document import DELIVERY_LIFE_MS
from axis.core.errors import Refusal
from axis.core.lifecycle import DeliveryState
from tests.world import DAY, Store, World, recount, state_name

#: code → host. G22 and H26 run nodes; H26.B and H53 do not.
HOSTS = {"G22": "G22", "G22.A": "G22", "H26": "H26", "H26.B": "H26", "H53": "H53"}
UNITS = sorted(HOSTS)
NODES = ["G22", "H26"]


class Exchange:
    """A world and a model of it. Each step is one event; a number chooses whom or what it befalls."""

    def __init__(self) -> None:
        self.world = World()
        for code in UNITS:
            self.world.unit(code, node=code in NODES)
        #: The model: (document, unit) → state of the latest attempt; its number; when it was opened.
        self.states: dict[tuple[str, str], str] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.opened: dict[tuple[str, str], int] = {}
        self.documents: list[Any] = []
        self.receipts: list[Any] = []
        #: Signed bytes that closed an attempt.
        self.winners: set[bytes] = set()
        self.suspended: set[str] = set()
        self.cut = self.world.head.sequence

    def answer(self, command: Command) -> Any:
        return self.world.decide(command).answer

    def place(self, number: int) -> tuple[str, str]:
        places = sorted(self.states)
        return places[number % len(places)]

    def send(self, number: int) -> None:
        sender = ["G22", "G22.A", "H26", "H26.B"][number % 4]
        to = [unit for bit, unit in enumerate(UNITS) if number >> 2 & 1 << bit] or ["G22"]
        bad = number % 11 in (3, 7)
        if bad:
            to.append("X9" if number % 11 == 3 else to[0])
        document = self.world.document(sender, to, acting=HOSTS[sender], priority=number % 6)
        answer = self.answer(Accept(document, HOSTS[sender]))
        if {sender, HOSTS[sender]} & self.suspended:
            expected = "sender_suspended"
        elif "X9" in to:
            expected = "recipient_unknown"
        elif set(to) & self.suspended:
            expected = "recipient_suspended"
        else:
            expected = "recipient_duplicate" if bad else ""
        assert name_of(answer) == expected
        if not expected:
            self.documents.append(document)
            for unit in to:
                place = document.message.document_id, unit
                self.states[place], self.attempts[place] = "in_flight", 1
                self.opened[place] = self.world.now

    def send_again(self, number: int) -> None:
        document = self.documents[number % len(self.documents)]
        decision = self.world.decide(Accept(document, document.message.acting_organisation))
        assert decision.records == ()
        assert decision.answer.repeated  # type: ignore[union-attr]

    def receipt(self, number: int) -> None:
        place = self.place(number)
        attempt = 1 if number % 5 == 0 else self.attempts[place]
        acting = "H26" if number % 7 == 0 else HOSTS[place[1]]
        if acting in NODES:
            received = number % 3 > 0
            receipt = self.world.receipt(*place, received=received, acting=acting, attempt=attempt)
            self.receipts.append(receipt)
            self.hand_in(receipt)

    def receipt_again(self, number: int) -> None:
        if self.receipts:
            self.hand_in(self.receipts[number % len(self.receipts)])

    def hand_in(self, receipt: Any) -> None:
        message = receipt.message
        place = message.document_id, message.recipient_unit
        answer = self.answer(TakeReceipt(receipt, message.acting_organisation))
        name = name_of(answer)
        if receipt.envelope.signed in self.winners:
            assert answer.repeated
        elif HOSTS[place[1]] != message.acting_organisation:
            assert name == "not_a_recipient"
        elif message.acting_organisation in self.suspended:
            assert name == "sender_suspended"
        elif message.attempt < self.attempts[place] or self.states[place] != "in_flight":
            assert name in ("delivery_closed", "outcome_conflict")
        else:
            assert name == ""
            self.winners.add(receipt.envelope.signed)
            self.states[place] = "received" if message.outcome == 1 else "refused"

    def requeue(self, number: int) -> None:
        place = self.place(number)
        answer = self.answer(Requeue(*place))
        legal = self.states[place] in ("dead", "refused") and place[1] not in self.suspended
        assert isinstance(answer, Refusal) is not legal
        if legal:
            self.states[place] = "in_flight"
            self.attempts[place] += 1
            self.opened[place] = self.world.now

    def close(self, number: int) -> None:
        place = self.place(number)
        self.end(place, Close(*place, "ended"), due=True)

    def expire(self, number: int) -> None:
        place = self.place(number)
        self.end(place, Expire(*place), due=self.world.now >= self.opened[place] + DELIVERY_LIFE_MS)

    def end(self, place: tuple[str, str], command: Command, due: bool) -> None:
        legal = self.states[place] == "in_flight" and due
        assert isinstance(self.answer(command), Refusal) is not legal
        if legal:
            self.states[place] = "dead"

    def suspend_or_resume(self, number: int) -> None:
        if self.suspended:
            self.answer(Resume(self.suspended.pop()))
        else:
            code = UNITS[number % len(UNITS)]
            self.answer(Suspend(code))
            self.suspended.add(code)

    def wait(self, number: int) -> None:
        self.world.later(number % 15 * DAY)

    def begin_a_period(self, _number: int) -> None:
        self.world.seal()
        self.cut = self.world.head.sequence

    def check(self) -> None:
        """The facts say what the model says."""
        for (document_id, unit), expected in self.states.items():
            fact = lookup.delivery(self.world.overlay, document_id, unit)
            assert fact is not None
            attempt = self.attempts[document_id, unit]
            assert (state_name(fact.state), fact.attempt, len(fact.hosts)) == (expected, attempt, attempt)
            opened = lookup.open_key(self.opened[document_id, unit], document_id, unit)
            assert (self.world.overlay.get(opened) == b"1") is (expected == "in_flight")

    def finish(self) -> None:
        self.world.seal()
        self.check()
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
        """Record by record; frame by frame was compared when each was sealed."""
        single = Store()
        for sealed in self.world.frames:
            for sequence, raw in enumerate(sealed.records, sealed.first_sequence):
                record = journal_pb2.Record.FromString(raw)
                single.facts.update(state.apply(record, sequence, sealed.at, single).facts)
        assert single.facts == self.world.store.facts


def name_of(answer: object) -> str:
    return answer.name if isinstance(answer, Refusal) else ""


#: How often each event comes: mostly traffic, with everything else in between.
EVENTS = [
    *[Exchange.send, Exchange.receipt] * 4,
    *[Exchange.requeue, Exchange.wait] * 2,
    Exchange.send_again,
    Exchange.receipt_again,
    Exchange.close,
    Exchange.expire,
    Exchange.suspend_or_resume,
    Exchange.begin_a_period,
]
STEPS = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2**16)), min_size=20, max_size=60)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_whatever_happens_the_facts_follow_the_model_and_every_delivery_is_counted(
    steps: list[tuple[Any, int]],
) -> None:
    exchange = Exchange()
    exchange.send(2 << 2)
    for step, number in steps:
        step(exchange, number)
        exchange.check()
    exchange.finish()
