"""A month in which everything happens once: `axis show` and `axis volumes` say of each what the rules say.

Real axis and nodes, with a clock that the test sets; G22 and its sub-unit G22.01 send to H41, whose software
decides, and to H14, whose node receipts by itself.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import config
from axis.core.volumes import VIETNAM
from tests.support.country import Country, country_in
from tests.support.times import SetClock

RECALL, UPDATE, REPLACEMENT = 1, 2, 3


class Month:
    """What is done in it, day by day."""

    def __init__(self, country: Country, clock: SetClock) -> None:
        self.country = country
        self.clock = clock
        first = datetime.now(VIETNAM).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.first = (first + timedelta(days=32)).replace(day=1)

    @property
    def name(self) -> str:
        return f"{self.first:%Y-%m}"

    def day(self, day: int, hour: int = 9) -> None:
        self.clock.set(self.first + timedelta(days=day - 1, hours=hour))

    async def send(self, number: str, to: list[str], sender: str = "G22", **fields: Any) -> str:
        """A document from a unit; it has come to everybody when this returns."""
        node = sender.split(".")[0]
        request = {
            "to": to,
            "subject": f"Văn bản {number}",
            "from": sender,
            "number": number,
            "notation": "CV",
        }
        request |= {"issuer_document_id": f"{sender},{number}/CV"} | fields
        document_id = str((await self.country.post(node, request))["document_id"])
        for unit in to:
            await self.country.arrived(unit.split(".")[0], document_id)
        await self.country.until(node, f"/v1/documents/{document_id}", lambda page: page["state"] != "queued")
        return document_id

    async def decide(self, document_id: str, outcome: str, reason: str = "") -> None:
        """H41's software receives or refuses; G22 knows when this returns."""
        body = {"outcome": outcome, "reason": reason}
        await self.country.json("POST", "H41", f"/v1/inbox/{document_id}/receipt", json=body)
        await self.known(document_id, "H41", outcome)

    async def known(self, document_id: str, unit: str, outcome: str) -> None:
        def closed(page: Any) -> bool:
            return any(one["to"] == unit and one["state"] == outcome for one in page["deliveries"])

        await self.country.until("G22", f"/v1/documents/{document_id}", closed)

    async def say(self, document_id: str, code: str, note: str = "") -> None:
        """H41's clerk says it; G22's node has receipted it when this returns."""
        before = (await self.country.json("GET", "G22", "/v1/volumes?kind=status"))["total"]["received"]
        body = {"code": code, "note": note}
        await self.country.json("POST", "H41", f"/v1/inbox/{document_id}/statuses", 202, json=body)
        await self.country.until(
            "G22", "/v1/volumes?kind=status", lambda page: page["total"]["received"] > before
        )

    async def axis(self, *arguments: str) -> Any:
        home = ("--home", str(self.country.axis_home), "--json")
        command = [sys.executable, "-m", "axis.cli", *arguments, *home]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    async def shown(self, document_id: str) -> Any:
        """`axis show`, which both nodes agree with."""
        answer = await self.axis("show", document_id)
        sides = [("G22", f"/v1/documents/{document_id}"), ("H41", f"/v1/inbox/{document_id}")]
        if answer["from"] == "H41":
            sides = [("H41", f"/v1/documents/{document_id}"), ("G22", f"/v1/inbox/{document_id}")]
        for node, path in sides:
            page = await self.country.json("GET", node, path)
            assert page["flags"] == answer["flags"], (node, page["flags"])
            assert page["originals"] == answer["originals"], node
            assert [(one["document_id"], one["relation"]) for one in page["related"]] == [
                (one["document_id"], one["relation"]) for one in answer["related"]
            ]
            for one in page["deliveries"]:
                theirs = next(each for each in answer["deliveries"] if each["to"] == one["to"])
                assert one["exchange"] == theirs["exchange"], node
                assert [(s["code"], s["in_order"]) for s in one["statuses"]] == codes(theirs), node
        return answer


def codes(delivery: Any) -> list[tuple[str, bool]]:
    return [(one["code"], one["in_order"]) for one in delivery["statuses"]]


def named(document: Any) -> str:
    return str(document["header"]["fields"]["issuer_document_id"])


