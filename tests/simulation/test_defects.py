"""The simulation with the product broken on purpose: each defect must be noticed by some schedule.

A harness that cannot fail says nothing. Each defect is one that a hurried change could bring in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import api_pb2

from agencies.flow.receiver import Receiver
from agencies.store import counting, inbox, outbox, receipt_queue
from agencies.store.database import set_setting
from agencies.times import DAY_MS
from axis.core import decide_delivery, effects, state
from axis.core.lifecycle import DeliveryState, IllegalEvent
from axis.flow import deadlines
from axis.flow.sequencer import Sequencer
from axis.journal.jetstream import JetStreamJournal
from tests.simulation.chance import Chance, CrashAt
from tests.simulation.schedules import CLUSTERED, MONTHS, OVER, simulate
from tests.simulation.template import Template

pytestmark = pytest.mark.usefixtures("quietly")

Patch = pytest.MonkeyPatch


def acknowledges_before_it_is_durable(patch: Patch) -> None:
    append = Sequencer._append

    async def hasty(self: Sequencer, turn: Any) -> bool:
        for waiting, answer in turn.decided:
            if not waiting.answer.done() and not isinstance(answer, BaseException):
                waiting.answer.set_result(answer)
        return await append(self, turn)

    patch.setattr(Sequencer, "_append", hasty)


def forgets_the_key_of_a_receipt(patch: Patch) -> None:
    take, after = effects.Step.take, effects.delivery_after

    def forgetful(self: Any, key: str) -> None:
        if not key.startswith("outcome/"):
            take(self, key)

    def closed_again(before: Any, event: Any) -> DeliveryState:
        try:
            return after(before, event)
        except IllegalEvent:
            return after(DeliveryState.IN_FLIGHT, event)

    patch.setattr(effects.Step, "take", forgetful)
    patch.setattr(effects, "delivery_after", closed_again)
    patch.setattr(decide_delivery, "outcome", lambda *_: None)
    patch.setattr(state, "outcome", lambda *_: None)


def counts_twice_what_it_reads_twice(patch: Patch) -> None:
    def again(connection: sqlite3.Connection, event: str, **what: Any) -> None:
        key = (what["document_id"], what["unit"], event)
        have = "SELECT count(*) FROM counted WHERE document_id = ? AND unit = ? AND event = ?"
        if connection.execute(have, key).fetchone()[0]:
            what["attempt"] += 1000
        count(connection, event, **what)

    count = counting.count
    for module in (inbox, outbox, receipt_queue):
        patch.setattr(module, "count", again)


def drops_what_it_cannot_finish(patch: Patch) -> None:
    patch.setattr(inbox, "hold", lambda *_: None)


def gives_deliveries_up_a_day_early(patch: Patch) -> None:
    for module in (deadlines, decide_delivery):
        patch.setattr(module, "DELIVERY_LIFE_MS", 29 * DAY_MS)


def takes_anothers_frame_for_its_own(patch: Patch) -> None:
    async def land(self: JetStreamJournal, frame: Any) -> None:
        try:
            await self._stream.append(frame, 2.0)
        except Exception:
            return

    patch.setattr(JetStreamJournal, "_land", land)


def stores_the_cursor_before_its_page(patch: Patch) -> None:
    take = Receiver.take

    async def careless(self: Receiver, page: api_pb2.FeedPage, asked_in: str) -> None:
        def ahead(connection: Any) -> None:
            set_setting(connection, "urgent_after", str(page.urgent_next))
            set_setting(connection, "normal_after", str(page.normal_next))

        await self._store.write(ahead)
        await take(self, page, asked_in)

    patch.setattr(Receiver, "take", careless)


ANY = range(1, 200)
DEFECTS: dict[Callable[[Patch], None], tuple[range, str]] = {
    acknowledges_before_it_is_durable: (ANY, "outbox|accepted without a record|in flight|differs"),
    forgets_the_key_of_a_receipt: (ANY, "two outcomes"),
    counts_twice_what_it_reads_twice: (ANY, "counted otherwise"),
    # Or its country never comes to rest: what is dropped is waited for.
    drops_what_it_cannot_finish: (ANY, "in.flight|differs|the sender knows|counted otherwise|TimeoutError"),
    gives_deliveries_up_a_day_early: (range(401, 800, MONTHS), "before its time"),
    takes_anothers_frame_for_its_own: (range(1, 200, CLUSTERED), "behind|two journals"),
}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_is_noticed(
    template: Template, memory: Path, monkeypatch: Patch, defect: Callable[[Patch], None]
) -> None:
    """Within some schedules, and for the right reason; the first that notices says its seed."""
    defect(monkeypatch)
    seeds, reason = DEFECTS[defect]

    def one_schedule_after_the_other() -> None:
        for seed in seeds:
            simulate(template, memory / f"defect-{seed}", Chance(seed, OVER), seed)

    with pytest.raises(AssertionError, match=rf"SIMULATION_SEED=\d+: .*({reason})"):
        one_schedule_after_the_other()


def test_a_cursor_stored_before_its_page_is_found_out(
    template: Template, memory: Path, monkeypatch: Patch
) -> None:
    """A defect that only a crash between two commits shows."""
    stores_the_cursor_before_its_page(monkeypatch)

    def one_crash_after_the_other() -> None:
        for number in range(1, 100):
            simulate(template, memory / f"careless-{number}", CrashAt("G14", number), seed=3, documents=2)

    with pytest.raises(AssertionError, match="in flight"):
        one_crash_after_the_other()
