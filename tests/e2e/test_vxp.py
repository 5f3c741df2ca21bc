"""The VXP API over the wire, by a client that has the real one's habits: every operation, on a live axis."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agencies.local import connect
from agencies.vxp.parameters import vietnam_time
from tests.support.country import LIMIT, Country, country_in
from tests.support.edxml import SAMPLES
from tests.support.vxp_client import Answer, VxpClient

UNITS = ("G14", "G22", "H14", "H41", "H53")
NODES = ("G22", "H41")
PACKET = (SAMPLES / "new-zip.edxml").read_bytes()
#: Not the loop's own threads: those serve the node.
CLIENTS = ThreadPoolExecutor(16, "client")
TIME = re.compile(r"\d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2}")


def agency(country: Country, node: str, *arguments: str, status: int = 0) -> Any:
    """A command on a node's home."""
    home = ("--home", str(country.folder / node))
    command = [sys.executable, "-m", "agencies.cli", *arguments, *home, "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    return json.loads(done.stdout) if not status else done.stderr.decode()


class Systems:
    """Clients of the nodes; their blocking calls run beside the event loop that serves them."""

    def __init__(self, country: Country) -> None:
        self.country = country
        self.made: list[VxpClient] = []

    async def add(self, node: str, system_id: str = "SYS01", org: str = "", **habits: Any) -> VxpClient:
        arguments = ("vxp", "add", system_id, *(("--org", org) if org else ()))
        added = await asyncio.to_thread(agency, self.country, node, *arguments)
        assert added.keys() == {"system_id", "secret"}
        endpoint = self.country.nodes[node].api_url + "/vxp"
        self.made.append(VxpClient(endpoint, added["system_id"], added["secret"], **habits))
        return self.made[-1]

    def other(self, like: VxpClient, **changed: Any) -> VxpClient:
        """Another service object of the same program."""
        self.made.append(replace(like, parameters={}, _connection=None, **changed))
        return self.made[-1]

    async def until(self, node: str, call: Callable[..., Answer], *given: Any, holds: Any) -> Any:
        """The answer of a call once `holds` finds something in it, asked again after each event."""
        events = self.country.nodes[node].parts.events
        async with asyncio.timeout(LIMIT):
            while True:
                newest = events.newest
                answer = await do(call, *given)
                assert answer.ok, answer.body
                found = holds(answer.json)
                if found:
                    return found
                await events.beyond(newest, LIMIT)


async def do(call: Callable[..., Answer], *given: Any, **more: Any) -> Answer:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(CLIENTS, partial(call, *given, **more))


async def twice(call: Callable[..., Answer], *given: Any, **more: Any) -> Answer:
    """Every operation is safe to repeat: the second answer is as good as the first."""
    first, second = await do(call, *given, **more), await do(call, *given, **more)
    assert first.ok, first.body
    assert second.ok, second.body
    assert first.json.keys() == second.json.keys()
    return second


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in UNITS:
            old = {"old_codes": [f"000.00.00.{code}"]}
            if code in NODES:
                await made.join(code, **old)
                await made.start(code)
            else:
                await made.token(code, **old)
        yield made


@pytest.fixture
async def systems(country: Country) -> AsyncIterator[Systems]:
    made = Systems(country)
    yield made
    for client in made.made:
        client.close()


def waiting(page: Any) -> Any:
    return page["data"]


def outcome(status: str) -> Callable[[Any], Any]:
    return lambda page: [entry for entry in page["data"] if entry["receiveStatus"] == status]


def by_code(answer: Answer) -> dict[str, Any]:
    return {each["code"]: each for each in answer["data"]}


def packet_from(code: str) -> bytes:
    own = b"<edXML:From><edXML:OrganId>"
    return PACKET.replace(own + b"000.00.00.G22", own + code.encode())


async def test_all_operations_twice_in_the_usual_loop(systems: Systems) -> None:
    g22, h41 = await systems.add("G22"), await systems.add("H41")

    unit = {"id": "17", "pcode": "000.00.00.G22", "code": "G22.99", "name": "Vụ thử nghiệm"}
    await twice(g22.register, **unit, mail="vanthu@thu.example", mobile="0900000000", fax="")

    sent = await twice(g22.send_edoc, PACKET, "000.00.00.G22", to=["000.00.00.H41"])
    document_id = sent["DocId"]
    (entry,) = await systems.until("H41", h41.received, holds=waiting)
    assert entry["docId"] == document_id
    assert (entry["from"], entry["to"], entry["status"]) == ("G22", "H41", "initial")
    assert (entry["serviceType"], entry["messageType"]) == ("eDoc", "edoc")
    assert TIME.fullmatch(entry["created_time"])
    assert TIME.fullmatch(entry["updated_time"])
    assert (await twice(h41.count, "Edoc"))["count"] == 1

    assert base64.b64decode((await twice(h41.get_edoc, document_id))["data"]) == PACKET
    for _ in range(2):
        raw = await do(h41.download, document_id)
        assert (raw.http_status, raw.content_type) == (200, "application/octet-stream")
        assert raw.body == PACKET

    await twice(h41.update_status, document_id, "processing", name="docid")
    assert (await do(h41.received))["data"][0]["status"] == "processing"
    await twice(h41.update_status, document_id, "done")
    assert (await twice(h41.received))["data"] == []
    assert (await do(h41.count, "Edoc"))["count"] == 0
    (step,) = await systems.until(
        "G22",
        g22.sent,
        document_id,
        holds=outcome("done"),
    )
    assert (step["senderDocId"], step["receiverDocId"]) == (document_id, document_id)
    assert (step["fromCode"], step["toCode"], step["sendStatus"]) == ("G22", "H41", "done")
    assert step["notation"] == "5816/VPCP-KSTT"
    assert TIME.fullmatch(step["sentTime"])
    assert TIME.fullmatch(step["receivedTime"])

    status = (SAMPLES / "status-03.edxml").read_bytes()
    said = await twice(h41.send_edoc, status, "000.00.00.H41", "status")
    (entry,) = await systems.until("G22", g22.received, "status", holds=waiting)
    assert (entry["docId"], entry["messageType"], entry["from"]) == (said["DocId"], "status", "H41")
    assert (await twice(g22.count, "Status"))["count"] == 1
    assert base64.b64decode((await do(g22.get_edoc, said["DocId"]))["data"]) == status
    await twice(g22.update_status, said["DocId"], "done")
    assert (await do(g22.count, "Status"))["count"] == 0
    (step,) = (await twice(g22.sent, document_id))["data"]
    assert "03 Đã tiếp nhận" in step["receiveStatusDesc"]

    recall = (SAMPLES / "recall.edxml").read_bytes()
    recalled = await twice(g22.send_edoc, recall, "G22", to=["H41"])
    (entry,) = await systems.until("H41", h41.received, holds=waiting)
    assert entry["docId"] == recalled["DocId"]
    assert base64.b64decode((await do(h41.get_edoc, recalled["DocId"]))["data"]) == recall
    await do(h41.update_status, recalled["DocId"], "done")
    agreed = (SAMPLES / "status-15.edxml").read_bytes()
    assert (await do(h41.send_edoc, agreed, "000.00.00.H41", "status")).ok
    await systems.until("G22", g22.received, "status", holds=waiting)
    (step,) = (await do(g22.sent, document_id))["data"]
    assert "15 Đồng ý" in step["receiveStatusDesc"]

    listed = by_code(await twice(g22.call, "getAgenciesList"))
    assert set(listed) == {*UNITS, "G22.99"}
    assert listed["G22.99"]["pid"] == listed["G22"]["id"]
    assert listed["G22.99"]["mail"] == "vanthu@thu.example"
    assert listed["G22"]["oldCode"] == "000.00.00.G22"
    level = {
        each["code"]: each for each in (await twice(g22.call, "getAgenciesListQD20", {"level": "2"}))["data"]
    }
    assert level.keys() == {"G22.99"}
    before = by_code(await twice(g22.call, "getSynchronizeUnit"))
    await twice(g22.delete, "G22.99")
    after = by_code(await do(g22.call, "getSynchronizeUnit"))
    assert (before["G22.99"]["deleted"], after["G22.99"]["deleted"]) == (False, True)
    assert after["G22.99"]["version"] > before["G22.99"]["version"] >= 1
    assert after["G22.99"]["centerCode"] == "G22"
    assert TIME.fullmatch(after["G22.99"]["modifyDate"])
    assert (after["G22"]["isAgency"], after["G22.99"]["isAgency"]) == (True, False)
    assert after["G22"] == before["G22"]
    sent_once = await systems.country.json("GET", "G22", "/v1/documents")
    assert [one["document_id"] for one in sent_once["documents"]] == [document_id, recalled["DocId"]]


async def test_a_clean_client_is_served_as_well(systems: Systems) -> None:
    habits = {
        "sticky": False,
        "unpadded_hash": False,
        "trailing_crlf": False,
        "quoted_to": False,
        "counts_by_post": False,
        "expect": True,
    }
    g22 = await systems.add("G22", **habits)
    sent = await do(g22.send_edoc, PACKET, "G22", to=["H41", "000.00.00.H53", "H53"])
    assert sent.ok
    page = await systems.until("G22", g22.sent, sent["DocId"], holds=lambda page: page)
    assert sorted(entry["toCode"] for entry in page["data"]) == ["H41", "H53"]
    assert (await do(g22.count, "Edoc"))["count"] == 0


async def test_recipients_come_from_the_packet_where_the_call_names_none(systems: Systems) -> None:
    g22 = await systems.add("G22", sticky=False)
    sent = await do(g22.send_edoc, PACKET, "G22")
    entries = (await do(g22.sent, sent["DocId"]))["data"]
    assert sorted(entry["toCode"] for entry in entries) == ["H14", "H41", "H53"]


async def test_a_repeat_is_the_same_call_and_anything_else_is_another(systems: Systems) -> None:
    g22 = await systems.add("G22")
    clients = [systems.other(g22) for _ in range(8)]
    answers = await asyncio.gather(*(do(each.send_edoc, PACKET, "G22", to=["H41"]) for each in clients))
    first = {answer["DocId"] for answer in answers}
    assert len(first) == 1
    # The node may have ended in between: what it remembers is in its outbox.
    await systems.country.nodes["G22"].stop()
    await systems.country.start("G22")
    again = systems.other(g22, endpoint=systems.country.nodes["G22"].api_url + "/vxp")
    assert (await do(again.send_edoc, PACKET, "G22", to=["H41"]))["DocId"] in first
    g22 = systems.other(again)
    other_to = await do(g22.send_edoc, PACKET, "G22", to=["H53"])
    other_packet = await do(g22.send_edoc, PACKET + b"\n", "G22", to=["H41"])
    g22.stamp = "23112026T084325+0363"
    other_stamp = await do(g22.send_edoc, PACKET, "G22", to=["H41"])
    assert len(first | {a["DocId"] for a in (other_to, other_packet, other_stamp)}) == 4


async def test_what_is_odd_about_a_packet_is_in_the_log(systems: Systems) -> None:
    g22 = await systems.add("G22")
    odd = PACKET.replace(b"<edXML:Priority>0<", b"<edXML:Priority>4<")
    assert odd != PACKET
    assert (await do(g22.send_edoc, odd, "G22", to=["H41"])).ok
    async with connect(systems.country.folder / "G22") as api:
        (call,) = (await api.json("GET", "/control/vxp/calls?limit=1"))["calls"]
    assert (call["status"], call["code"]) == ("OK", "")
    assert "priority 4" in call["detail"].lower()


async def test_a_failure_is_not_remembered(systems: Systems) -> None:
    g22 = await systems.add("G22")
    refused = await do(g22.send_edoc, PACKET, "G22", to=["X99"])
    assert (refused["status"], refused["ErrorCode"], refused["DocId"]) == ("FAIL", "18", "")
    assert "X99" in refused["ErrorDesc"]
    await systems.country.token("X99")
    assert (await do(g22.send_edoc, PACKET, "G22", to=["X99"])).ok


async def test_refusals_have_the_operators_codes_and_are_in_the_log(systems: Systems) -> None:
    country = systems.country
    g22 = await systems.add("G22", sticky=False)
    await country.operator("org.suspend", code="H53", reason="thử")

    async def refused(number: str, code: str, call: Callable[..., Answer], *given: Any, **more: Any) -> str:
        answer = await do(call, *given, **more)
        assert answer.http_status == 200
        assert (answer["status"], answer["ErrorCode"]) == ("FAIL", number), answer.json
        assert answer["ErrorDesc"].endswith(f"[{code}]")
        async with connect(country.folder / "G22") as api:
            (call,) = (await api.json("GET", "/control/vxp/calls?failed=1&limit=1"))["calls"]
        assert (call["code"], call["error_code"], call["status"]) == (code, int(number), "FAIL")
        return str(answer["ErrorDesc"])

    await refused("15", "system_unknown", systems.other(g22, secret="wrong").count, "Edoc")
    await refused("15", "system_unknown", systems.other(g22, system_id="SYS99").count, "Edoc")
    names = await refused("18", "recipient_unknown", g22.send_edoc, PACKET, "G22", to=["H41", "Q1", "Q2"])
    assert "Q1" in names
    assert "Q2" in names
    await refused("23", "recipient_suspended", g22.send_edoc, PACKET, "G22", to=["H53"])
    await refused("19", "sender_not_registered", g22.send_edoc, PACKET, "Q3", to=["H41"])
    await refused("19", "system_not_allowed", g22.send_edoc, PACKET, "H41", to=["H53"])
    foreign = packet_from("000.00.00.H41")
    await refused("19", "system_not_allowed", g22.send_edoc, foreign, "G22", to=["H53"])
    wrong = {"XroadVnpt-hash-file": "ab" * 32}
    tampered = systems.other(g22, tampered=wrong)
    await refused("21", "attachment_mismatch", tampered.send_edoc, PACKET, "G22", to=["H41"])
    attack = systems.other(g22, sticky=True, signs=("systemid", "timestamp", "from"))
    attack.parameters["from"] = "G22"
    assert (await do(attack.count, "Edoc")).ok
    attack.tampered = {"XroadVnpt-from": "H41"}
    await refused("15", "signed_header_differs", attack.send_edoc, PACKET, "G22", to=["H41"])
    await refused("20", "document_unknown", g22.get_edoc, "01900000-0000-7000-8000-000000000000")
    await refused("20", "document_unknown", g22.sent, "01900000-0000-7000-8000-000000000000")
    await refused("20", "document_unknown", g22.update_status, "x", "done")
    await refused("20", "field_invalid", g22.received, "fax")
    await refused("20", "field_invalid", g22.received, fromDate="2026-11-27")
    await refused("20", "route_unknown", g22.call, "dropEverything")
    await refused("22", "field_invalid", g22.send_edoc, PACKET, "G22", "status")
    assert (await country.json("GET", "G22", "/v1/documents"))["documents"] == []


async def test_every_bad_sample_is_refused_with_element_and_line(systems: Systems) -> None:
    g22 = await systems.add("G22")
    bad = sorted(SAMPLES.glob("bad-*.edxml"))
    assert len(bad) >= 9
    for path in bad:
        answer = await do(g22.send_edoc, path.read_bytes(), "G22")
        assert answer["ErrorCode"] in ("21", "22"), path.stem
        assert answer["DocId"] == ""
        assert re.search(r"dòng \d+, \S+: ", answer["ErrorDesc"]), answer["ErrorDesc"]
    calls = (await asyncio.to_thread(agency, systems.country, "G22", "vxp", "log"))["calls"]
    assert all(call["milliseconds"] < 1000 for call in calls)
    assert (await systems.country.json("GET", "G22", "/v1/documents"))["documents"] == []


async def test_a_call_without_headers_and_an_unknown_download_do_no_harm(systems: Systems) -> None:
    g22 = await systems.add("G22")
    stranger = await do(g22.download_without_headers)
    assert (stranger.http_status, stranger["ErrorCode"]) == (401, "15")
    unknown = await do(g22.download, "01900000-0000-7000-8000-000000000000")
    assert (unknown.http_status, unknown.body) == (404, b"")
    assert (await do(g22.call, "/countReceiveEdoc")).ok  # an endpoint that was given with a slash


async def test_a_refusal_goes_back_to_the_sender_with_its_reason(systems: Systems) -> None:
    g22, h41 = await systems.add("G22"), await systems.add("H41")
    document_id = (await do(g22.send_edoc, PACKET, "G22", to=["H41"]))["DocId"]
    await systems.until("H41", h41.received, holds=waiting)
    await twice(h41.update_status, document_id, "fail", "thiếu phụ lục 2")
    conflict = await do(h41.update_status, document_id, "done")
    assert (conflict["status"], conflict["ErrorCode"]) == ("FAIL", "20")
    assert "[outcome_conflict]" in conflict["ErrorDesc"]
    (step,) = await systems.until(
        "G22",
        g22.sent,
        document_id,
        holds=outcome("fail"),
    )
    assert "thiếu phụ lục 2" in step["receiveStatusDesc"]
    window = {"fromDate": "01/01/2020 00:00:00", "toDate": "31/12/2099 23:59:59"}
    (entry,) = (await do(h41.received, "edoc", **window))["data"]
    assert (entry["docId"], entry["status"]) == (document_id, "fail")
    assert "thiếu phụ lục 2" in entry["status_desc"]
    h41.parameters.clear()
    past = {"fromDate": "01/01/2020 00:00:00", "toDate": "02/01/2020 00:00:00"}
    assert (await do(h41.received, "edoc", **past))["data"] == []


async def test_a_system_sees_and_does_only_what_its_units_may(systems: Systems) -> None:
    country = systems.country
    for code in ("G22.VXP", "G22.VXP.01", "G22.KT"):
        await country.operator("org.add", code=code, name=f"Unit {code}")
    g22, h41 = await systems.add("G22", "ONE", org="G22.VXP", sticky=False), await systems.add("H41")
    own = packet_from("G22.VXP.01")
    assert (await do(g22.send_edoc, own, "G22.VXP.01", to=["H41"])).ok
    # An office sends what its agency issues; nobody sends what a unit beside it does.
    assert (await do(g22.send_edoc, PACKET, "G22.VXP.01", to=["H53"])).ok
    assert (await do(g22.send_edoc, PACKET, "", to=["H53"]))["ErrorCode"] == "19"
    for code in ("G22.KT", "H41", "X99"):
        assert (await do(g22.send_edoc, packet_from(code), "G22.VXP", to=["H53"]))["ErrorCode"] == "19"
    answer = packet_from("H41")
    for to in (["G22.KT"], ["G22.VXP.01"], ["G22"]):
        assert (await do(h41.send_edoc, answer, "H41", to=to)).ok
    (entry,) = await systems.until("G22", g22.received, holds=waiting)
    assert entry["to"] == "G22.VXP.01"
    others = await country.json("GET", "G22", "/v1/inbox")
    async with asyncio.timeout(LIMIT):
        while len(others["documents"]) < 3:
            others = await country.json("GET", "G22", f"/v1/inbox?wait=10&after={others['next']}")
            others = await country.json("GET", "G22", "/v1/inbox")
    foreign = [one for one in others["documents"] if one["to"] != ["G22.VXP.01"]]
    # Of the node's other units the node itself receipts, as before.
    assert {one["state"] for one in foreign} == {"received"}
    for one in foreign:
        for call in (g22.get_edoc, g22.sent):
            assert (await do(call, one["document_id"]))["ErrorCode"] == "20"
        assert (await do(g22.update_status, one["document_id"], "done"))["ErrorCode"] == "20"
        assert (await do(g22.download, one["document_id"])).body == b""


async def test_units_below_are_registered_served_and_suspended(systems: Systems) -> None:
    country = systems.country
    g22, h41 = await systems.add("G22"), await systems.add("H41")
    unit = {"id": "", "pcode": "G22", "code": "G22.12", "name": "Cục thử", "mail": "a@b.example", "fax": ""}

    async def refused(number: str, **changed: str) -> None:
        answer = await do(g22.register, **(unit | changed))
        assert (answer["status"], answer["ErrorCode"]) == ("FAIL", number), answer.json

    await refused("20", mail="nobody")
    await refused("20", mail="")
    await refused("20", name="")
    await refused("20", code="")
    await refused("19", pcode="H41")
    await refused("19", code="H41.12")
    await refused("19", code="000.00.12.H41")
    await refused("19", code="G22")
    await refused("19", code="H41")
    assert (await do(g22.delete, "H41"))["ErrorCode"] == "19"
    assert (await do(g22.delete, "G22"))["ErrorCode"] == "19"
    assert (await do(g22.register, **unit)).ok

    own = packet_from("G22.12")
    document_id = (await do(g22.send_edoc, own, "G22.12", to=["H41"]))["DocId"]
    (entry,) = await systems.until("H41", h41.received, holds=waiting)
    assert (entry["docId"], entry["from"]) == (document_id, "G22.12")
    answer = packet_from("H41")
    assert (await do(h41.send_edoc, answer, "H41", to=["G22.12"])).ok
    (entry,) = await systems.until("G22", g22.received, holds=waiting)
    assert entry["to"] == "G22.12"
    await do(g22.update_status, entry["docId"], "done")

    await do(g22.register, **(unit | {"name": "Cục thử mới"}))
    shown = await country.operator("org.show", code="G22.12")
    assert (shown["name"], shown["parent"], shown["hosted_by"]) == ("Cục thử mới", "G22", "G22")
    await do(g22.delete, "G22.12")
    suspended = await do(h41.send_edoc, answer, "H41", to=["G22.12", "H53"])
    assert suspended["ErrorCode"] == "23"
    assert "G22.12" in suspended["ErrorDesc"]
    listed = (await do(g22.call, "getAgenciesList"))["data"]
    assert "G22.12" not in {each["code"] for each in listed}
    assert (await do(g22.register, **unit)).ok
    assert (await do(h41.send_edoc, answer, "H41", to=["G22.12", "H53"])).ok
    # What the registrar suspends, only the registrar resumes.
    await country.operator("org.suspend", code="G22.12")
    await systems.country.nodes["G22"].parts.directory.refresh()
    assert (await do(g22.register, **unit))["ErrorCode"] == "19"


async def test_systems_of_one_node_take_no_units_from_each_other(systems: Systems) -> None:
    country = systems.country
    for code in ("G22.A", "G22.B"):
        await country.operator("org.add", code=code, name=code, parent="G22")
    one = await systems.add("G22", "SYS01", "G22.A")
    two = await systems.add("G22", "SYS02", "G22.B")

    def unit(code: str, parent: str) -> dict[str, str]:
        return {"code": code, "pcode": parent, "name": f"In {parent}", "mail": "a@b.example"}

    # By its form below the other's unit; below the unit above both it may stand.
    assert (await do(one.register, **unit("G22.B.1", "G22.A")))["ErrorCode"] == "19"
    assert (await do(one.register, **unit("G22.C", "G22.A"))).ok
    assert (await do(two.register, **unit("G22.C", "G22.B")))["ErrorCode"] == "19"
    # The registrar's newest unit is not in the node's directory yet.
    await country.operator("org.add", code="thu.moi", name="New", parent="G22.B")
    assert (await do(one.register, **unit("thu.moi", "G22.A")))["ErrorCode"] == "19"
    # Both ask for the same new codes at once: each gets those that it asked for first.
    for number in range(8):
        code = f"thu.{number}"
        answers = await asyncio.gather(
            do(one.register, **unit(code, "G22.A")), do(two.register, **unit(code, "G22.B"))
        )
        assert sorted(answer["ErrorCode"] for answer in answers) == ["0", "19"]
        owner = "G22.A" if answers[0].ok else "G22.B"
        shown = await country.operator("org.show", code=code)
        assert (shown["parent"], shown["name"]) == (owner, f"In {owner}")


async def test_secrets_are_rotated_with_an_overlap_and_systems_removed(systems: Systems) -> None:
    country = systems.country
    g22 = await systems.add("G22")
    assert "system_exists" in await asyncio.to_thread(agency, country, "G22", "vxp", "add", "SYS01", status=1)
    new = await asyncio.to_thread(agency, country, "G22", "vxp", "rotate", "SYS01")
    assert new["secret"] != g22.secret
    assert (await do(g22.count, "Edoc")).ok
    g22.secret = new["secret"]
    assert (await do(g22.count, "Edoc")).ok
    (listed,) = (await asyncio.to_thread(agency, country, "G22", "vxp", "list"))["systems"]
    assert (listed["system_id"], listed["organisations"]) == ("SYS01", ["G22"])
    assert new["secret"] not in json.dumps(listed)
    # A restart changes nothing of it.
    await country.nodes["G22"].stop()
    await country.start("G22")
    g22.close()
    g22.endpoint, g22._connection = country.nodes["G22"].api_url + "/vxp", None
    assert (await do(g22.count, "Edoc")).ok
    await asyncio.to_thread(agency, country, "G22", "vxp", "remove", "SYS01")
    assert (await do(g22.count, "Edoc"))["ErrorCode"] == "15"
    missing = await asyncio.to_thread(agency, country, "G22", "vxp", "rotate", "SYS01", status=1)
    assert "system_unknown" in missing
    foreign = await asyncio.to_thread(agency, country, "G22", "vxp", "add", "S2", "--org", "H41", status=1)
    assert "not_host_of_unit" in foreign
    assert (country.folder / "G22" / "agency.sqlite").stat().st_mode & 0o077 == 0


async def test_a_thousand_recipients_fit_into_a_header(systems: Systems) -> None:
    g22 = await systems.add("G22")
    codes = [f"000.{number // 100:02}.{number % 100:02}.H41" for number in range(1000)]
    answer = await do(g22.send_edoc, PACKET, "G22", to=codes)
    assert answer["ErrorCode"] == "18"
    assert codes[-1] in answer["ErrorDesc"]


async def test_odd_texts_are_refused_or_kept_never_a_failure_of_the_node(systems: Systems) -> None:
    g22, h41 = await systems.add("G22"), await systems.add("H41", sticky=False)
    document_id = (await do(g22.send_edoc, PACKET, "G22", to=["H41"]))["DocId"]
    await systems.until("H41", h41.received, holds=waiting)

    async def said(body: str, **headers: str) -> Answer:
        return await do(h41.call, "updateStatus", headers, body=body.encode("utf-8", "surrogatepass"))

    assert (await said('{"docId": 5, "status": "done"}'))["ErrorCode"] == "20"
    assert (await said(f'{{"docId": "{document_id}", "status": true}}'))["ErrorCode"] == "20"
    nul = f'{{"docid": "{document_id}", "status": "fail", "description": "a\\u0000b"}}'
    assert "[field_invalid]" in (await said(nul))["ErrorDesc"]
    half = f'{{"docid": "{document_id}", "status": "fail", "description": "a\\ud800b"}}'
    assert (await said(half)).ok
    assert (await said("not json", docId=document_id, status="fail")).ok
    assert (await said("x" * 70_000, docId=document_id, status="fail"))["ErrorCode"] == "10"


async def test_one_unit_s_outcome_keeps_no_other_from_its_receipt(systems: Systems) -> None:
    country = systems.country
    await country.operator("org.add", code="H41.01", name="Sở thử")
    g22, h41 = await systems.add("G22"), await systems.add("H41")
    document_id = (await do(g22.send_edoc, PACKET, "G22", to=["H41", "H41.01"]))["DocId"]
    both = await systems.until("H41", h41.received, holds=lambda page: page["data"])
    assert [(entry["docId"], entry["to"]) for entry in both] == [
        (document_id, "H41"),
        (document_id, "H41.01"),
    ]
    decision = {"outcome": "refused", "reason": "sai nơi nhận", "unit": "H41"}
    await country.json("POST", "H41", f"/v1/inbox/{document_id}/receipt", json=decision)
    assert (await do(h41.update_status, document_id, "done")).ok
    assert (await do(h41.received))["data"] == []
    assert "[outcome_conflict]" in (await do(h41.update_status, document_id, "done"))["ErrorDesc"]


async def test_a_recall_of_two_documents_takes_both_back(systems: Systems) -> None:
    country = systems.country
    await systems.add("G22")
    h41 = await systems.add("H41")
    sent = []
    for number in ("1", "2"):
        request = {"to": ["H41"], "subject": "x", "number": number, "issuer_document_id": f"G22,{number}"}
        sent.append((await country.post("G22", request))["document_id"])
    named = [{"document_id": "G22,1"}, {"document_id": "G22,2"}]
    recall = {"to": ["H41"], "subject": "x", "business": {"doc_type": 1}, "response_for": named}
    recall_id = (await country.post("G22", recall))["document_id"]
    await systems.until("H41", h41.received, holds=lambda page: len(page["data"]) == 3)
    await country.json("POST", "H41", f"/v1/inbox/{recall_id}/statuses", 202, json={"code": "15"})
    for document_id in sent:
        page = await country.json("GET", "H41", f"/v1/inbox/{document_id}")
        (delivery,) = page["deliveries"]
        assert (page["state"], delivery["reason"], delivery["exchange"]) == (
            "refused",
            "recalled",
            "recalled",
        )
    assert [entry["docId"] for entry in (await do(h41.received))["data"]] == [recall_id]


async def test_a_refusal_is_never_for_a_document_that_an_earlier_call_left(systems: Systems) -> None:
    g22, h41 = await systems.add("G22"), await systems.add("H41")
    first, second = [
        (await do(g22.send_edoc, PACKET + b"\n" * number, "G22", to=["H41"]))["DocId"] for number in range(2)
    ]
    await systems.until("H41", h41.received, holds=lambda page: len(page["data"]) == 2)
    assert (await do(h41.update_status, first, "fail", "hỏng", name="docid")).ok
    await do(h41.get_edoc, second)
    late_repeat = await do(h41.update_status, first, "fail", "hỏng", name="docid")
    assert "[field_invalid]" in late_repeat["ErrorDesc"]
    assert [entry["docId"] for entry in (await do(h41.received))["data"]] == [second]
    assert (await do(h41.update_status, second, "done")).ok  # the one that waits is meant


async def test_what_came_late_is_in_the_window_of_its_arrival(systems: Systems) -> None:
    country = systems.country
    g22, h41 = await systems.add("G22"), await systems.add("H41", sticky=False)
    await country.nodes["H41"].stop()
    document_id = (await do(g22.send_edoc, PACKET, "G22", to=["H41"]))["DocId"]
    await systems.until(
        "G22", g22.sent, document_id, holds=lambda page: page["data"][0]["sendStatus"] == "done"
    )
    accepted = country.clock.now()
    async with asyncio.timeout(LIMIT):
        while country.clock.now() // 1000 <= accepted // 1000 + 1:  # a window begins with a second
            await asyncio.sleep(0.05)
    since = vietnam_time(country.clock.now())
    await country.start("H41")
    h41 = systems.other(h41, endpoint=country.nodes["H41"].api_url + "/vxp")
    await systems.until("H41", h41.received, holds=waiting)
    window = {"fromDate": since, "toDate": "31/12/2099 00:00:00"}
    assert [entry["docId"] for entry in (await do(h41.received, "edoc", **window))["data"]] == [document_id]


async def test_nothing_that_a_header_holds_breaks_the_envelope(systems: Systems) -> None:
    g22 = await systems.add("G22", sticky=False)
    for name in ("docId", "to", "description"):
        answer = await do(g22.call, "updateStatus", {name: '"\\ud800"', "status": "done"})
        assert answer["ErrorCode"] == "20"
    assert (await do(g22.send_edoc, PACKET, "G22", to=["\ud800"]))["ErrorCode"] == "18"


async def test_a_unit_of_a_busy_node_finds_what_it_sent(systems: Systems) -> None:
    country = systems.country
    await country.operator("org.add", code="G22.VXP", name="Phần mềm")
    small = await systems.add("G22", "SMALL", org="G22.VXP", sticky=False)
    document_id = (await do(small.send_edoc, PACKET, "G22.VXP", to=["H41"]))["DocId"]
    for number in range(3):
        await country.post("G22", {"to": ["H41"], "subject": str(number)})
    page = await do(small.call, "getSentEdocList", {"messagetype": "edoc"})
    assert [entry["senderDocId"] for entry in page["data"]] == [document_id]