@pytest.fixture
async def month(tmp_path: Path) -> AsyncIterator[Month]:
    clock = SetClock()
    async with country_in(tmp_path, clock) as country:
        for code in ("G22", "H41", "H14"):
            home = await country.join(code, old_codes=[f"000.00.00.{code}"])
            if code == "H41":
                settings = config.load(home)
                config.save(home, settings.model_copy(update={"receipt": "software"}))
            await country.start(code)
        await country.operator("org.add", code="G22.01", name="Vụ thử nghiệm")
        yield Month(country, clock)


async def test_a_month_in_which_everything_happens_once(month: Month) -> None:
    month.day(2)
    sent = await month.send("1", ["H41", "H14"])
    await month.known(sent, "H14", "received")
    month.day(2, 23)
    await month.decide(sent, "received")

    month.day(3)
    late = await month.send("2", ["H41"])
    month.day(4, 0)  # the next calendar day in Vietnam, the same one in UTC
    await month.decide(late, "received")

    month.day(5)
    refused = await month.send("3", ["H41"])
    await month.say(refused, "02", "thiếu phụ lục")
    await month.known(refused, "H41", "refused")
    await month.say(refused, "03")

    month.day(6)
    unread = await month.send("4", ["H41"])
    recall = {"business": {"doc_type": RECALL}, "response_for": [{"document_id": "G22,4/CV"}]}
    recalling = await month.send("5", ["H41"], **recall)
    await month.decide(recalling, "received")
    await month.say(recalling, "15", "đồng ý")  # said of the recall itself
    await month.known(unread, "H41", "refused")

    month.day(7)
    read = await month.send("6", ["H41"])
    await month.decide(read, "received")
    await month.say(read, "03")
    recall = {"business": {"doc_type": RECALL}, "response_for": [{"document_id": "G22,6/CV"}]}
    recalling_read = await month.send("7", ["H41"], **recall)
    await month.decide(recalling_read, "received")
    await month.say(read, "15")  # said of the document that it takes back
    await month.say(read, "04")

    month.day(8)
    updated = await month.send("8", ["H41"])
    await month.decide(updated, "received")
    updating = await month.send("9", ["H41"], business={"doc_type": UPDATE, "document_id": "G22,8/CV"})
    await month.decide(updating, "received")
    await month.say(updating, "16", "đã xử lý")

    month.day(9)
    replaced = await month.send("10", ["H41"])
    await month.decide(replaced, "received")
    originals = [{"document_id": "G22,10/CV", "organ_ids": ["H41"]}]
    replacing = await month.send("11", ["H41"], business={"doc_type": REPLACEMENT, "replacements": originals})
    await month.decide(replacing, "received")

    month.day(10)
    duplicate = await month.send("1", ["H41"], issuer_document_id="")
    await month.decide(duplicate, "received")
    year_before = {"promulgation_date": f"{month.first.year - 1}-12-30", "issuer_document_id": ""}
    other_year = await month.send("1", ["H41"], **year_before)
    await month.decide(other_year, "received")

    month.day(11)
    below = await month.send("1", ["H41"], sender="G22.01")
    await month.decide(below, "received")
    to_below = await month.send("1", ["G22.01"], sender="H41")
    await month.country.until("H41", f"/v1/documents/{to_below}", lambda page: page["state"] == "delivered")

    month.day(12)
    jumping = await month.send("12", ["H41"])
    await month.decide(jumping, "received")
    for code in ("03", "06", "04"):
        await month.say(jumping, code)

    month.day(13)
    foreign = {"business": {"doc_type": RECALL}, "response_for": [{"document_id": "G22,1/CV"}]}
    not_theirs = await month.send("2", ["G22"], sender="H41", **foreign)
    await month.country.until("H41", f"/v1/documents/{not_theirs}", lambda page: page["state"] == "delivered")
    nothing = {"business": {"doc_type": RECALL}, "response_for": [{"document_id": "G22,99/CV"}]}
    of_nothing = await month.send("13", ["H41"], **nothing)
    await month.decide(of_nothing, "received")
    waiting = await month.send("14", ["H41"])

    # Each document, as the rules say.
    shown = await month.shown(sent)
    assert (shown["state"], shown["flags"], shown["related"]) == ("delivered", ["repeated_number"], [])
    assert named(shown) == "G22,1/CV"
    shown = await month.shown(refused)
    (delivery,) = shown["deliveries"]
    assert (delivery["state"], delivery["receipt"]["reason"]) == ("refused", "thiếu phụ lục")
    assert (delivery["exchange"], codes(delivery)) == ("refused", [("02", True), ("03", False)])

    shown = await month.shown(unread)
    (delivery,) = shown["deliveries"]
    assert (delivery["state"], delivery["receipt"]["reason"]) == ("refused", "recalled")
    assert (delivery["exchange"], codes(delivery)) == ("recalled", [("15", True)])
    assert [(one["document_id"], one["relation"]) for one in shown["related"]] == [(recalling, "recall")]
    shown = await month.shown(recalling)
    assert (shown["state"], shown["flags"]) == ("delivered", [])
    assert shown["originals"] == [
        {"relation": "recall", "issuer_document_id": "G22,4/CV", "document_id": unread, "flag": None}
    ]

    (delivery,) = (await month.shown(read))["deliveries"]
    assert (delivery["state"], delivery["exchange"]) == ("received", "recalled")
    assert codes(delivery) == [("03", True), ("15", True), ("04", False)]
    shown = await month.shown(updated)
    (delivery,) = shown["deliveries"]
    assert (delivery["state"], delivery["exchange"], codes(delivery)) == ("received", "open", [("16", True)])
    assert [(one["document_id"], one["relation"]) for one in shown["related"]] == [(updating, "update")]
    shown = await month.shown(replaced)
    assert [(one["document_id"], one["relation"]) for one in shown["related"]] == [(replacing, "replacement")]
    assert shown["deliveries"][0]["exchange"] == "open"
    assert (await month.shown(replacing))["originals"][0]["document_id"] == replaced

    assert (await month.shown(duplicate))["flags"] == ["repeated_number"]
    assert (await month.shown(other_year))["flags"] == []
    assert (await month.shown(below))["flags"] == []
    (delivery,) = (await month.shown(jumping))["deliveries"]
    assert codes(delivery) == [("03", True), ("06", True), ("04", False)]
    shown = await month.shown(not_theirs)
    assert (shown["state"], shown["flags"]) == ("delivered", ["original_not_senders"])
    assert (await month.shown(of_nothing))["flags"] == ["original_unknown"]
    assert (await month.shown(sent))["related"] == []
    assert (await month.shown(waiting))["state"] == "accepted"

    # Documents and statuses apart, month by month.
    documents = await month.axis("volumes", "--month", month.name)
    assert [row(each) for each in documents["rows"]] == [
        ("G22", 16, 1, 1, 0, 0, 0),
        ("G22.01", 1, 1, 1, 0, 0, 0),
        ("H14", 0, 1, 1, 0, 0, 0),
        ("H41", 2, 17, 14, 2, 1, 1),
    ]
    assert row(documents["total"], "total") == ("total", 19, 20, 17, 2, 1, 1)
    statuses = await month.axis("volumes", "--month", month.name, "--kind", "status")
    assert [row(each) for each in statuses["rows"]] == [
        ("G22", 0, 10, 10, 0, 0, 0),
        ("G22.01", 0, 0, 0, 0, 0, 0),
        ("H14", 0, 0, 0, 0, 0, 0),
        ("H41", 10, 0, 0, 0, 0, 0),
    ]
    below_g22 = await month.axis("volumes", "--month", month.name, "--subtree", "G22")
    assert [each["code"] for each in below_g22["rows"]] == ["G22", "G22.01"]
    assert row(below_g22["total"], "total") == ("total", 17, 2, 2, 0, 0, 0)
    for node in ("G22", "H41", "H14"):
        own = (await month.country.json("GET", node, f"/v1/volumes?month={month.name}"))["rows"]
        theirs = [each for each in documents["rows"] if each["code"] in {mine["code"] for mine in own}]
        assert [row(each) for each in own] == [row(each) for each in theirs]
    audited = await month.axis("audit")
    assert (audited["problems"], audited["volumes_equal"]) == ([], True)


def row(counts: Any, name: str = "") -> tuple[Any, ...]:
    """What the rules speak of; the identity holds on every row."""
    opened = counts["in_flight_before"] + counts["addressed"] + counts["requeued"]
    assert opened == sum(counts[each] for each in ("received", "refused", "dead", "in_flight"))
    columns = ("sent", "addressed", "received", "refused", "in_flight", "late")
    return (name or counts["code"], *(counts[each] for each in columns))
