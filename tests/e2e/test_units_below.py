"""`POST /v1/units` over the wire: an organisation keeps the units below it, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import api_pb2

from axis.core.errors import Refusal
from tests.support.country import Country, country_in


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in ("G22", "H41"):
            await made.join(code, old_codes=[f"000.00.00.{code}"])
            await made.start(code)
        yield made


async def change(country: Country, node: str, action: str, code: str, **more: Any) -> api_pb2.UnitChanged:
    asked = api_pb2.UnitChange(action=action, code=code, **more)
    answer = await country.nodes[node].parts.client.change_unit(asked)
    await country.nodes[node].parts.directory.at_least(answer.sequence)
    return answer


async def refused(country: Country, node: str, action: str, code: str, **more: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await change(country, node, action, code, **more)
    return caught.value.name


async def test_a_unit_is_registered_suspended_and_resumed_by_its_organisation(country: Country) -> None:
    first = await change(country, "G22", "register", "G22.12", name="Cục", parent="G22", mail="a@b.example")
    assert (first.code, first.changed) == ("G22.12", True)
    assert not (await change(country, "G22", "register", "G22.12", name="Cục", parent="G22")).changed
    entry = country.nodes["G22"].parts.directory.directory.entry("G22.12")
    assert entry is not None
    assert (entry.unit.mail, entry.unit.parent, entry.sequence) == ("a@b.example", "G22", first.sequence)
    assert abs(entry.at - country.clock.now()) < 60_000
    assert (await change(country, "G22", "suspend", "G22.12", reason="giải thể")).changed
    shown = await country.operator("org.show", code="G22.12")
    assert (shown["state"], shown["suspended_by"], shown["mail"]) == ("suspended", "G22", "a@b.example")
    assert (await change(country, "G22", "resume", "G22.12")).changed
    shown = await country.operator("org.show", code="G22.12")
    assert (shown["state"], shown["suspended_by"]) == ("active", None)


async def test_a_suspended_unit_neither_sends_nor_is_sent_to(country: Country) -> None:
    await change(country, "G22", "register", "G22.12", name="Cục", parent="G22")
    await change(country, "G22", "suspend", "G22.12")
    await country.nodes["H41"].parts.directory.refresh()
    request = {"to": ["G22.12"], "subject": "x"}
    assert (await country.post("H41", request, status=422))["code"] == "recipient_suspended"
    queued = await country.post("G22", {"to": ["H41"], "subject": "x", "from": "G22.12"})
    found = await country.outcome("G22", queued["document_id"])
    assert (found["state"], found["code"]) == ("rejected", "sender_suspended")


async def test_what_is_not_its_own_is_refused_and_journalled(country: Country) -> None:
    assert await refused(country, "G22", "register", "H41.01", name="x", parent="G22") == "not_host_of_unit"
    assert await refused(country, "G22", "suspend", "H41") == "not_host_of_unit"
    assert await refused(country, "G22", "resume", "G22") == "not_host_of_unit"
    assert await refused(country, "G22", "abolish", "G22.12") == "field_invalid"
    many = [f"G22.{number}" for number in range(11)]
    assert await refused(country, "G22", "register", "G22.99", name="x", parent="G22", old_codes=many) == (
        "field_invalid"
    )
    assert await refused(country, "G22", "register", "G22.99", name="x" * 20_000, parent="G22") == (
        "header_too_large"
    )
    command = [sys.executable, "-m", "axis.cli", "log", "--event", "rejected", "--json"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--home", str(country.axis_home)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"not_host_of_unit", "field_invalid"} <= {line["code"] for line in lines}
    assert {line["from"] for line in lines} == {"G22"}


async def test_the_log_says_who_asked_and_the_audit_agrees(country: Country) -> None:
    await change(country, "G22", "register", "G22.12", name="Cục", parent="G22")
    await change(country, "G22", "suspend", "G22.12", reason="giải thể")
    await change(country, "G22", "resume", "G22.12")
    await change(country, "G22", "suspend", "G22.12")
    home = ("--home", str(country.axis_home), "--json")

    async def axis(*arguments: str) -> str:
        command = [sys.executable, "-m", "axis.cli", *arguments, *home]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=60)
        return done.stdout.decode()

    lines = [json.loads(line) for line in (await axis("log", "--from", "G22.12")).splitlines()]
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("registered", "(by G22)"),
        ("suspended", "giải thể (by G22)"),
        ("resumed", "(by G22)"),
        ("suspended", "(by G22)"),
    ]
    assert json.loads(await axis("audit"))["problems"] == []


async def test_settings_of_a_unit_hold_by_any_of_its_codes(country: Country) -> None:
    await change(country, "G22", "register", "G22.12", name="x", parent="G22", old_codes=["000.00.12.G22"])
    await country.nodes.pop("G22").stop()
    with (country.folder / "G22" / "agency.toml").open("a") as file:
        file.write('\n[units."000.00.12.G22"]\nreceipt = "software"\n')
    await country.start("G22")
    await country.nodes["H41"].parts.directory.refresh()
    for code, state in (("G22", "received"), ("G22.12", "waiting")):
        sent = await country.post("H41", {"to": [code], "subject": "x"})
        assert (await country.arrived("G22", sent["document_id"]))["state"] == state
